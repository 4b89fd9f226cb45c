"""Where everything is."""

from __future__ import annotations

from django.contrib.auth.views import LoginView
from django.urls import path

from shop import backups, views

urlpatterns = [
    path("products", views.products),
    path("photos/<str:name>", views.photo),
    path("backups", backups.backups),
    path("health", backups.health),
    path("login", LoginView.as_view()),
]

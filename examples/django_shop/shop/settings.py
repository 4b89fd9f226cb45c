"""The settings. `BACKUPKIT`, at the end, is all that its backups need."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).parent.parent
DATA = Path(os.environ.get("SHOP_DATA", BASE_DIR / "data"))

DEBUG = os.environ.get("SHOP_DEBUG") == "1"
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only for a look at it" if DEBUG else "")
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "127.0.0.1").split(",")
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "shop",
    "backupkit.integrations.django",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
LOGIN_REDIRECT_URL = "/admin/backups/"

_sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA / "shop.sqlite3")}
_postgresql = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("SHOP_POSTGRESQL_HOST", ""),
    "PORT": os.environ.get("SHOP_POSTGRESQL_PORT", "5432"),
    "NAME": "shop",
    "USER": os.environ.get("SHOP_POSTGRESQL_USER", "shop"),
    "PASSWORD": os.environ.get("SHOP_POSTGRESQL_PASSWORD", ""),
}
DATABASES = {"default": _postgresql if _postgresql["HOST"] else _sqlite}

MEDIA_ROOT = DATA / "media"

BACKUP_TOKEN = os.environ.get(
    "SHOP_BACKUP_TOKEN", ""
)  # who has it may start backups by HTTP; nobody without one

# The databases of DATABASES and the files of MEDIA_ROOT go to this place.
BACKUPKIT = {
    "name": "shop",
    "destinations": os.environ.get("SHOP_BACKUPS", "/mnt/backup"),
    "encryptor": "${BACKUP_ARCHIVE_PASSWORD}",
    "notifiers": "environment",
    "schedule": "usual",  # for `manage.py backup schedule crontab`
}

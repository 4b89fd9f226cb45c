"""What a server such as uvicorn is given: `uvicorn shop.asgi:application`, the site with the management page."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from backupkit.integrations.asgi import BackupManager, by_django_user, mounted_asgi
from backupkit.integrations.django import pipelines, schedules

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
site = get_asgi_application()
page = BackupManager(pipelines(), schedule=schedules(), authorize=by_django_user(login="/login"))
application = mounted_asgi(site, "/admin/backups", page)

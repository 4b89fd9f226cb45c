"""What a server such as gunicorn is given: `gunicorn --threads 8 shop.wsgi`, the site with the management page."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from backupkit.integrations.asgi import BackupManager, by_django_user, mounted_wsgi
from backupkit.integrations.django import pipelines, schedules

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
site = get_wsgi_application()
page = BackupManager(pipelines(), schedule=schedules(), authorize=by_django_user(login="/login"))
application = mounted_wsgi(site, "/admin/backups", page)

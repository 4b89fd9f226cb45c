"""The table of all backups, a page for each, and what can be done with one."""

from __future__ import annotations

from backupkit.integrations.asgi.routes import Route

ROUTES: tuple[Route, ...] = ()

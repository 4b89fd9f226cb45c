"""What Prometheus scrapes."""

from __future__ import annotations

from backupkit.integrations.asgi.routes import Route

ROUTES: tuple[Route, ...] = ()

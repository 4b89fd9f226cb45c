"""What is under way or has ended lately: asked for, followed live, cancelled."""

from __future__ import annotations

from backupkit.integrations.asgi.routes import Route

ROUTES: tuple[Route, ...] = ()

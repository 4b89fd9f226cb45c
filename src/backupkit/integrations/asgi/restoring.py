"""Restoring as steps: which backup, what of it, where to, what that would change, and a typed confirmation."""

from __future__ import annotations

from backupkit.integrations.asgi.routes import Route

ROUTES: tuple[Route, ...] = ()

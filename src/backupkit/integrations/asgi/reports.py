"""The history: every operation with its report and its problems."""

from __future__ import annotations

from backupkit.integrations.asgi.routes import Route

ROUTES: tuple[Route, ...] = ()

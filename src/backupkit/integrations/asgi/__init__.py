"""The management page: an ASGI application that a host mounts. Import it where it is used."""

from __future__ import annotations

try:
    import jinja2 as _jinja2  # noqa: F401
    import limits as _limits  # noqa: F401
    import sqlalchemy as _sqlalchemy  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"backupkit.integrations.asgi needs {error.name}: pip install 'backupkit[web]'", name=error.name
    ) from error

from backupkit.integrations.asgi.access.abilities import EVERYTHING, Ability, Allowed, Authorize, Visitor
from backupkit.integrations.asgi.access.authorizing import (
    ADMINISTRATORS,
    by_password,
    by_role,
    by_token,
    first_of,
)
from backupkit.integrations.asgi.access.django_users import by_django_user
from backupkit.integrations.asgi.manager import BackupManager
from backupkit.integrations.asgi.mounting.mounted import mounted_asgi, mounted_wsgi
from backupkit.integrations.asgi.mounting.wsgi import as_wsgi

__all__ = [
    "ADMINISTRATORS",
    "EVERYTHING",
    "Ability",
    "Allowed",
    "Authorize",
    "BackupManager",
    "Visitor",
    "as_wsgi",
    "by_django_user",
    "by_password",
    "by_role",
    "by_token",
    "first_of",
    "mounted_asgi",
    "mounted_wsgi",
]

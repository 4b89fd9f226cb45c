"""Django, set up once in a process; each test overrides the settings that it is about."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import django
import pytest
from django.conf import settings
from django.test import override_settings

PASSPHRASE = "correct horse battery staple orbit"

Django: TypeAlias = Callable[..., None]
"""Overrides settings until the test ends; what is given for BACKUPKIT stands beside what a pipeline needs."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Django]:
    """A site in a folder of its own, with an SQLite database, media and a place for backups."""
    if not settings.configured:
        settings.configure(
            SECRET_KEY="-", INSTALLED_APPS=["backupkit.integrations.django"], DATABASES={}, USE_TZ=True
        )
        django.setup()
    for folder in ("media", "backups", "state"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("BACKUP_ARCHIVE_PASSWORD", PASSPHRASE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with ExitStack() as until_the_end, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Overriding setting DATABASES")  # no connection is opened

        def overridden(BACKUPKIT: object = None, **others: Any) -> None:  # noqa: N803 - as Django calls it
            needed: dict[str, object] = {
                "name": "shop",
                "destinations": tmp_path / "backups",
                "encryptor": "${BACKUP_ARCHIVE_PASSWORD}",
            }
            said = needed if BACKUPKIT is None else BACKUPKIT
            if isinstance(said, dict) and "pipelines" not in said:
                said = {**needed, **said}
            usual = {
                "MEDIA_ROOT": str(tmp_path / "media"),
                "DATABASES": {"default": sqlite(tmp_path / "db.sqlite3")},
            }
            until_the_end.enter_context(override_settings(**{**usual, **others, "BACKUPKIT": said}))

        yield overridden


def sqlite(path: Path | str) -> dict[str, str]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}

"""Settings in Python may hold what a file cannot: paths, and parts that were made already."""

from __future__ import annotations

from pathlib import Path

import pytest

from backupkit import Directory, KeepLast, Passphrase
from backupkit.config import from_mapping
from backupkit.errors import ConfigurationError
from backupkit.pipeline import BackupPipeline


def pipeline(**keys: object) -> BackupPipeline:
    needed = {"sources": "/srv/shop", "destinations": "/mnt/backup", "encryptor": "none"}
    return from_mapping({"pipelines": {"shop": {**needed, **keys}}}, environ={}).pipeline()


def test_a_part_that_was_made_stands_where_a_text_would() -> None:
    directory, passphrase, retention = Directory("/srv/media"), Passphrase("x" * 20), KeepLast(3)
    made = pipeline(sources=["/srv/shop", directory], encryptor=passphrase, retention=retention)
    assert made.sources[1] is directory
    assert (made.encryptor, made.retention) == (passphrase, retention)
    assert pipeline(sources=directory).sources == (directory,)


def test_a_path_is_taken_as_it_is_with_dollar_signs() -> None:
    made = pipeline(sources=[Path("/srv/${HOME}"), {"path": Path("/srv/b")}], destinations=Path("/mnt/a b"))
    assert [one.path for one in made.sources if isinstance(one, Directory)] == [
        Path("/srv/${HOME}"),
        Path("/srv/b"),
    ]
    assert made.destinations[0].location == "file:///mnt/a%20b"


def test_what_is_no_such_part_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"BACKUPKIT: pipelines\.shop: is not possible: retention"):
        pipeline(retention=Directory("/srv/media"))

"""Django's settings in, pipelines out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from backupkit import BackupPipeline, Directory, SQLite
from backupkit.errors import ConfigurationError
from backupkit.integrations.django import get_pipeline, pipelines, schedules
from tests.integrations.conftest import Django, sqlite

FILES = "django.core.files.storage.FileSystemStorage"
POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "shop",
    "HOST": "db.example",
    "PASSWORD": "s3cr$t",
}


def names(pipeline: BackupPipeline) -> list[str]:
    return [source.name for source in pipeline.sources]


def test_a_place_and_a_passphrase_are_enough(site: Django, tmp_path: Path) -> None:
    site()
    pipeline = get_pipeline()
    database, media = pipeline.sources
    assert isinstance(database, SQLite)
    assert database.path == tmp_path / "db.sqlite3"
    assert isinstance(media, Directory)
    assert media.path == tmp_path / "media"
    assert (pipeline.name, get_pipeline("shop")) == ("shop", pipeline)


def test_pipelines_are_made_once_and_anew_when_a_test_overrides_settings(site: Django) -> None:
    site()
    before = get_pipeline()
    assert get_pipeline() is before
    site(BACKUPKIT={"media": False})
    assert names(get_pipeline()) == ["sqlite-db.sqlite3"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"databases": ["default"]}, ["sqlite-db.sqlite3", "media"]),
        ({"databases": False}, ["media"]),
        ({"media": []}, ["sqlite-db.sqlite3", "postgresql-shop.sql"]),
        ({"sources": "/srv/shop"}, ["shop"]),
        ({"sources": "/srv/shop", "databases": ["other"]}, ["shop", "postgresql-shop.sql"]),
        ({"sources": [Directory("/srv/shop")], "media": True}, ["shop", "media"]),
    ],
)
def test_which_databases_and_media_can_be_chosen(
    site: Django, tmp_path: Path, said: object, expected: object
) -> None:
    site(BACKUPKIT=said, DATABASES={"default": sqlite(tmp_path / "db.sqlite3"), "other": POSTGRESQL})
    assert names(get_pipeline()) == expected


def test_several_pipelines_share_defaults_and_choose_their_sources(site: Django, tmp_path: Path) -> None:
    site(
        BACKUPKIT={
            "defaults": {"destinations": tmp_path / "backups", "encryptor": "none", "media": False},
            "pipelines": {"nightly": {"media": True, "schedule": "usual"}, "often": {}},
        }
    )
    assert {name: names(one) for name, one in pipelines().items()} == {
        "nightly": ["sqlite-db.sqlite3", "media"],
        "often": ["sqlite-db.sqlite3"],
    }
    assert {name: [str(one.job) for one in its.jobs] for name, its in schedules().items()} == {
        "nightly": ["run", "run --only databases", "clean", "monitor"]
    }
    with pytest.raises(ConfigurationError, match="name one of nightly, often"):
        get_pipeline()


def test_a_pipeline_can_be_said_in_python(site: Django, monkeypatch: pytest.MonkeyPatch) -> None:
    made = BackupPipeline("forum", Directory("/srv/forum"), "/mnt/backup", encryptor=None)
    module = ModuleType("its_backups")
    module.__dict__.update(
        pipeline=made, make=lambda: made, several=[made], twice=[made, made], wrong="forum"
    )
    monkeypatch.setitem(sys.modules, "its_backups", module)
    for place in ("its_backups:pipeline", "its_backups.make", "its_backups:several"):
        site(BACKUPKIT=place)
        assert get_pipeline("forum") is made
    site(BACKUPKIT="its_backups:twice")
    with pytest.raises(ConfigurationError, match="have the same name"):
        get_pipeline()
    site(BACKUPKIT="its_backups:wrong")
    with pytest.raises(ConfigurationError, match="'its_backups:wrong', which is of type str"):
        get_pipeline()
    site(BACKUPKIT="its_backups:missing")
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        get_pipeline()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"name": None}, 'has no "name"'),
        ([], "does not say what is backed up"),
        (
            {"databases": "default"},
            "databases of the pipeline 'shop' is neither true, false nor a list of aliases",
        ),
        ({"databases": ["defualt"]}, "DATABASES has no 'defualt'"),
        ({"media": ["pictures"]}, r"STORAGES\['pictures'\] is no storage: .*pictures"),
        ({"databases": False, "media": False}, "'shop' has nothing to back up"),
        ({"retention": "no_such"}, r"BACKUPKIT: pipelines\.shop\.retention.*no_such|BACKUPKIT: .*retention"),
    ],
)
def test_settings_that_cannot_be_used_are_told_in_a_sentence(
    site: Django, said: object, sentence: str
) -> None:
    site(BACKUPKIT=said)
    with pytest.raises(ConfigurationError, match=sentence):
        get_pipeline()


def test_a_password_with_a_dollar_sign_is_no_variable(site: Django) -> None:
    site(BACKUPKIT={"media": False}, DATABASES={"default": POSTGRESQL})
    (source,) = get_pipeline().sources
    assert source.url.password == "s3cr$t"  # type: ignore[attr-defined]  # it is of PostgreSQL


def test_a_site_that_starts_imports_nothing_that_only_backups_need() -> None:
    code = (
        "import sys, django\n"
        "from django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['backupkit.integrations.django'])\n"
        "django.setup()\n"
        "print(*{'pydantic', 'typer', 'rich', 'cronsim', 'backupkit.config'} & sys.modules.keys())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("empty", [{}, {"ENGINE": "django.db.backends.dummy"}])
def test_an_alias_without_an_engine_is_no_database(
    site: Django, tmp_path: Path, empty: dict[str, str]
) -> None:
    site(DATABASES={"default": empty, "orders": sqlite(tmp_path / "orders.sqlite3")})
    assert names(get_pipeline()) == ["sqlite-orders.sqlite3", "media"]
    site(DATABASES={"default": empty})
    assert names(get_pipeline()) == ["media"]


@pytest.mark.parametrize("storage", [{}, {"BACKEND": FILES, "OPTIONS": {"locaton": "/srv"}}])
def test_a_storage_that_cannot_be_made_is_named(site: Django, storage: dict[str, object]) -> None:
    site(STORAGES={"default": storage, "staticfiles": {"BACKEND": FILES}})
    with pytest.raises(ConfigurationError, match=r"STORAGES\['default'\] is no storage: "):
        get_pipeline()

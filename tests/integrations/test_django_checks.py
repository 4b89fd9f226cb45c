"""What `manage.py check` says of backups."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core import checks

from tests.integrations.conftest import Django, sqlite


def said(*, deploy: bool = False) -> list[tuple[str, str]]:
    found = checks.run_checks(tags=["backupkit"], include_deployment_checks=deploy)
    assert all(one.hint for one in found)
    return [(str(one.id).removeprefix("backupkit."), one.msg) for one in found]


def ids(*, deploy: bool = False) -> list[str]:
    return [id for id, _ in said(deploy=deploy)]


def test_a_site_that_is_backed_up_whole_has_nothing_to_correct(site: Django) -> None:
    site()
    assert said() == []


def test_each_thing_that_is_wrong_with_the_settings_is_an_error_of_its_own(site: Django) -> None:
    site(BACKUPKIT={"retention": "keep_everything", "chekcs": []})
    (first, message), (second, other) = said()
    assert (first, second) == ("E001", "E001")
    assert "BACKUPKIT: pipelines.shop.retention: is no type" in message
    assert "BACKUPKIT: pipelines.shop.chekcs: is no key" in other


def test_what_cannot_be_imported_or_is_not_set_is_an_error(site: Django) -> None:
    for place in ("shop.no_such:pipeline", ":pipeline"):
        site(BACKUPKIT=place)
        assert ids() == ["E001"]
    assert all(message.is_serious() for message in checks.run_checks(tags=["backupkit"]))
    site(BACKUPKIT=[])
    assert ids(deploy=True) == ["E001"]


def test_a_database_that_no_pipeline_dumps_is_named(site: Django, tmp_path: Path) -> None:
    other = {"ENGINE": "django.db.backends.postgresql", "NAME": "crm", "HOST": "db", "PASSWORD": "s3cret"}
    databases = {"default": sqlite(tmp_path / "db.sqlite3"), "crm": other}
    site(BACKUPKIT={"databases": ["default"]}, DATABASES=databases)
    assert said() == [("W001", "No pipeline backs up the database 'crm' (postgresql://db/crm).")]
    server = "postgresql://backup@db/postgres"
    site(
        BACKUPKIT={"databases": ["default"], "sources": {"type": "all_databases", "source": server}},
        DATABASES=databases,
    )
    assert [message for id, message in said() if id == "W001"] == []


def test_media_that_no_pipeline_keeps_is_named(site: Django, tmp_path: Path) -> None:
    site(BACKUPKIT={"media": False})
    assert said() == [("W002", f"No pipeline backs up the storage 'default' ({tmp_path / 'media'}).")]
    site(BACKUPKIT={"sources": tmp_path, "databases": True})
    assert said() == []


def test_a_bucket_of_media_is_known_to_be_kept_by_its_url(site: Django) -> None:
    s3 = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {"bucket_name": "shop", "location": "media"},
    }
    site(BACKUPKIT={"sources": "s3://shop", "databases": True}, STORAGES={"default": s3})
    assert ids() == []
    site(BACKUPKIT={"sources": "s3://shop/med", "databases": True}, STORAGES={"default": s3})
    assert ids() == ["W002"]


def test_a_path_that_depends_on_where_one_stands_is_named(site: Django) -> None:
    site(DATABASES={"default": sqlite("db.sqlite3")})
    assert ids() == ["W003"]


def test_a_media_folder_that_is_missing_is_named_before_a_run_is_incomplete(
    site: Django, tmp_path: Path
) -> None:
    site(MEDIA_ROOT=str(tmp_path / "not yet"))
    assert ids() == ["W004"]


@pytest.mark.parametrize("setting", ["MEDIA_ROOT", "STATIC_ROOT"])
def test_backups_where_the_web_server_gives_them_to_everybody_are_an_error(
    site: Django, tmp_path: Path, setting: str
) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "served")
    roots = {setting: str(tmp_path / "served")}
    site(BACKUPKIT={"destinations": tmp_path / "linked" / "backups"}, **roots)
    assert ids() == ["E002"]


def test_before_deployment_it_is_told_what_backups_lack(
    site: Django, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BACKUP_ARCHIVE_PASSWORD")
    site()
    assert ids() == []
    assert ids(deploy=True) == ["W006", "W007", "W008"]
    site(
        BACKUPKIT={
            "encryptor": "none",
            "destinations": "s3://shop-backups",
            "notifiers": "json://ops.example",
        }
    )
    assert ids(deploy=True) == ["W005"]
    site(
        BACKUPKIT={
            "encryptor": "none",
            "destinations": "s3://shop-backups",
            "notifiers": "json://ops.example",
        },
        DEBUG=True,
    )
    assert ids(deploy=True) == []

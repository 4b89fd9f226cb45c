"""`manage.py backup` is the command line itself, which knows the site's pipelines and databases."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from io import StringIO
from pathlib import Path
from threading import Thread
from types import ModuleType

import django
import pytest
from django.core.management import ManagementUtility, call_command
from django.core.management.base import CommandError, SystemCheckError

from backupkit import BackupPipeline, Directory
from backupkit.integrations.django import get_pipeline
from tests.integrations.conftest import Django, sqlite


@pytest.fixture
def filled(site: Django, tmp_path: Path) -> Django:
    (tmp_path / "media" / "photo.jpg").write_bytes(b"\xff\xd8")
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        database.execute("INSERT INTO orders DEFAULT VALUES")
    site()
    return site


def manage(*words: str) -> int:
    """What the process would exit with."""
    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "backup", *words]).execute()
    return int(ended.value.code or 0)


def called(*words: str) -> str:
    told = StringIO()
    call_command("backup", *words, stdout=told)
    return told.getvalue()


def test_all_verbs_find_the_pipeline_of_the_settings(
    filled: Django, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manage("run", "--only", "databases", "--json") == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "succeeded"
    assert manage("list", "--json") == 0
    (backup,) = json.loads(capsys.readouterr().out)["backups"]
    assert backup["contents"] == ["databases"]
    assert manage("run", "--quiet") == 0
    for verb in ("verify", "drill", "clean", "monitor", "summary"):
        assert manage(verb) == 0, verb


def test_the_exit_code_is_that_of_the_command_line(
    filled: Django, capsys: pytest.CaptureFixture[str]
) -> None:
    assert manage("run", "--no-such-option") == 2
    assert manage("verify") == 10
    assert "manage.py backup run" in capsys.readouterr().err


def test_help_is_that_of_the_command_line(filled: Django, capsys: pytest.CaptureFixture[str]) -> None:
    assert manage("run", "--help") == 0
    assert "Usage: manage.py backup run [OPTIONS]" in capsys.readouterr().out
    assert manage("--help") == 0
    assert "restore" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("-v", "0", "run"), ("run", "--verbosity=0", "--no-color")])
def test_django_s_own_options_may_stand_anywhere(
    filled: Django, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert manage(*words) == 0
    assert capsys.readouterr().out == ""  # verbosity 0 is --quiet
    assert len(get_pipeline().list().backups) == 1


def test_a_site_with_something_to_correct_is_backed_up_all_the_same(filled: Django, tmp_path: Path) -> None:
    filled(STATIC_ROOT=str(tmp_path))  # backups would be served
    with pytest.raises(SystemCheckError, match=r"backupkit\.E002"):
        call_command("check")
    assert manage("run", "--quiet") == 0


def test_one_of_several_pipelines_is_chosen_by_its_name(site: Django, tmp_path: Path) -> None:
    (tmp_path / "media" / "photo.jpg").write_bytes(b"\xff\xd8")
    shared = {"destinations": tmp_path / "backups", "encryptor": "none", "databases": False}
    site(BACKUPKIT={"pipelines": {"one": shared, "two": shared}})
    assert json.loads(called("run", "--pipeline", "two", "--json"))["name"] == "two"
    with pytest.raises(
        CommandError, match=r"several pipelines in manage\.py backup: give --pipeline, one of one, two"
    ):
        called("run")


def test_called_from_code_it_returns_or_raises_what_is_wrong(filled: Django) -> None:
    assert "The run of shop succeeded" in called("run")
    with pytest.raises(CommandError, match="There is no backup") as failed:
        called("verify", "--backup", "1999")
    assert failed.value.returncode == 10


def test_who_is_told_of_a_command_is_no_matter_of_the_site_s_own_pipeline(filled: Django) -> None:
    before = get_pipeline().observers
    called("run")
    assert get_pipeline().observers == before


def test_a_pipeline_that_is_named_is_meant_instead(
    filled: Django, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "forum").mkdir()
    module = ModuleType("forum_backups")
    module.__dict__["pipeline"] = BackupPipeline(
        "forum", Directory(tmp_path / "forum"), tmp_path / "backups", encryptor=None
    )
    monkeypatch.setitem(sys.modules, "forum_backups", module)
    monkeypatch.setenv("BACKUPKIT_APP", "no_such_module:pipeline")  # which is not asked
    assert "The run of forum succeeded" in called("run", "--app", "forum_backups:pipeline")
    assert "The run of shop succeeded" in called("run")


def test_cron_gets_lines_that_start_it_from_anywhere(filled: Django, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(BACKUPKIT={"schedule": [{"when": "0 2 * * *", "verb": "run"}]})
    monkeypatch.setattr(sys, "argv", ["/srv/shop/manage.py", "backup"])
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop.settings")
    (line,) = [line for line in called("schedule", "crontab").splitlines() if " run " in line]
    assert line.startswith("0 2 * * *")
    assert f"{sys.executable} /srv/shop/manage.py backup --settings=shop.settings run --wait" in line


def test_cron_gets_lines_that_start_the_module_of_django_as_one(
    filled: Django, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.setattr(sys, "argv", [str(Path(django.__file__).with_name("__main__.py")), "backup"])
    assert f"{sys.executable} -m django backup run --wait" in called("schedule", "crontab")


def test_one_word_after_ls_is_a_path_in_the_site_s_own_backups(filled: Django) -> None:
    called("run")
    assert called("ls", "media").splitlines() == ["media/photo.jpg"]


def test_a_settings_file_s_variables_are_not_read_for_a_site(filled: Django) -> None:
    with pytest.raises(CommandError, match="--env-file goes with a settings file"):
        called("run", "--env-file", ".env")


def test_called_in_a_thread_it_leaves_signals_alone(filled: Django) -> None:
    told: list[str] = []
    thread = Thread(target=lambda: told.append(called("run")))
    thread.start()
    thread.join()
    assert "succeeded" in told[0]


def test_a_database_is_restored_by_its_alias_and_media_into_their_folder(
    filled: Django, tmp_path: Path
) -> None:
    called("run")
    (tmp_path / "media" / "photo.jpg").unlink()
    (tmp_path / "db.sqlite3").unlink()
    called("restore", "--database", "default", "--create", "--to", str(tmp_path))
    assert (tmp_path / "media" / "photo.jpg").read_bytes() == b"\xff\xd8"
    assert rows(tmp_path / "db.sqlite3") == [(1,)]


def test_a_database_is_restored_alone(filled: Django, tmp_path: Path) -> None:
    called("run")
    (tmp_path / "db.sqlite3").unlink()
    (tmp_path / "media" / "photo.jpg").write_bytes(b"newer")
    called("restore", "--database", "default", "--create")
    assert rows(tmp_path / "db.sqlite3") == [(1,)]
    assert (tmp_path / "media" / "photo.jpg").read_bytes() == b"newer"


def test_a_dump_goes_to_the_database_of_another_alias(filled: Django, tmp_path: Path) -> None:
    called("run")
    filled(DATABASES={"default": sqlite(tmp_path / "db.sqlite3"), "copy": sqlite(tmp_path / "copy.sqlite3")})
    called("restore", "--database", "db=alias:copy", "--create")
    assert rows(tmp_path / "copy.sqlite3") == [(1,)]


def test_an_alias_that_there_is_not_names_those_there_are(filled: Django) -> None:
    with pytest.raises(CommandError, match="DATABASES has no 'defualt': it has 'default'") as failed:
        called("restore", "--database", "defualt")
    assert failed.value.returncode == 2


def test_settings_that_cannot_be_used_end_it_with_a_sentence(site: Django) -> None:
    site(BACKUPKIT={"encryptor": None, "destinations": []})
    with pytest.raises(CommandError, match="BACKUPKIT: ") as failed:
        called("run")
    assert failed.value.returncode == 2


def rows(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT * FROM orders").fetchall()

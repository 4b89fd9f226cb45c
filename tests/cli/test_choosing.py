"""Which pipeline is meant: one of an application, or of a settings file that is named, or found."""

from __future__ import annotations

from pathlib import Path

import pytest

from backupkit import BackupPipeline, ConfigurationError, Directory
from backupkit.cli.choosing import Choice
from backupkit.config import from_mapping
from tests.cli.shop import SECRET, Shop, make_shop

ONE = """
[pipelines.shop]
sources = "uploads"
destinations = "backups"
encryptor = "environment"
"""
TWO = """
[pipelines.losing]
sources = ["uploads", "gone"]
destinations = "more"
encryptor = "none"

[pipelines.absent]
sources = "uploads"
destinations = "not-mounted"
encryptor = "none"

[pipelines.whole]
sources = "uploads"
destinations = "backups"
encryptor = "none"
"""


def pipeline(name: str) -> BackupPipeline:
    return BackupPipeline(name, Directory("."), "backups", encryptor=None)


shop, blog = pipeline("shop"), pipeline("blog")
several = {"shop": shop, "of the blog": blog}
settings = from_mapping(
    {"pipelines": {"a": {"sources": "/srv/a", "destinations": "/mnt/backup", "encryptor": "none"}}}
)
listed = [shop, blog]
twins = [shop, shop]
mixed = {"shop": shop, "number": 42}
empty: dict[str, BackupPipeline] = {}


def made() -> dict[str, BackupPipeline]:
    return several


HERE = f"{__name__}:"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BACKUPKIT_APP", "BACKUPKIT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One with a settings file of one pipeline, and another of several that all have run."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    (shop.folder / "backupkit.toml").write_text(ONE)
    (shop.folder / "several.toml").write_text(TWO)
    (shop.folder / "secrets.env").write_text(f"BACKUP_ARCHIVE_PASSWORD={SECRET}\n")
    return shop


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (Choice(app=f"{HERE}shop"), "shop"),
        (Choice(app=f"{HERE}shop", pipeline="shop"), "shop"),
        (Choice(app=f"{HERE}several", pipeline="of the blog"), "blog"),
        (Choice(app=f"{HERE}listed", pipeline="blog"), "blog"),
        (Choice(app=f"{HERE}made", pipeline="shop"), "shop"),
        (Choice(app=f"{HERE}settings"), "a"),
    ],
)
def test_an_application_has_one_pipeline_or_several_by_their_names(choice: Choice, name: str) -> None:
    assert choice.one().name == name


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(), "No pipeline is named: give --app package.module:pipeline or --config FILE, or call"),
        (Choice(pipeline="shop"), "No pipeline is named"),
        (Choice(app=f"{HERE}shop", config="x"), "--app and --config both say where pipelines are"),
        (Choice(app=f"{HERE}shop", env_file=".env"), "--env-file goes with a settings file"),
        (Choice(app=f"{HERE}shop", pipeline="blog"), "There is no pipeline 'blog' in .*: name one of shop"),
        (Choice(app=f"{HERE}several"), "There are several .*: give --pipeline, one of shop, of the blog"),
        (Choice(app=f"{HERE}mixed"), "is of type dict, not a BackupPipeline"),
        (Choice(app=f"{HERE}twins"), "Two pipelines of .* have the same name"),
        (Choice(app=f"{HERE}empty"), "is of type dict, not a BackupPipeline"),
        (Choice(config="missing.toml"), "The settings cannot be read from .*missing.toml"),
    ],
)
def test_what_does_not_say_which_one_is_told(choice: Choice, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        choice.one()


def test_the_environment_says_it_where_no_option_does_but_not_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text(ONE)
    monkeypatch.setenv("BACKUPKIT_CONFIG", "a.toml")
    assert Choice().one().name == "shop"
    monkeypatch.setenv("BACKUPKIT_APP", f"{HERE}blog")
    with pytest.raises(ConfigurationError, match="BACKUPKIT_APP and BACKUPKIT_CONFIG both say"):
        Choice().one()
    assert Choice(app=f"{HERE}shop").one().name == "shop"
    assert Choice(config="a.toml").one().sources[0].name == "uploads"
    monkeypatch.delenv("BACKUPKIT_CONFIG")
    assert Choice().one().name == "blog"


def test_every_one_comes_in_the_order_in_which_they_are_written() -> None:
    assert [one.name for one in Choice(app=f"{HERE}several").every()] == ["shop", "blog"]
    with pytest.raises(ConfigurationError, match="--pipeline and --all-pipelines exclude each other"):
        Choice(app=f"{HERE}several", pipeline="shop").every()


def test_the_settings_of_a_folder_above_are_found_and_variables_taken_from_a_file(configured: Shop) -> None:
    below = Shop(configured.folder / "uploads")
    done = below.backupkit("run", "--env-file", "../secrets.env", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    listed = below.backupkit("list", BACKUP_ARCHIVE_PASSWORD=SECRET)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 2)


@pytest.mark.parametrize("verb", ["doctor", "drill", "retention", "verify", "restore", "delete"])
def test_verbs_take_one_pipeline_of_a_settings_file(configured: Shop, verb: str) -> None:
    """What they say of a name that is not there shows that they looked it up."""
    more = {"restore": ["--to", "x"], "delete": ["--backup", "latest"]}.get(verb, [])
    done = configured.backupkit(verb, "--config", "several.toml", "--pipeline", "shop", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no pipeline 'shop' in several.toml: name one of losing, absent, whole." in done.stderr


def test_all_pipelines_go_on_whatever_becomes_of_one_and_the_worst_code_counts(shop: Shop) -> None:
    (shop.folder / "several.toml").write_text(TWO)
    every = ("--config", "several.toml", "--all-pipelines")
    done = shop.backupkit("run", *every)
    assert done.returncode == 1
    assert "The run of whole succeeded in " in done.stdout
    assert "The run of losing is incomplete after " in done.stderr
    assert "absent:\n  The run of absent failed after " in done.stderr
    code, reports = shop.document("clean", *every)
    assert (code, [one["name"] for one in reports]) == (1, ["losing", "absent", "whole"])
    assert [one["outcome"] for one in reports] == ["succeeded", "failed", "succeeded"]
    assert reports[1]["error"]["type"] == "DestinationError"
    code, reports = shop.document("monitor", *every)
    assert (code, [one["outcome"] for one in reports]) == (1, ["failed", "failed", "succeeded"])
    code, summaries = shop.document("summary", *every)
    assert (code, [one["name"] for one in summaries]) == (0, ["losing", "absent", "whole"])
    code, listing = shop.document("list", *every)
    assert (code, [one["name"] for one in listing["backups"]]) == (3, ["whole", "losing"])
    assert len(listing["problems"]) == 1


def test_a_fault_in_one_of_all_pipelines_does_not_keep_the_others_from_being_backed_up(shop: Shop) -> None:
    (shop.folder / "faulty.py").write_text(
        "from shop_backups import made, pipeline, uploads\n"
        "class Faulty:\n"
        "    name, contents = 'faulty', 'files'\n"
        "    def entries(self):\n"
        "        raise KeyError('a bug')\n"
        "pipelines = {'faulty': made([Faulty()], name='faulty'), 'shop': pipeline}\n"
    )
    done = shop.backupkit("run", "--app", "faulty:pipelines", "--all-pipelines")
    assert done.returncode == 1
    assert "The run of shop succeeded" in done.stdout
    assert "faulty" in done.stderr
    assert "a bug" in done.stderr


def test_copies_go_to_a_pipeline_of_other_settings(configured: Shop) -> None:
    one = ONE.replace('"environment"', '"none"')
    (configured.folder / "here.toml").write_text(one)
    (configured.folder / "there.toml").write_text(one.replace('"backups"', '"more"') + TWO)
    configured.backupkit("run", "--config", "here.toml")
    to = ("--to-config", "there.toml")
    done = configured.backupkit("copy", "--config", "here.toml", *to)
    assert (done.returncode, "give --pipeline, one of shop, losing" in done.stderr) == (2, True)
    done = configured.backupkit("copy", "--config", "here.toml", *to, "--to-pipeline", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert len([*(configured.folder / "more").rglob("*.zip")]) == 1

"""A run never backs up its own local destinations, wherever they lie."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from backupkit import Around, BackupPipeline, ConfigurationError, Directory, LocalDestination
from backupkit.testing.trees import tree
from tests.pipeline.shop import Make, names


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tree(tmp_path / "app", {"index.html": "<h1>Shop</h1>", "uploads": {"a.jpg": "a"}})


def paths(pipeline: BackupPipeline) -> list[str]:
    """What is in the second backup, when the first one is there already and has been verified."""
    pipeline.run()
    pipeline.verify()
    report = pipeline.run()
    assert (report.outcome, report.problems) == ("succeeded", ())
    return [entry.path for entry in pipeline.entries()]


ALL = ["app", "app/index.html", "app/uploads", "app/uploads/a.jpg"]


def test_a_destination_inside_the_source_is_left_out(make: Make, app: Path) -> None:
    (app / "var/backups").mkdir(parents=True)
    assert paths(make(Directory(app), app / "var/backups")) == [*ALL, "app/var"]


def test_a_destination_that_the_run_itself_makes_is_left_out(make: Make, app: Path) -> None:
    destination = LocalDestination(app / "var/backups", create=True)
    assert "app/var/backups" not in paths(make(Directory(app), destination))


def test_a_destination_that_is_the_source_keeps_backups_and_marks_out(make: Make, app: Path) -> None:
    assert paths(make(Directory(app), app)) == ALL
    assert len(names(app)) == 2 + 2 * 2 + 1


@pytest.mark.parametrize("linked", ["the destination", "the source", "a folder on the way"])
def test_a_symlink_on_either_side_hides_nothing(make: Make, app: Path, tmp_path: Path, linked: str) -> None:
    (app / "backups").mkdir()
    source, destination = app, app / "backups"
    match linked:
        case "the destination":
            destination = tmp_path / "link"
            destination.symlink_to(app / "backups")
        case "the source":
            source = tmp_path / "link"
            source.symlink_to(app)
        case _:
            (tmp_path / "link").symlink_to(app)
            destination = tmp_path / "link/backups"
    assert paths(make(Directory(source, name="app"), destination)) == ALL


def test_a_symlink_in_the_source_that_leads_there_is_not_followed_into_it(make: Make, app: Path) -> None:
    backups = app.with_name("backups")
    backups.mkdir()
    (app / "to-backups").symlink_to(backups)
    assert paths(make(Directory(app, follow_symlinks=True), backups)) == ALL


def test_every_destination_is_left_out_even_if_the_run_goes_to_one(
    make: Make, app: Path, tmp_path: Path
) -> None:
    (app / "backups").mkdir()
    outside = LocalDestination(tmp_path / "outside", create=True)
    pipeline = make(Directory(app), [outside, app / "backups"])
    pipeline.run()
    pipeline.run(to=outside.location)
    assert [entry.path for entry in pipeline.entries(at=outside.location)] == ALL


def test_hooks_around_a_source_change_nothing(make: Make, app: Path) -> None:
    (app / "backups").mkdir()
    assert paths(make(Around(Directory(app), nullcontext), app / "backups")) == ALL


def test_all_sources_leave_them_out(make: Make, app: Path) -> None:
    (app / "uploads/backups").mkdir()
    sources = [Directory(app), Directory(app / "uploads", name="media")]
    assert paths(make(sources, app / "uploads/backups")) == [*ALL, "media", "media/a.jpg"]


def test_another_pipelines_destination_is_data_like_any_other(make: Make, app: Path, tmp_path: Path) -> None:
    (app / "other").mkdir()
    make(Directory(app / "uploads"), app / "other", name="other").run()
    assert any(
        path.endswith(".zip")
        for path in paths(make(Directory(app), LocalDestination(tmp_path / "b", create=True)))
    )


def test_archives_that_would_go_right_into_the_source_are_refused(
    make: Make, app: Path, tmp_path: Path
) -> None:
    before = names(app)
    (tmp_path / "link").symlink_to(tmp_path)
    for destination in (tmp_path, tmp_path / "link"):
        for source in (Directory(app), Around(Directory(app), nullcontext)):
            with pytest.raises(ConfigurationError, match="name a destination outside the source"):
                make(source, destination, name="app").run()
    assert names(app) == before
    assert make(Directory(app), tmp_path, name="another").run().outcome == "succeeded"

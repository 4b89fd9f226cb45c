from __future__ import annotations

from pathlib import Path

import pytest

from backupkit.destinations.local import LocalDestination
from backupkit.destinations.opening import chosen_of, open_destination, open_destinations, within
from backupkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("/mnt/backup", "/mnt/backup"),
        (Path("/mnt/backup"), "/mnt/backup"),
        (Path("/mnt/file:"), "/mnt/file:"),
        ("/mnt/a:b%20c", "/mnt/a:b%20c"),
        ("file:///mnt/backup", "/mnt/backup"),
        ("FILE:///mnt/backup/", "/mnt/backup"),
        ("file:///mnt/my%20backups/%C3%BC", "/mnt/my backups/ü"),
        ("file:///mnt/%FF", "/mnt/\udcff"),
        ("file:///", "/"),
    ],
)
def test_a_path_or_a_file_url_is_a_local_folder(url: str | Path, folder: str) -> None:
    destination = open_destination(url)
    assert isinstance(destination, LocalDestination)
    assert str(destination.folder) == folder


def test_the_folder_above_a_local_destination_has_its_options(tmp_path: Path) -> None:
    found = within(LocalDestination(tmp_path / "backups" / "shop", mode=0o640, create=True))
    assert found is not None
    above, name = found
    assert name == "shop"
    above.write("shop/object", [b"content"])
    assert (tmp_path / "backups" / "shop" / "object").stat().st_mode & 0o777 == 0o640
    assert within(LocalDestination("/")) is None


def test_a_relative_path_is_one_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("./a:b", Path("a:b")):
        destination = open_destination(url)
        assert isinstance(destination, LocalDestination)
        assert destination.folder == tmp_path / "a:b"


@pytest.mark.parametrize(
    "folder", ["/mnt/backup", "/mnt/my backups", "/mnt/100%25", "/mnt/ü\udcff", "/a?b#c"]
)
def test_the_location_of_a_destination_opens_it_again(folder: str) -> None:
    location = LocalDestination(folder).location
    reopened = open_destination(location)
    assert isinstance(reopened, LocalDestination)
    assert str(reopened.folder) == folder


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("s3://key:hunter2@bucket/shop", "no place for credentials"),
        ("s3://bucket/shop?secret=hunter2", "these settings"),
        ("s3:hunter2", "no URL of a file system"),
        ("C:hunter2", "no URL of a file system"),
        ("nothing://hunter2", "no kind of destination"),
        ("zip://hunter2::s3://bucket", "one file system inside another"),
        ("memory://hunter2\n", "cannot be printed"),
    ],
)
def test_what_no_url_can_mean_is_refused_without_repeating_what_may_be_a_secret(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        open_destination(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["file://server/mnt", "file://u:hunter2@server/x", "file:mnt", "file:", "file:/mnt"]
)
def test_a_file_url_with_a_host_or_a_relative_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="three slashes") as caught:
        open_destination(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "file:///a%00b"])
def test_a_path_that_no_folder_can_have_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_destination(url)


def test_one_of_several_is_chosen_by_its_location_with_its_settings_or_without() -> None:
    both = open_destinations(["s3://backups/shop?endpoint_url=https://s3.example", "memory://shop"])
    for at in (
        "s3://backups/shop?endpoint_url=https://s3.example",
        "s3://backups/shop",
        "s3a://backups/shop",
    ):
        assert [*chosen_of(both, at)] == [both[0]]
    assert [*chosen_of(both, None)] == [*both]
    with pytest.raises(ConfigurationError, match="use one of s3://backups/shop"):
        chosen_of(both, "s3://backups")

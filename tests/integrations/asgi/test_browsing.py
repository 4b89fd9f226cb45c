"""Looking into a backup by the page: its folders, whatever their entries are called."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from backupkit import Backup, BackupPipeline, Directory, Entry, Zip
from backupkit.protocols import Format
from tests.integrations.asgi.stored import PASSPHRASE, SNAPSHOTS, Counting, Given, page_of, pipeline_of
from tests.integrations.asgi.visitor import Browser

STRANGE = [
    b"no utf-8 \xff\xfe",
    b"line\nand tab\tand bell\x07",
    b"a" * 255,
    "right to left \u202egpj.exe".encode(),
    b"percent %2e%2e and plus + and &amp; and ?query#part",
    b"<script>alert(1)",
    b"'quotes\" and \\",
    b"..hidden",
    "Übergröße 한".encode(),
    b" spaces ",
]


class Stored:
    """A backup of a strange tree in one of the formats, and the page that shows it."""

    def __init__(self, tmp_path: Path, format_: Format) -> None:
        self.tree = tmp_path / "app"
        (self.tree / "sub" / "deep").mkdir(parents=True)
        (self.tree / "sub" / "deep" / "x.txt").write_text("x")
        (self.tree / "sub" / "empty").mkdir()
        (self.tree / "link").symlink_to("sub/<deep>")
        for number, name in enumerate(STRANGE):
            Path(os.fsdecode(os.fsencode(self.tree) + b"/" + name)).write_bytes(b"content %d" % number)
        self.destination = Counting()
        self.pipeline: BackupPipeline = pipeline_of(
            Directory(self.tree), self.destination, encryptor=PASSPHRASE, format=format_
        )
        self.pipeline.run()
        self.backup: Backup = self.pipeline.get()
        self.browser: Browser = page_of(self.pipeline, tmp_path)
        # Archives have the files of a folder below its name, snapshots where they were.
        self.top = "app" if isinstance(format_, Zip) else str(self.tree).strip("/")

    def get(self, path: str, **headers: str) -> str:
        answer = self.browser.get(tree(self.backup, path), **headers)
        assert answer.status_code == 200, answer.text
        return str(answer.text)


@pytest.fixture(scope="module", params=[Zip(), SNAPSHOTS], ids=["archive", "snapshot"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("stored"), request.param)


def tree(backup: Backup, path: str = "", **query: object) -> str:
    said = {"at": backup.location, "path": path, **query}
    return f"/pipelines/shop/backups/{backup.id}/tree?{urlencode(said, errors='surrogateescape')}"


def links(text: str, what: str) -> list[str]:
    """The addresses of a page that lead to folders or files."""
    return [html.unescape(one) for one in re.findall(rf'href="([^"]*/{what}\?[^"]*)"', text)]


def test_one_gets_from_the_top_to_a_file_by_links_alone(stored: Stored) -> None:
    text, path = stored.get(""), ""
    for name in [*stored.top.split("/"), "sub", "deep"]:
        path = f"{path}/{name}".lstrip("/")
        [link] = [one for one in links(text, "tree") if parse_qs(urlsplit(one).query).get("path") == [path]]
        text = stored.browser.get(link).text
    [file] = links(text, "file")
    assert stored.browser.get(file).content == b"x"
    above = [parse_qs(urlsplit(one).query).get("path", [""])[0] for one in links(text, "tree")]
    assert f"{stored.top}/sub" in above


def test_names_of_any_bytes_are_shown_safely_and_lead_to_their_contents(stored: Stored) -> None:
    text = stored.get(stored.top)
    found = sorted(stored.browser.get(one).content for one in links(text, "file"))
    assert found == sorted(b"content %d" % number for number in range(len(STRANGE)))
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "\x07" not in text
    for shown in (r"no utf-8 \udcff\udcfe", r"line\nand tab\tand bell\x07", r"\u202egpj.exe", "a" * 255):
        assert shown in text
    assert "sub/&lt;deep&gt;" in text  # where the link leads


def test_htmx_gets_only_what_is_in_the_folder(stored: Stored) -> None:
    part = stored.get(f"{stored.top}/sub", **{"hx-request": "true"})
    assert "<html" not in part
    assert "deep/" in part
    assert "hx-get=" in part
    assert "This folder is empty." in stored.get(f"{stored.top}/sub/empty")


def test_a_folder_is_read_once_for_all_clicks(stored: Stored) -> None:
    stored.get(stored.top)
    stored.get(f"{stored.top}/sub")
    stored.destination.reads.clear()
    listed = stored.destination.listed
    for _ in range(3):
        stored.get(stored.top)
        stored.get(f"{stored.top}/sub")
    assert stored.destination.reads == []
    assert stored.destination.listed == listed


@pytest.mark.parametrize(
    "path",
    ["nowhere", "{top}/sub/none", "{top}/sub/deep/x.txt", "{top}/link", "../../etc", "/etc", "a//b", "\0"],
)
def test_what_is_no_folder_of_the_backup_is_a_sentence(stored: Stored, path: str) -> None:
    answer = stored.browser.get(tree(stored.backup, path.format(top=stored.top)))
    assert answer.status_code == 404
    assert re.search("There is nothing at this path|This is no folder", answer.text)


def test_a_folder_of_thousands_comes_in_pages_without_a_gap(tmp_path: Path) -> None:
    names = [f"{number:04}" for number in range(2500)]
    entries = [Entry(path=f"many/{name}", chunks=lambda: iter([b"x"])) for name in names]
    pipeline = pipeline_of(Given("many", [Entry(path="many", kind="directory"), *entries]), Counting())
    pipeline.run()
    browser, found = page_of(pipeline, tmp_path), list[str]()
    for number in ("1", "2", "3"):
        text = browser.get(tree(pipeline.get(), "many", page=number)).text
        found += re.findall(r"download>(\d+)</a>", text)
        assert f"Page {number} of 3, of 2500 entries" in text
    assert found == names


@pytest.mark.parametrize("what", ["tree", "file", "archive"])
@pytest.mark.parametrize("known", [True, False])
def test_what_was_removed_meanwhile_is_said_to_be(tmp_path: Path, what: str, known: bool) -> None:
    destination = Counting()
    pipeline = pipeline_of(Given("app", [Entry(path="a", chunks=lambda: iter([b"a"]))]), destination)
    pipeline.run()
    backup = pipeline.get()
    browser = page_of(pipeline, tmp_path)
    browser.get(tree(backup) if known else "/backups")
    pipeline.delete(backup, force=True)
    answer = browser.get(tree(backup, "a").replace("/tree?", f"/{what}?"))
    assert answer.status_code == 404
    assert re.search("removed meanwhile|This is no folder", answer.text)
    assert "There is no such backup" in browser.get(tree(backup)).text or (known and what == "tree")


def test_who_may_only_look_is_offered_no_download(stored: Stored) -> None:
    text = Browser(stored.browser.manager, ["view"]).get(tree(stored.backup, stored.top)).text
    assert links(text, "file") == []
    assert "..hidden" in text


def test_times_that_are_in_no_calendar_are_left_out(tmp_path: Path) -> None:
    entries = [
        Entry(path=f"{number}", modified_ns=ns, chunks=lambda: iter([b"x"]))
        for number, ns in enumerate([None, 0, 10**30, -(10**30), 253402300799 * 10**9])
    ]
    pipeline = pipeline_of(Given("app", entries), Counting())
    pipeline.run()
    text = page_of(pipeline, tmp_path).get(tree(pipeline.get())).text
    assert re.findall(r'<time datetime="(.*?)"', text) == ["1970-01-01T00:00:00+00:00"]

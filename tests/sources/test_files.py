from __future__ import annotations

import os
import socket
import stat
from itertools import islice
from pathlib import Path

import pytest

from backupkit.errors import ConfigurationError, SourceError
from backupkit.model import Entry, Origin, Part, Problem
from backupkit.protocols import ExcludesPaths, Source
from backupkit.sources.files import Directory
from backupkit.testing.sources import SourceTests
from backupkit.testing.trees import File, Folder, Hardlink, Symlink, tree
from tests.sources.walking import content, entries, entry, paths, problems

ODD_NAMES = [
    "new\nline",
    "\n",
    " ",
    " leading",
    "trailing ",
    "tab\t",
    "back\\slash",
    "*",
    "[x]",
    "-rf",
    "#hash",
    "!bang",
    "~",
    "...",
    "\x1b[31m",
    "ü",
    os.fsdecode(b"latin-\xe9"),
    os.fsdecode(b"\xff\xfe"),
    "x" * 255,
]


class TestDirectory(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        tree(
            tmp_path / "shop",
            {
                "a": {"b": {"c.txt": "deep"}, "empty": {}},
                "a-b": "sorts between a and a/b",
                "big.bin": os.urandom(3_000_000),
                "empty.txt": "",
                "link": Symlink("a/b/c.txt"),
                "sparse": File({5_000_000: b"end"}),
                "twin": Hardlink("a-b"),
                **dict.fromkeys(ODD_NAMES, "odd"),
            },
        )
        os.mkfifo(tmp_path / "shop" / "a" / "pipe")
        return Directory(tmp_path / "shop")

    @pytest.fixture
    def failing_source(self, tmp_path: Path) -> Source:
        return Directory(tmp_path / "missing")


class TestDirectoryInPart(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        root = tree(
            tmp_path / "shop",
            {
                "a": {"b": {"c.txt": "deep", "d.log": ""}, "empty": {}, "x": {"y.log": ""}},
                "backups": {"b.txt": "left out"},
                "link": Symlink("a"),
                "tmp": {"e.txt": ""},
                "twin": {"e.txt": Hardlink("tmp/e.txt"), "f.txt": Hardlink("tmp/e.txt")},
            },
        )
        source = Directory(root, include=["*.txt"], exclude=["tmp/"], follow_symlinks=True)
        return source.excluding([root / "backups"])


class TestSingleFile(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Source:
        tree(tmp_path, {"app.conf": "debug = no"})
        return Directory(tmp_path / "app.conf")


def test_it_can_leave_paths_out() -> None:
    assert isinstance(Directory("/srv/shop"), ExcludesPaths)


# --- the constructor -------------------------------------------------------------------------------------


def test_the_name_is_the_last_component_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Directory("/srv/shop").name == "shop"
    assert Directory("/srv/shop/").name == "shop"
    assert Directory(Path("uploads")).name == "uploads"
    assert Directory(".").name == tmp_path.name
    assert Directory("/srv/shop", name="files").name == "files"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0b", ".backupkit", "db-dumps"])
def test_a_name_that_cannot_stand_in_a_backup_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name='shop'"):
        Directory("/srv/shop", name=name)


@pytest.mark.parametrize("path", ["/", "/srv/..", "/srv/db-dumps"])
def test_a_path_that_gives_no_usable_name_asks_for_one(path: str) -> None:
    with pytest.raises(ConfigurationError, match="name='shop'"):
        Directory(path)
    assert Directory(path, name="shop").name == "shop"


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_an_impossible_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="is no path"):
        Directory(path, name="shop")


def test_a_relative_path_stays_what_it_was_when_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"shop": {"a.txt": "a"}, "elsewhere": {}})
    monkeypatch.chdir(tmp_path)
    source = Directory("shop")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert paths(source) == ["a.txt"]


def test_the_constructor_looks_at_nothing(tmp_path: Path) -> None:
    assert Directory(tmp_path / "missing", exclude=["*.log"]).name == "missing"


# --- the root --------------------------------------------------------------------------------------------


def test_a_missing_root_is_an_error_and_never_an_empty_backup(tmp_path: Path) -> None:
    walk = Directory(tmp_path / "missing").entries()
    with pytest.raises(SourceError, match=r"No such file or directory.*mount it, create it") as caught:
        next(walk)
    assert caught.value.path == "missing"
    assert caught.value.severity == "error"


def test_the_root_comes_first_and_everything_stands_below_its_name(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a.txt": "a"})
    assert [(e.path, e.kind) for e in entries(Directory(root, name="files"))] == [
        ("files", "directory"),
        ("files/a.txt", "file"),
    ]


def test_an_empty_root_is_one_entry(tmp_path: Path) -> None:
    assert [e.path for e in entries(Directory(tree(tmp_path / "shop", {})))] == ["shop"]


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    tree(tmp_path, {"releases": {"1": {"a.txt": "a"}}, "current": Symlink("releases/1")})
    found = entries(Directory(tmp_path / "current"))
    assert [(e.path, e.kind) for e in found] == [("current", "directory"), ("current/a.txt", "file")]
    assert content(found[1]) == b"a"


def test_a_root_link_that_is_turned_during_the_walk_does_not_mix_two_releases(tmp_path: Path) -> None:
    tree(tmp_path, {"1": {"a": "1", "b": "1"}, "2": {"a": "2", "b": "2"}, "current": Symlink("1")})
    walk = Directory(tmp_path / "current").entries()
    next(walk)
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(tmp_path / "current")
    assert [content(e) for e in walk if isinstance(e, Entry)] == [b"1", b"1"]


def test_a_root_that_goes_away_during_the_walk_is_an_error(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "a", "b": "b"})
    walk = Directory(root).entries()
    next(walk)
    root.rename(tmp_path / "gone")
    with pytest.raises(SourceError, match="was unmounted, replaced or deleted"):
        list(walk)


def test_a_single_file_has_the_name_as_its_path(tmp_path: Path) -> None:
    tree(tmp_path, {"app.conf": "debug = no"})
    (found,) = entries(Directory(tmp_path / "app.conf", name="settings"))
    assert (found.path, found.kind, content(found)) == ("settings", "file", b"debug = no")


def test_a_single_file_may_be_given_by_a_link(tmp_path: Path) -> None:
    tree(tmp_path, {"1.conf": "one", "app.conf": Symlink("1.conf")})
    (found,) = entries(Directory(tmp_path / "app.conf"))
    assert (found.path, found.kind, content(found)) == ("app.conf", "file", b"one")


def test_a_root_that_is_neither_folder_nor_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a folder nor a file"):
        list(Directory(tmp_path / "pipe").entries())


# --- the walk --------------------------------------------------------------------------------------------


def test_the_walk_goes_depth_first_in_name_order(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"b": {"z": "", "a": ""}, "a-b": "", "a": {"x": {}}, "B": ""})
    assert paths(Directory(root)) == ["B", "a/", "a/x/", "a-b", "b/", "b/a", "b/z"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_a_file_can_have_is_kept(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path / "shop", {name: {name: "content"}})
    source = Directory(root, exclude=["*.log", "/tmp", "vendor/"])
    assert [e.path for e in entries(source)] == ["shop", f"shop/{name}", f"shop/{name}/{name}"]
    assert content(entries(source)[2]) == b"content"


def test_a_message_can_be_printed_whatever_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"\xff\n\x1b[31m")
    monkeypatch.chdir(tree(tmp_path / "shop", {}))  # a socket's path may be no longer than 100 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        (problem,) = problems(Directory(tmp_path / "shop"))
    assert problem.path == f"shop/{name}"
    assert problem.message.isprintable()
    assert problem.message.encode()


def test_a_very_deep_tree_is_walked_to_its_end(tmp_path: Path) -> None:
    depth = 1200  # more than Python's limit of recursion, less than the longest path
    folders = [tmp_path / ("d/" * level) for level in range(1, depth + 1)]
    for folder in folders:
        folder.mkdir()
    assert len(entries(Directory(tmp_path, name="deep"))) == depth + 1
    for folder in reversed(folders):  # pytest's own way to clean up is recursive
        folder.rmdir()


def test_metadata_is_what_the_file_system_says(tmp_path: Path) -> None:
    modified = 1_234_567_890_123_456_789
    root = tree(
        tmp_path / "shop",
        {
            "run.sh": File("#!/bin/sh", mode=0o4751, modified_ns=modified),
            "private": Folder({}, mode=0o1700, modified_ns=modified + 1),
            "link": Symlink("run.sh", modified_ns=modified + 2),
        },
    )
    assert [(e.path, e.mode, e.modified_ns, e.size) for e in entries(Directory(root))[1:]] == [
        ("shop/link", stat.S_IMODE(os.lstat(root / "link").st_mode), modified + 2, None),
        ("shop/private", 0o1700, modified + 1, None),
        ("shop/run.sh", 0o4751, modified, 9),
    ]


def test_the_owner_stands_there_by_number_and_name(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": ""})
    owner = entry(Directory(root), "shop/a").owner
    assert owner is not None
    assert (owner.uid, owner.gid) == (os.geteuid(), (root / "a").stat().st_gid)
    try:
        assert owner.user == (root / "a").owner()
    except KeyError:
        assert owner.user is None


def test_an_owner_without_a_name_has_a_number(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    root = tree(tmp_path / "shop", {"a": ""})
    os.chown(root / "a", 4_000_123, 4_000_124)
    owner = entry(Directory(root), "shop/a").owner
    assert owner is not None
    assert (owner.uid, owner.gid, owner.user, owner.group) == (4_000_123, 4_000_124, None, None)


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    try:
        root = tree(
            tmp_path / "shop",
            {
                "a": File("", xattrs={"user.origin": b"\0\xff", "user.empty": b""}),
                "d": Folder({}, xattrs={"user.d": b"1"}),
                "none": "",
            },
        )
    except (OSError, AttributeError):
        pytest.skip("no extended attributes in the folder for temporary files")
    source = Directory(root)
    assert _of_users(entry(source, "shop/a")) == {"user.origin": b"\0\xff", "user.empty": b""}
    assert _of_users(entry(source, "shop/d")) == {"user.d": b"1"}
    assert _of_users(entry(source, "shop/none")) == {}


def _of_users(entry: Entry) -> dict[str, bytes]:
    return {name: value for name, value in entry.xattrs.items() if name.startswith("user.")}


# --- what is skipped, and what is told -------------------------------------------------------------------


def test_sockets_are_skipped_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path / "shop", {"a.txt": "a"})
    monkeypatch.chdir(root)  # a socket's path may be no longer than 100 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = list(Directory(root).entries())
    assert [(type(one), one.path) for one in found] == [
        (Entry, "shop"),
        (Entry, "shop/a.txt"),
        (Problem, "shop/socket"),
    ]
    told = [(one.severity, one.message.split(" is ")[1]) for one in found if isinstance(one, Problem)]
    assert told == [("warning", "a socket: skipped.")]


def test_an_excluded_socket_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree(tmp_path / "shop", {}))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert problems(Directory(tmp_path / "shop", exclude=["socket"])) == []


def test_a_pipe_is_kept_and_never_waited_for(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a.txt": "a"})
    os.mkfifo(root / "pipe")
    (root / "pipe").chmod(0o640)
    os.utime(root / "pipe", ns=(5, 7))
    pipe = entry(Directory(root), "shop/pipe")
    assert (pipe.kind, pipe.mode, pipe.modified_ns, pipe.size) == ("fifo", 0o640, 7, None)
    assert content(pipe) == b""


@pytest.mark.parametrize(("type_", "kind"), [(stat.S_IFCHR, "chardev"), (stat.S_IFBLK, "blockdev")])
def test_a_device_is_kept_with_its_numbers_and_never_opened(tmp_path: Path, type_: int, kind: str) -> None:
    root = tree(tmp_path / "shop", {})
    try:
        os.mknod(root / "device", type_ | 0o640, os.makedev(240, 300))  # for local use: no driver has it
    except PermissionError:
        pytest.skip("only root may make device nodes, and not everywhere")
    device = entry(Directory(root), "shop/device")
    assert (device.kind, device.device, device.mode) == (kind, (240, 300), 0o640)
    assert content(device) == b""


def test_a_file_deleted_after_its_folder_was_listed_is_a_warning(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "a", "b": "b", "c": "c"})
    walk = Directory(root).entries()
    assert [found.path for found in (next(walk), next(walk))] == ["shop", "shop/a"]
    (root / "b").unlink()
    b, c = walk
    assert isinstance(c, Entry)
    assert isinstance(b, Problem)
    assert (b.path, b.severity) == ("shop/b", "warning")


def test_a_folder_deleted_after_it_was_yielded_is_a_warning(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {"x": "x"}, "b": "b"})
    walk = Directory(root).entries()
    assert [found.path for found in (next(walk), next(walk))] == ["shop", "shop/a"]
    (root / "a" / "x").unlink()
    (root / "a").rmdir()
    gone, b = walk
    assert isinstance(gone, Problem)
    assert (gone.path, gone.severity) == ("shop/a", "warning")
    assert b.path == "shop/b"


# --- where it was read, and parts ------------------------------------------------------------------------


def test_an_entry_says_where_it_was_read_and_what_changes_when_it_changes(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"d": {"a": "a", "b": Hardlink("d/a")}})
    for path in ("shop", "shop/d", "shop/d/a"):
        status = (tmp_path / path).stat()
        assert entry(Directory(root), path).origin == Origin(
            str(tmp_path / path), status.st_ino, status.st_dev, status.st_nlink, status.st_ctime_ns
        )


def test_what_was_read_through_a_link_stays_where_the_user_said_that_it_is(tmp_path: Path) -> None:
    tree(tmp_path, {"releases": {"1": {"a.txt": "a"}}, "current": Symlink("releases/1")})
    found = entries(Directory(f"{tmp_path}/releases/../current"))
    assert [one.origin and one.origin.path for one in found] == [
        f"{tmp_path}/current",
        f"{tmp_path}/current/a.txt",
    ]
    (alone,) = entries(Directory(tmp_path / "current" / "a.txt"))
    assert alone.origin is not None
    assert alone.origin.path == f"{tmp_path}/current/a.txt"


def test_the_root_of_all_files_is_written_with_one_slash() -> None:
    root, *_ = islice(Directory("//", name="all", exclude=["*"]).entries(), 1)
    assert isinstance(root, Entry)
    assert root.origin is not None
    assert root.origin.path == "/"


def test_a_part_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": {"b": "b"}})
    (part,) = Directory(root).parts()
    assert isinstance(part, Part)
    (a,) = part.read()
    assert isinstance(a, Part)
    tree(root / "a", {"c": "c"})
    assert [one.path for one in a.read() if isinstance(one, Entry)] == ["shop/a/b", "shop/a/c"]


def test_a_folder_that_may_lead_to_what_is_included_is_a_part_that_is_not_wanted_for_itself(
    tmp_path: Path,
) -> None:
    root = tree(tmp_path / "shop", {"a": {"notes.txt": ""}, "photos": {}})
    (top,) = Directory(root, include=["photos"]).parts()
    assert isinstance(top, Part)
    assert [(one.entry.path, one.wanted) for one in top.read() if isinstance(one, Part)] == [
        ("shop/a", False),
        ("shop/photos", True),
    ]


def test_a_root_that_goes_away_while_its_parts_are_read_is_an_error(tmp_path: Path) -> None:
    root = tree(tmp_path / "shop", {"a": "a"})
    parts = Directory(root).parts()
    next(parts)
    root.rename(tmp_path / "gone")
    with pytest.raises(SourceError, match="was unmounted, replaced or deleted"):
        next(parts)


def test_names_of_any_bytes_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = [b"a", b"\x80", "ü".encode(), "\U0001f600".encode(), b"\xff"]
    root = tree(tmp_path / "shop", {os.fsdecode(name): "" for name in reversed(names)})
    assert [os.fsencode(path) for path in paths(Directory(root))] == names

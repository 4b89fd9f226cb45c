"""Names of nodes, as Go quotes them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.formats.restic import go_json
from backupkit.formats.restic.index import index_document, pack_text
from backupkit.formats.restic.layout import storage_id
from backupkit.formats.restic.packs import Pack
from backupkit.formats.restic.quoting import quote, unquote
from backupkit.formats.restic.times import time_text
from tests.formats.restic.stock import Opened, made_here

ODD = [
    b"plain.txt",
    b"with space",
    "Grüße 語 😀".encode(),
    b'quote"back\\slash',
    b"new\nline tab\t bell\a \b\f\r\v",
    b"control\x01\x1b\x7f",
    b"latin-1 \xfc\xdf",
    b"\xff\xfe\x80",
    b"half a character \xe8\xaa",
    "no-break\u00a0space, soft\u00adhyphen, \u2028, \ufeff, \ufffd, \u200b".encode(),
    "private \ue000 and unassigned \U000e0fff \U0010ffff".encode(),
    b"\\x41 \\u0041 \\n",
    b"'",
    b"<&>",
]


@given(st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_name_is_itself_again(name: str) -> None:
    quoted = quote(name)
    assert unquote(quoted) == name
    quoted.encode()  # bytes that are no text are written out


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_itself_again(name: str) -> None:
    assert unquote(quote(name)) == name


@given(st.text())
def test_whatever_stands_in_a_tree_is_a_name_that_the_system_takes_or_a_value_error(quoted: str) -> None:
    try:
        name = unquote(quoted)
    except ValueError:
        return
    assert os.fsencode(name).decode("utf-8", "surrogateescape") == name


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        (r"\a\b\f\n\r\t\v\\\"\'", "\a\b\f\n\r\t\v\\\"'"),
        (r"\x41\101\u0041\U00000041", "AAAA"),
        (r"\xc3\xa9", "é"),
        (r"\xff\377", "\udcff\udcff"),
    ],
)
def test_all_escapes_of_go_are_understood(quoted: str, name: str) -> None:
    assert unquote(quoted) == name


@pytest.mark.parametrize(
    "quoted",
    ["\\", r"\x4", r"\xgg", r"\u004", r"\ud800", r"\U00110000", r"\Uffffffff", r"\400", r"\8", r"\q"],
)
def test_what_go_would_not_write_is_a_value_error(quoted: str) -> None:
    with pytest.raises(ValueError, match=r"escape|character|codec"):
        unquote(quoted)


@pytest.mark.interop
def test_names_that_restic_quoted_are_those_of_the_files(tmp_path: Path) -> None:
    _, restic = made_here(tmp_path / "repository")
    (tmp_path / "tree").mkdir()
    for name in ODD:
        Path(os.fsdecode(os.fsencode(tmp_path / "tree") + b"/" + name)).write_bytes(b"")
    restic.must("backup", ".", cwd=tmp_path / "tree")
    nodes = json.loads(restic.must("cat", "blob", json.loads(restic.must("snapshots", "--json"))[0]["tree"]))[
        "nodes"
    ]
    while nodes[0]["type"] == "dir":
        nodes = json.loads(restic.must("cat", "blob", nodes[0]["subtree"]))["nodes"]
    assert {os.fsencode(unquote(node["name"])) for node in nodes} == set(ODD)
    assert {quote(os.fsdecode(name)) for name in ODD} == {node["name"] for node in nodes}


def store_tree(repository: Opened, names: list[bytes]) -> None:
    """A snapshot with empty files of these names."""
    node = {"type": "file", "mode": 0o644, "mtime": "2026-01-31T12:00:00Z", "size": 0, "content": []}
    nodes = [{"name": quote(os.fsdecode(name))} | node for name in sorted(names)]
    plain = go_json.dumps({"nodes": nodes}) + b"\n"
    pack = Pack(tree=True)
    pack.add(bytes.fromhex(storage_id(plain)), repository.sealer.seal(plain), 0)
    finished = pack.finished(repository.sealer)
    repository.objects.write("data", finished.content, finished.id)
    repository.objects.save(
        "index", index_document([pack_text(finished.id, finished.blobs)]), repository.sealer
    )
    snapshot = {
        "time": time_text(datetime(2026, 1, 31, 12, tzinfo=UTC)),
        "tree": storage_id(plain),
        "paths": ["/srv"],
        "hostname": "web7",
    }
    repository.objects.save("snapshots", snapshot, repository.sealer)


@pytest.mark.interop
def test_names_that_we_quoted_are_restored_by_restic(tmp_path: Path) -> None:
    repository, restic = made_here(tmp_path / "repository")
    store_tree(repository, ODD)
    restic.must("check", "--read-data")
    listed = [json.loads(line) for line in restic.must("ls", "--json", "latest").splitlines()]
    assert len(listed) == len(ODD) + 1
    restic.must("restore", "latest", "--target", tmp_path / "restored")
    assert set(os.listdir(os.fsencode(tmp_path / "restored"))) == set(ODD)

"""Stock restic reads, checks, continues, prunes and copies what we store, and we what it stores."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backupkit import (
    BackupPipeline,
    Command,
    ConfigurationError,
    Directory,
    DirectoryTarget,
    KeepLast,
    LocalDestination,
    Passphrase,
)
from backupkit.formats.restic.documents import encode
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.nodes import parse_tree
from backupkit.formats.restic.objects import Objects
from backupkit.formats.restic.opened import open_existing
from backupkit.protocols import Source
from tests import restics
from tests.impatience import make_keys_cheap
from tests.interop.odd_tree import facts, make
from tests.restics import PASSWORD, Client
from tests.storage.s3 import SECRET, S3Server
from tests.tools import require_tool

pytestmark = pytest.mark.interop
MiB = 1 << 20


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    make_keys_cheap(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    return path


@pytest.fixture
def each(restic: Client, folder: Path, tmp_path: Path) -> restics.Restic:
    """Each stock client, at the repository."""
    return restic.at(folder, tmp_path / "cache")


def newest() -> str:
    return next(
        (suite for suite in ("sid", "trixie") if (restics.FOLDER / suite / "restic").exists()), "installed"
    )


ALL = bool(os.environ.get("BACKUPKIT_TESTS_RESTIC"))


@pytest.fixture(params=restics.clients() if ALL else [newest()])
def client(request: pytest.FixtureRequest) -> Client:
    """The newest stock client that is there; each of them in the session `restic`."""
    return restics.client(request.param)


@pytest.fixture
def stock(client: Client, folder: Path, tmp_path: Path) -> restics.Restic:
    """The same, at the repository."""
    return client.at(folder, tmp_path / "cache")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with files of several blobs, small ones, and some that are the same."""
    path = tmp_path / "app"
    (path / "deep" / "er").mkdir(parents=True)
    (path / "large").write_bytes(os.urandom(7 * MiB))
    (path / "zeros").write_bytes(bytes(3 * MiB))
    for number in range(20):
        (path / "deep" / "er" / f"{number}.csv").write_text(f"{number % 7},apples\n" * 50)
    return path


def shop(where: Path | str, *sources: Source | Path, name: str = "shop", **options: Any) -> BackupPipeline:
    """A pipeline that keeps snapshots there."""
    each = [Directory(source) if isinstance(source, Path) else source for source in sources]
    return BackupPipeline(
        name, each, str(where), encryptor=Passphrase(PASSWORD), format=Restic(), checks=(), **options
    )


def of_version_1(repository: Path) -> bytes:
    """The config of a repository that says that it is one of version 1; making one takes restic seconds."""
    opened = open_existing(Objects(LocalDestination(repository)), Passphrase(PASSWORD))
    return encode({**opened.config.fields(), "version": 1}, opened.sealer, compressed=False)


def tree_at(repository: Path, tree: str, folder: Path) -> str:
    """The id of a folder's tree, below the one of a snapshot."""
    opened = open_existing(Objects(LocalDestination(repository)), Passphrase(PASSWORD))
    for name in folder.parts[1:]:
        nodes = parse_tree(opened.load(bytes.fromhex(tree), tree=True), where=tree)
        (tree,) = (node["subtree"] for node in nodes if node["name"] == name)
    return tree


def in_snapshot(folder: Path) -> str:
    """Where a folder of this machine stands below a restored snapshot."""
    return str(folder.relative_to("/"))


def test_everything_that_a_tree_can_hold_is_restored_by_restic(
    restic: Client, each: restics.Restic, folder: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    make(tree, raw_targets=restic.version >= (0, 17))
    assert shop(folder, tree).run().outcome == "succeeded"
    assert "no errors were found" in each.check(read_data=True)
    each.restore(tmp_path / "restored")
    assert facts(tmp_path / "restored" / in_snapshot(tree)) == facts(tree)


def test_everything_that_restic_stored_is_restored_by_us_and_stored_as_the_same_bytes(
    restic: Client, each: restics.Restic, folder: Path, tmp_path: Path
) -> None:
    """The trees are the very same, so that whoever continues stores no unchanged folder again."""
    tree = tmp_path / "tree"
    make(tree, raw_targets=restic.version >= (0, 17))
    each.plant()
    each.backup(tree)
    pipeline = shop(folder, tree)
    (foreign,) = pipeline.list().backups
    target = DirectoryTarget(tmp_path / "restored", setuid=True)
    assert pipeline.verify(foreign.id).outcome == "succeeded"
    assert pipeline.restore(foreign.id, to=target).outcome == "succeeded"
    assert facts(tmp_path / "restored" / in_snapshot(tree)) == facts(tree)
    assert pipeline.run().outcome == "succeeded"
    theirs, ours = (tree_at(folder, snapshot["tree"], tree) for snapshot in each.snapshots())
    assert ours == theirs


def test_restic_lists_counts_and_compares_what_we_stored(
    stock: restics.Restic, folder: Path, app: Path
) -> None:
    pipeline = shop(folder, app)
    pipeline.run()
    listed = {path for path in stock.ls() if path.startswith(f"{app}/")}
    assert listed == {str(path) for path in app.rglob("*")}
    sizes = [path.stat().st_size for path in app.rglob("*") if path.is_file()]
    assert stock.stats()["total_size"] == sum(sizes)
    (app / "large").write_bytes(b"another")
    (app / "zeros").unlink()
    (app / "new").write_bytes(b"new")
    pipeline.run()
    one, other = sorted(stock.snapshots(), key=lambda snapshot: str(snapshot["time"]))
    assert other["parent"] == one["id"]
    differences = {line.split(maxsplit=1)[1]: line[0] for line in stock.diff(one["id"], other["id"])}
    assert differences == {f"{app}/large": "M", f"{app}/zeros": "-", f"{app}/new": "+"}


def test_restic_continues_our_repository_and_finds_all_files_unmodified(
    stock: restics.Restic, folder: Path, app: Path
) -> None:
    assert shop(folder, app).run().outcome == "succeeded"
    (app / "deep" / "er" / "3.csv").write_text("changed\n")
    done = stock.backup(app)
    assert (done["files_new"], done["files_changed"], done["files_unmodified"]) == (0, 1, 21)
    assert done["data_added"] < 20_000  # the changed file, and the folders above it
    assert "no errors were found" in stock.check(read_data=True)


def test_we_continue_a_repository_of_restic_and_read_no_file_again(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    stock.plant()
    stock.backup(app)
    (app / "deep" / "er" / "3.csv").write_text("changed\n")
    pipeline = shop(folder, app)
    report = pipeline.run()
    assert (report.outcome, report.problems) == ("succeeded", ())
    ours = next(one for one in stock.snapshots() if one.get("tags"))
    assert ours["parent"] in {one["id"] for one in stock.snapshots()}
    if summary := ours.get("summary"):  # which older clients do not show
        assert (summary["files_new"], summary["files_changed"], summary["files_unmodified"]) == (0, 1, 21)
        assert summary["data_added"] < 20_000
    assert "no errors were found" in stock.check(read_data=True)
    pipeline.restore(to=tmp_path / "restored")
    assert facts(tmp_path / "restored" / in_snapshot(app)) == facts(app)


def test_we_read_only_what_changed_since_restic_ran(stock: restics.Restic, folder: Path, app: Path) -> None:
    stock.plant()
    stock.backup(app)
    (app / "deep" / "er" / "3.csv").write_text("changed\n")
    assert shop(folder, app).run().read == len("changed\n")


def test_after_forget_and_prune_by_restic_ours_goes_on(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    pipeline = shop(folder, app)
    for number in range(3):
        (app / "large").write_bytes(os.urandom(2 * MiB))
        (app / f"number {number}").write_bytes(os.urandom(1000))
        pipeline.run()
    newest = pipeline.list().backups[0]
    ids = [one["id"] for one in sorted(stock.snapshots(), key=lambda one: str(one["time"]))]
    stock.forget(ids[0], ids[1], options=["--max-unused", "0"])
    assert [one.id for one in pipeline.list().backups] == [newest.id]
    assert pipeline.verify().outcome == "succeeded"
    assert pipeline.run().outcome == "succeeded"
    assert "no errors were found" in stock.check(read_data=True)
    pipeline.restore(to=tmp_path / "restored")
    assert facts(tmp_path / "restored" / in_snapshot(app)) == facts(app)


def test_a_snapshot_that_restic_tagged_is_the_same_backup(
    stock: restics.Restic, folder: Path, app: Path
) -> None:
    pipeline = shop(folder, app)
    before = pipeline.run(tags=["nightly"]).destinations[0].backup
    assert before is not None
    stock.run("tag", "--add", "kept", "--remove", "nightly")
    (after,) = pipeline.list().backups
    assert (after.id, after.name, after.contents, after.complete) == (
        before.id,
        before.name,
        before.contents,
        True,
    )
    assert after.made_by == "backupkit"
    assert pipeline.verify(after.id).outcome == "succeeded"
    stock.run("tag", "--remove", "backupkit:name=shop")
    (foreign,) = pipeline.list().backups
    assert (foreign.made_by, foreign.contents) == ("other", frozenset())


def test_a_snapshot_that_restic_rewrote_is_still_ours(
    client: Client, stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    if client.version < (0, 15):
        pytest.skip("this restic cannot rewrite snapshots")
    pipeline = shop(folder, app)
    pipeline.run()
    (before,) = pipeline.list().backups
    stock.run("rewrite", "--exclude", f"{app}/large", "--forget")
    (after,) = pipeline.list().backups
    assert (after.id, after.made_by) == (before.id, "backupkit")
    pipeline.restore(to=tmp_path / "restored")
    left = {path.name for path in (tmp_path / "restored" / in_snapshot(app)).iterdir()}
    assert left == {"deep", "zeros"}


def test_restic_finds_nothing_to_repair(
    client: Client, stock: restics.Restic, folder: Path, app: Path
) -> None:
    if client.version < (0, 16):
        pytest.skip("this restic cannot repair snapshots")
    shop(folder, app).run()
    before = stock.snapshots()
    stock.run("repair", "index")
    stock.run("repair", "snapshots", "--forget")
    stock.run("rewrite", "--exclude", "/nowhere", "--forget")
    assert stock.snapshots() == before
    assert "no errors were found" in stock.check(read_data=True)


def test_what_restic_copied_elsewhere_is_the_same_backup(
    client: Client, stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    before = shop(folder, app).run().destinations[0].backup
    assert before is not None
    (tmp_path / "other").mkdir()
    other = client.at(tmp_path / "other" / "repository", tmp_path / "cache")
    other.plant()
    other.copy_from(stock)
    there = shop(tmp_path / "other" / "repository", app)
    (after,) = there.list().backups
    assert (after.id, after.contents, after.made_by) == (before.id, before.contents, "backupkit")
    assert there.verify().outcome == "succeeded"
    assert there.run().outcome == "succeeded"
    assert "no errors were found" in other.check(read_data=True)


class _Waits:
    """A source that runs something between its two files."""

    name = "waits"
    contents = "files"

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    def entries(self) -> Iterator[Any]:
        from backupkit.model import Entry
        from backupkit.testing.entries import with_content

        yield with_content(Entry(path="waits/before"), os.urandom(MiB))
        self.meanwhile()
        yield with_content(Entry(path="waits/later"), os.urandom(MiB))


def test_restic_may_back_up_while_we_do(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    shop(folder, app, name="before").run()
    waits = _Waits(lambda: stock.backup(app))
    report = shop(folder, app, waits, name="shop").run()  # type: ignore[arg-type]
    assert report.outcome == "succeeded"
    assert len(stock.snapshots()) == 3
    assert "no errors were found" in stock.check(read_data=True)
    assert stock.list("locks") == []


def test_dumps_stand_where_restic_can_dump_them(stock: restics.Restic, folder: Path, app: Path) -> None:
    dump = Command(["seq", "200000"], name="numbers")
    assert shop(folder, app, dump).run().outcome == "succeeded"
    content = stock.run("dump", "latest", "/db-dumps/numbers")
    assert content == "".join(f"{number}\n" for number in range(1, 200_001))


@pytest.mark.skipif(not ALL, reason="restic takes seconds to make a key: ./dev test -s restic")
def test_any_passphrase_that_restic_added_opens_the_repository(
    stock: restics.Restic, folder: Path, app: Path
) -> None:
    shop(folder, app).run()
    stock.add_key("another one")
    other = BackupPipeline(
        "shop", Directory(app), str(folder), encryptor=Passphrase("another one"), format=Restic(), checks=()
    )
    assert len(other.list().backups) == 1
    assert other.run().outcome == "succeeded"
    assert len(shop(folder, app).list().backups) == 2


def test_a_repository_of_version_1_is_refused_with_what_to_do(
    stock: restics.Restic, folder: Path, app: Path
) -> None:
    stock.plant()
    (folder / "config").write_bytes(of_version_1(folder))
    with pytest.raises(ConfigurationError, match="restic migrate upgrade_repo_v2"):
        shop(folder, app).run()
    assert stock.snapshots() == []
    stock.run("migrate", "upgrade_repo_v2")
    assert shop(folder, app).run().outcome == "succeeded"


def test_what_restic_made_is_listed_as_foreign_and_never_planned_for_removal(
    stock: restics.Restic, folder: Path, app: Path
) -> None:
    stock.plant()
    for _ in range(2):
        stock.backup(app, options=["--host", "other host", "--tag", "theirs"])
    pipeline = shop(folder, app, retention=KeepLast(1))
    pipeline.run()
    pipeline.run()
    found = pipeline.list().backups
    assert sorted(one.made_by for one in found) == ["backupkit", "backupkit", "other", "other"]
    foreign = [one for one in found if one.made_by == "other"]
    assert {(one.contents, one.complete, one.name) for one in foreign} == {(frozenset(), True, "other-host")}
    assert {one.id for one in foreign} == {
        one["short_id"] for one in stock.snapshots() if one["hostname"] == "other host"
    }
    (result,) = pipeline.clean().destinations
    assert result.plan is not None
    assert [one.backup.made_by for one in result.plan.remove] == ["backupkit"]
    assert len(stock.snapshots()) == 3


def test_on_s3_both_go_on_with_what_the_other_one_stored(
    client: Client, s3_server: S3Server, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bucket = s3_server.new_bucket()
    pipeline = shop(f"s3://{bucket}/shop?endpoint_url={s3_server.endpoint}", app)
    stock = client.at(
        f"s3:{s3_server.endpoint}/{bucket}/shop",
        tmp_path / "cache",
        AWS_ACCESS_KEY_ID="admin",
        AWS_SECRET_ACCESS_KEY=SECRET,
    )
    assert pipeline.run().outcome == "succeeded"
    assert stock.backup(app)["files_unmodified"] == 22
    (app / "new").write_bytes(os.urandom(2 * MiB))
    assert pipeline.run().outcome == "succeeded"
    newest = pipeline.list().backups[0]
    ids = [one["id"] for one in stock.snapshots()]
    stock.forget(*ids[:-1])
    assert "no errors were found" in stock.check(read_data=True)
    assert pipeline.verify().outcome == "succeeded"
    stock.restore(tmp_path / "theirs")
    pipeline.restore(newest.id, to=tmp_path / "ours")
    for restored in ("theirs", "ours"):
        assert facts(tmp_path / restored / in_snapshot(app)) == facts(app)


def test_restic_mounts_it(stock: restics.Restic, folder: Path, app: Path, tmp_path: Path) -> None:
    fusermount = require_tool("fusermount3")
    shop(folder, app).run()
    point = tmp_path / "mounted"
    point.mkdir()
    command = [str(stock.program), "mount", str(point)]
    with subprocess.Popen(
        command, env=stock.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        try:
            said = b""
            while b"Now serving" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            (snapshot,) = (point / "ids").iterdir()
            mounted = Path(f"{snapshot}{app}")
            assert hashes(mounted) == hashes(app)
        finally:
            subprocess.run([fusermount, "-u", point], check=False)
            process.wait()


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }

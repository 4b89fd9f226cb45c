"""What we prune stock restic goes on with, and we with what it prunes; and neither is in the other one's way."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from backupkit import BackupPipeline, Directory, KeepLast, LocalDestination, Passphrase, PruneLimits
from backupkit.errors import RepositoryLockedError
from backupkit.formats.restic import index_rewriting, locks, packing, prune_planning
from backupkit.formats.restic.format import Restic
from backupkit.model import Pruned
from backupkit.protocols import nothing
from tests import restics
from tests.interop.odd_tree import facts
from tests.interop.test_restic import (
    ALL,
    MiB,
    _Waits,
    cheap_keys,
    client,
    folder,
    hashes,
    in_snapshot,
    shop,
    stock,
)
from tests.restics import PASSWORD, ResticError

__all__ = ["cheap_keys", "client", "folder", "stock"]
pytestmark = pytest.mark.interop

NOTHING_STAYS = PruneLimits("0 B")
only_in_full = pytest.mark.skipif(
    not ALL, reason="restic takes seconds for each of its steps: ./dev test -s restic"
)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_SETTLING", 0.01)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder whose files fill several packs, once those are small."""
    path = tmp_path / "app"
    (path / "deep").mkdir(parents=True)
    for number in range(12):
        (path / "deep" / f"{number}").write_bytes(noise(number))
    return path


def noise(seed: int, size: int = 60_000) -> bytes:
    return Random(seed).randbytes(size)


def changed(app: Path, number: int) -> None:
    """Every third file gets other content, and one that it has each time."""
    (app / "own").write_bytes(noise(1_000_000 + number))
    for path in sorted((app / "deep").iterdir())[number % 3 :: 3]:
        path.write_bytes(noise(1000 + 1000 * number + int(path.name)))


def pruned(
    folder: Path,
    *,
    limits: PruneLimits = NOTHING_STAYS,
    lock_wait: timedelta = timedelta(0),
    between: Callable[[], None] = nothing,
) -> Pruned:
    with Restic(lock_wait=lock_wait).open(
        LocalDestination(folder), name=None, encryptor=Passphrase(PASSWORD)
    ) as repository:
        return repository.prune(limits=limits, between=between)


def planned_by(stock: restics.Restic) -> dict[str, int]:
    """What restic would do, by the blobs of each line of its plan."""
    said = stock.prune(options=["--dry-run", "--max-unused", "0"])
    found = re.findall(r"^(to repack|to delete|total prune|remaining): +(\d+) blobs", said, re.MULTILINE)
    return {what: int(blobs) for what, blobs in found}


def is_whole(stock: restics.Restic) -> bool:
    return "no errors were found" in stock.check(read_data=True)


def has_nothing_to_do(stock: restics.Restic) -> bool:
    plan = planned_by(stock)
    return plan["remaining"] > 0 and {*plan.values()} == {0, plan["remaining"]}


def objects(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "locks" not in path.parts
    }


def by_time(stock: restics.Restic) -> list[str]:
    return [str(one["id"]) for one in sorted(stock.snapshots(), key=lambda one: str(one["time"]))]


def test_after_our_prune_restic_finds_nothing_wrong_and_nothing_to_do(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    """Of what we have stored, and of snapshots that restic forgot."""
    pipeline = shop(folder, app)
    for number in range(3):
        changed(app, number)
        pipeline.run()
    stock.forget(*by_time(stock)[:2], prune=False)
    assert not has_nothing_to_do(stock)
    result = pruned(folder)
    assert result.freed > 8 * 60_000
    assert result.repacked > 4 * 60_000
    assert is_whole(stock)
    assert has_nothing_to_do(stock)
    stock.restore(tmp_path / "restored")
    assert facts(tmp_path / "restored" / in_snapshot(app)) == facts(app)


@only_in_full
def test_after_restics_prune_we_find_nothing_to_do(stock: restics.Restic, folder: Path, app: Path) -> None:
    """Of what both have stored; and the next one of ours goes on."""
    pipeline = shop(folder, app)
    pipeline.run()
    changed(app, 1)
    stock.backup(app)
    changed(app, 2)
    pipeline.run()
    stock.forget(*by_time(stock)[:2], options=["--max-unused", "0"])
    before = objects(folder)
    assert pruned(folder) == Pruned(freed=0)
    assert objects(folder) == before
    changed(app, 3)
    assert pipeline.run().outcome == "succeeded"
    stock.forget(by_time(stock)[0], prune=False)
    assert pruned(folder).freed > 4 * 60_000
    assert is_whole(stock)
    assert has_nothing_to_do(stock)
    assert pipeline.verify().outcome == "succeeded"


@only_in_full
def test_the_snapshots_of_others_outlast_that_a_pipeline_cleans(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    stock.plant()
    pipeline = shop(folder, app, retention=KeepLast(1))
    kept = {}
    for number in range(2):
        changed(app, 2 * number)
        kept[stock.backup(app)["snapshot_id"]] = facts(app)
        changed(app, 2 * number + 1)
        pipeline.run()
    (result,) = pipeline.clean().destinations
    assert result.pruned is not None
    assert result.pruned.freed > 60_000
    assert is_whole(stock)
    assert len(stock.snapshots()) == 3
    for snapshot, was in kept.items():
        stock.restore(tmp_path / snapshot, snapshot)
        assert facts(tmp_path / snapshot / in_snapshot(app)) == was


@only_in_full
def test_what_restic_packed_in_any_way_is_pruned(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path
) -> None:
    """Compressed or not, in packs of another size, and the same blobs in two ways in one repository."""
    stock.plant()
    text = app / "text"
    for number, options in enumerate(
        (
            ["--compression", "off"],
            ["--compression", "max", "--pack-size", "4"],
            ["--compression", "auto", "--pack-size", "8"],
        )
    ):
        changed(app, number)
        text.write_text(f"{number} apples\n" * 50_000)
        (app / "large").write_bytes(noise(number, 5 * MiB))
        (app / f"kept-{number}").write_bytes(noise(100 + number, MiB))
        stock.backup(app, options=options)
    stock.forget(*by_time(stock)[:2], prune=False)
    result = pruned(folder)
    assert result.freed > 10 * MiB
    assert result.repacked > 2 * MiB
    assert is_whole(stock)
    assert has_nothing_to_do(stock)
    stock.prune(options=["--repack-uncompressed"])
    assert pruned(folder) == Pruned(freed=0)
    shop(folder, app).restore(by_time(stock)[0][:8], to=tmp_path / "restored")
    assert facts(tmp_path / "restored" / in_snapshot(app)) == facts(app)


# Who uses it at the same time


@contextmanager
def backing_up(stock: restics.Restic) -> Iterator[Callable[[], None]]:
    """A run of restic that is under way, until what this gives is called."""
    command = [str(stock.program), "backup", "--stdin", "--stdin-filename", "dump"]
    with subprocess.Popen(
        command, env=stock.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        # More than fits into a pipe: when this returns, restic reads, and so it has its lock.
        process.stdin.write(noise(1, 2 * MiB))
        process.stdin.flush()

        def end() -> None:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait() == 0

        try:
            yield end
        finally:
            process.kill()


def test_a_prune_is_refused_while_restic_runs_or_waits_for_its_end(
    stock: restics.Restic, folder: Path, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_FIRST_WAIT", 0.1)
    pipeline = shop(folder, app)
    for number in range(2):
        changed(app, number)
        pipeline.run()
    stock.forget(by_time(stock)[0], prune=False)
    with backing_up(stock) as end:
        with pytest.raises(RepositoryLockedError, match="non-exclusive"):
            pruned(folder)
        calls = 0

        def between() -> None:
            nonlocal calls
            calls += 1
            if calls == 2:  # the first one is before it tries
                end()

        assert pruned(folder, lock_wait=timedelta(minutes=5), between=between).freed > 4 * 60_000
    assert is_whole(stock)
    assert stock.ls()["/dump"]["size"] == 2 * MiB


def test_restic_is_kept_from_running_while_we_prune(stock: restics.Restic, folder: Path, app: Path) -> None:
    pipeline = shop(folder, app)
    for number in range(2):
        changed(app, number)
        pipeline.run()
    stock.forget(by_time(stock)[0], prune=False)
    refused: list[str] = []

    def between() -> None:
        if not refused and any((folder / "locks").iterdir()):
            with pytest.raises(ResticError, match="lock") as raised:
                stock.backup(app)
            refused.append(raised.value.output)

    assert pruned(folder, between=between).freed > 4 * 60_000
    assert "exclusively" in refused[0]
    stock.backup(app)
    assert is_whole(stock)


@contextmanager
def pruning(stock: restics.Restic) -> Iterator[Callable[[], None]]:
    """A prune of restic that is under way, until what this gives is called."""
    # Each line that it prints is a packet, of which the pipe holds one: it stands still until that is read.
    reading, writing = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = [str(stock.program), "prune", "--max-unused", "0"]
    with (
        open(reading, "rb", buffering=0) as said,
        subprocess.Popen(command, env=stock.environment, stdout=writing) as process,
    ):
        os.close(writing)
        assert b"loading" in said.read(4096)  # which it says once it has its lock

        def end() -> None:
            while said.read(4096):
                pass
            assert process.wait() == 0

        try:
            yield end
        finally:
            process.kill()


@only_in_full
def test_we_are_kept_from_running_while_restic_prunes(
    stock: restics.Restic, folder: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (packing, prune_planning):
        monkeypatch.setattr(module, "PACK_SIZE", 200_000)
    pipeline = BackupPipeline(
        "shop",
        Directory(app),
        str(folder),
        encryptor=Passphrase(PASSWORD),
        format=Restic(lock_wait=timedelta(0)),
        checks=(),
    )
    for number in range(2):
        changed(app, number)
        pipeline.run()
    stock.forget(by_time(stock)[0], prune=False)
    with pruning(stock) as end:
        with pytest.raises(RepositoryLockedError, match="exclusive"):
            pipeline.run()
        with pytest.raises(RepositoryLockedError, match="exclusive"):
            pruned(folder)
        end()
    assert pipeline.run().outcome == "succeeded"
    assert pruned(folder) == Pruned(freed=0)
    assert is_whole(stock)


@only_in_full
def test_restics_prune_is_refused_while_we_run(stock: restics.Restic, folder: Path, app: Path) -> None:
    shop(folder, app).run()

    def meanwhile() -> None:
        with pytest.raises(ResticError, match="already locked"):
            stock.prune()

    assert shop(folder, app, _Waits(meanwhile), name="other").run().outcome == "succeeded"  # type: ignore[arg-type]
    assert is_whole(stock)


# What is large


@only_in_full
def test_thousands_of_small_packs_become_few(
    stock: restics.Restic, folder: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app / "many").mkdir()
    for number in range(2000 if ALL else 400):
        (app / "many" / f"{number}").write_bytes(noise(number, 3000))
    with monkeypatch.context() as patch:
        patch.setattr(packing, "PACK_SIZE", 5000)
        shop(folder, app).run()
    before = sum(1 for name in objects(folder) if name.startswith("data/"))
    assert before > (1000 if ALL else 200)
    restored = hashes(app)
    pruned(folder)
    assert sum(1 for name in objects(folder) if name.startswith("data/")) <= 4
    assert is_whole(stock)
    assert has_nothing_to_do(stock)
    shop(folder, app).verify()
    assert len(restored) == len([path for path in stock.ls() if Path(path).is_file()])


@only_in_full
def test_an_index_of_many_objects_is_rewritten_where_something_went(
    stock: restics.Restic, folder: Path, app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects that are large enough, and of which all is kept, stay as they are."""
    for module in (packing, prune_planning):
        monkeypatch.setattr(module, "PACK_SIZE", 50_000)  # one for each file
    for name in ("FULL", "_SMALL"):
        monkeypatch.setattr(index_rewriting, name, 8)
    pipeline = shop(folder, app)
    for number in range(6):
        changed(app, number)
        pipeline.run()
    stock.forget(*by_time(stock)[:3], prune=False)
    before = {name for name in objects(folder) if name.startswith("index/")}
    pruned(folder)
    after = {name for name in objects(folder) if name.startswith("index/")}
    assert len(after) > 2
    assert after - before
    assert is_whole(stock)
    assert has_nothing_to_do(stock)
    assert pruned(folder) == Pruned(freed=0)

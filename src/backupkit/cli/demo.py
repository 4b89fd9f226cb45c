"""`backupkit demo`: the whole library at work on an application that is made, destroyed and proven restored."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backupkit.cli.demo_application import being_written, make_database, make_uploads
from backupkit.cli.demo_proof import Check, compare_database, compare_files, last_transfer, look_at, transfers
from backupkit.cli.listings import listing_lines
from backupkit.cli.reports import report_lines, restore_lines
from backupkit.errors import ConfigurationError
from backupkit.locking import MachineLock
from backupkit.model import Backup
from backupkit.passphrase import Passphrase
from backupkit.pipeline import BackupPipeline
from backupkit.printable import printable
from backupkit.protocols import Observer
from backupkit.sizes import format_size
from backupkit.sources.files import Directory
from backupkit.sources.sqlite import SQLite

_SHOWN = 10  # differences of one kind


def demonstrate(folder: str | None, *, keep: bool, observers: tuple[Observer, ...]) -> bool:
    """Tell the story; True if everything that was restored is proven to be what was destroyed."""
    with _workplace(folder, keep=keep) as place:
        return _tell(place, keep=keep, observers=observers)


def _tell(place: Path, *, keep: bool, observers: tuple[Observer, ...]) -> bool:
    application = place / "application"
    uploads, database = application / "uploads", application / "shop.sqlite3"
    backups = place / "backups"
    backups.mkdir()
    secret = "-".join(secrets.token_hex(2) for _ in range(6))
    passphrase_file = place / "passphrase.txt"
    passphrase_file.touch(mode=0o600)
    passphrase_file.write_text(f"{secret}\n")
    pipeline = BackupPipeline(
        "demo",
        [Directory(uploads), SQLite(database, name="shop")],
        backups,
        encryptor=Passphrase.from_file(passphrase_file),
        observers=observers,
        lock=MachineLock(place / "locks"),
    )

    _step(1, f"Making a small application in {application}")
    make_uploads(uploads)
    make_database(database)
    before = look_at(uploads)
    size = sum(path.lstat().st_size for path in application.rglob("*") if path.is_file())
    _say(
        [
            f"uploads: {len(before)} files, folders and links; some have odd names:",
            *(f"  {os.fsdecode(name)!r}" for name in sorted(before) if name.startswith(b"odd names/")),
            "shop.sqlite3: accounts, and transfers between them",
            f"together {format_size(size)}",
        ]
    )

    _step(2, f"Backing it up, encrypted, to {backups}, while another process writes to the database")
    with being_written(database):
        begin = last_transfer(database)
        run = pipeline.run()
        end = last_transfer(database)
    _say(report_lines(run))

    _step(3, "What is there now")
    listing = pipeline.list()
    _say(listing_lines(listing, details=False))
    (backup,) = listing.backups

    _step(4, "Reading the backup back, and comparing each byte with its checksums")
    _say(report_lines(pipeline.verify(backup)))

    _step(5, "Destroying the application")
    recorded = transfers(database)
    shutil.rmtree(application)
    _say([f"{application} is gone"] if not application.exists() else [f"{application} is still there"])

    _step(6, "Restoring it")
    restore = pipeline.restore(backup, to=application)
    _say(restore_lines(restore, to=str(application), dry_run=False))
    os.rename(application / "db-dumps" / "sqlite-shop.sqlite3", database)
    (application / "db-dumps").rmdir()

    _step(7, "Comparing it with what was recorded before")
    after = look_at(uploads)
    checks = [
        *compare_files(before, after),
        *compare_database(database, recorded=recorded, begin=begin, end=end),
    ]
    _say(_results(checks))
    proven = not any(check.differences for check in checks)
    outcomes = {run.outcome, restore.outcome}
    if not proven or outcomes != {"succeeded"}:
        print("\nThe restored application is NOT proven to be identical: see above.")
        return False
    print("\nEverything is back, and identical.")
    if keep:
        print("\n".join(["", *_what_to_try(place, backup, secret)]))
    return True


def _results(checks: Iterable[Check]) -> Iterator[str]:
    for check in checks:
        yield f"{'DIFFERS' if check.differences else 'ok':7}  {check.what}"
        for difference in check.differences[:_SHOWN]:
            yield f"         {difference}"
        if len(check.differences) > _SHOWN:
            yield f"         … and {len(check.differences) - _SHOWN} more"


def _what_to_try(place: Path, backup: Backup, secret: str) -> Iterator[str]:
    archive = place / "backups" / backup.name / f"{backup.id}.zip"
    seven_zip = next((name for name in ("7zz", "7z", "7za") if shutil.which(name)), "7zz")
    us = _command_name()
    yield f"Open the archive with 7-Zip. It asks for the passphrase, made up for this demo: {secret}"
    yield f"  {_command(seven_zip, 'x', archive, f'-o{place}/opened')}"
    yield "Or with backupkit:"
    yield f"  {us} {_command('list', place / 'backups')}"
    to, file = place / "restored", place / "passphrase.txt"
    yield f"  {us} {_command('restore', place / 'backups', '--to', to, '--passphrase-file', file)}"
    yield "When you have seen enough:"
    yield f"  {_command('rm', '-r', place)}"


def _command_name() -> str:
    """How this very installation is called from a shell."""
    script = shutil.which("backupkit")
    if script is not None and Path(script).parent == Path(sys.executable).parent:
        return "backupkit"
    return f"{shlex.quote(sys.executable)} -m backupkit"


def _command(*words: str | Path) -> str:
    return shlex.join(map(str, words))


@contextmanager
def _workplace(folder: str | None, *, keep: bool) -> Iterator[Path]:
    """A new or empty folder, and nothing of ours left in it unless it is to be kept."""
    if folder is None:
        place, ours = Path(tempfile.mkdtemp(prefix="backupkit-demo-")), True
    else:
        place = Path(folder).absolute()
        ours = not place.exists()
        if not ours and (not place.is_dir() or any(place.iterdir())):
            raise ConfigurationError(
                f"{str(place)!r} is not an empty folder: name one, or one that does not exist."
            )
        place.mkdir(parents=True, exist_ok=True)
    try:
        yield place
    finally:
        if not keep:
            for child in place.iterdir():
                if child.is_dir():
                    shutil.rmtree(child)
                else:
                    child.unlink()
            if ours:
                place.rmdir()


def _step(number: int, what: str) -> None:
    print(f"\n{number}. {what}" if number > 1 else f"{number}. {what}", flush=True)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"   {printable(line)}", flush=True)

"""`ls` and `cat`: one file of a backup, at a terminal and in a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from backupkit import BackupPipeline, Directory, LocalDestination, MachineLock, Restic, Zip
from backupkit.cli.app import app as command_line
from tests.impatience import be_impatient
from tests.pipeline.snapshots import PASSPHRASE
from tests.restics import PASSWORD

ODD = os.fsdecode(b"odd\xff\n\x1b[31mred")
LARGE = Random(5).randbytes(2 << 20)


@pytest.fixture(scope="module", params=["archive", "snapshot"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a backup; what is in the backup is at `in_backup(place)`."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "app" / "uploads").mkdir(parents=True)
    (folder / "app" / "uploads" / "photo.jpg").write_bytes(LARGE)
    (folder / "app" / "uploads" / "link").symlink_to("photo.jpg")
    (folder / "app" / ODD).write_bytes(b"\0\xff\r\n")
    with pytest.MonkeyPatch.context() as patch:
        be_impatient(patch)
        BackupPipeline(
            "shop",
            Directory(folder / "app"),
            LocalDestination(folder / "backup", create=True),
            encryptor=PASSPHRASE,
            format=Zip() if request.param == "archive" else Restic(workers=0),
            lock=MachineLock(folder / "locks"),
        ).run()
    return folder / "backup"


def in_backup(place: Path) -> str:
    app = place.parent / "app"
    return str(app)[1:] if (place / "config").exists() else "app"


def backupkit(*arguments: str, passphrase: str | None = PASSWORD) -> Result:
    environment = {"BACKUP_ARCHIVE_PASSWORD": passphrase or None, "BACKUPKIT_APP": None}
    return CliRunner().invoke(command_line, [*arguments], env=environment)


def test_ls_shows_what_is_in_a_folder(place: Path) -> None:
    app = in_backup(place)
    shown = backupkit("ls", str(place), app)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [f"{app}/odd\\udcff\\n\\x1b[31mred", f"{app}/uploads/"]
    assert backupkit("ls", str(place)).stdout.splitlines() == [f"{app.partition('/')[0]}/"]
    assert backupkit("ls", str(place), f"/{app}/uploads/photo.jpg").stdout == f"{app}/uploads/photo.jpg\n"


def test_ls_shows_all_below_it_and_what_is_known(place: Path) -> None:
    app = in_backup(place)
    shown = backupkit("ls", str(place), app, "--recursive", "--long").stdout
    words = {line.split(" ", 1)[1].split()[-1]: line.split() for line in shown.splitlines()}
    assert [*words] == [
        f"{app}/odd\\udcff\\n\\x1b[31mred",
        f"{app}/uploads/",
        "photo.jpg",
        f"{app}/uploads/photo.jpg",
    ]
    assert words["photo.jpg"][0].startswith("l")
    assert words[f"{app}/uploads/photo.jpg"][:3] == [
        "-rw-r--r--",
        f"{os.getuid()}:{os.getgid()}",
        str(len(LARGE)),
    ]


def test_ls_has_one_document_for_programs(place: Path) -> None:
    app = in_backup(place)
    document = json.loads(backupkit("ls", str(place), app, "--recursive", "--json").stdout)
    assert document["backup"]["name"] == "shop"
    paths = [one["path"] for one in document["entries"]]
    assert paths == [f"{app}/{one}" for one in (ODD, "uploads", "uploads/link", "uploads/photo.jpg")]
    assert [one["type"] for one in document["entries"]] == ["file", "directory", "link", "file"]
    assert document["entries"][2]["target"] == "photo.jpg"


def test_cat_writes_every_byte_and_nothing_else(place: Path) -> None:
    app = in_backup(place)
    done = backupkit("cat", str(place), f"{app}/uploads/photo.jpg")
    assert (done.exit_code, done.stdout_bytes) == (0, LARGE)
    assert backupkit("cat", str(place), f"{app}/{ODD}").stdout_bytes == b"\0\xff\r\n"


@pytest.mark.parametrize(
    ("verb", "path", "code", "told"),
    [
        ("cat", "{app}/gone", 10, "holds no"),
        ("ls", "{app}/gone", 10, "holds no"),
        ("cat", "{app}/uploads/photo.jpg/below", 10, "holds no"),
        ("cat", "../../etc/passwd", 10, "holds no"),
        ("cat", "{app}/uploads", 2, "is a folder"),
        ("cat", "{app}/uploads/link", 2, "a symbolic link to 'photo.jpg'"),
    ],
)
def test_what_cannot_be_shown_is_told(place: Path, verb: str, path: str, code: int, told: str) -> None:
    done = backupkit(verb, str(place), path.format(app=in_backup(place)))
    assert (done.exit_code, done.stdout) == (code, "")
    assert told in done.stderr


def test_a_wrong_passphrase_or_none_and_no_such_backup_have_their_codes(place: Path) -> None:
    wrong = backupkit("cat", str(place), "app", passphrase="another one, of many words")
    assert (wrong.exit_code, wrong.stdout) == (12, "")
    assert backupkit("ls", str(place), passphrase=None).exit_code == 12
    assert backupkit("ls", str(place), "--backup", "2000").exit_code == 10
    assert backupkit("cat").exit_code == 2
    assert backupkit("cat", "only/a/path").exit_code == 2


def test_with_app_the_one_argument_is_the_path(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    format = "Restic(workers=0)" if (place / "config").exists() else "Zip()"
    Path(f"kept_{place.parent.name}.py").write_text(
        "from backupkit import BackupPipeline, Directory, Passphrase, Restic, Zip\n"
        f"pipeline = BackupPipeline('shop', Directory('app'), 'backup', format={format},\n"
        "    encryptor=Passphrase.from_env('BACKUP_ARCHIVE_PASSWORD'))\n"
    )
    app = ("--app", f"kept_{place.parent.name}:pipeline")
    path = f"{in_backup(place)}/uploads"
    assert backupkit("ls", *app, path).stdout.splitlines() == [f"{path}/link", f"{path}/photo.jpg"]
    assert backupkit("cat", *app, f"{path}/photo.jpg").stdout_bytes == LARGE
    assert backupkit("ls", *app, str(place), path).exit_code == 2


@pytest.mark.parametrize("place", ["snapshot"], indirect=True)
def test_a_pipe_that_is_closed_ends_it_quietly(place: Path) -> None:
    # A short one, of which all is still in Python's hands when the pipe turns out to be closed.
    with subprocess.Popen(
        [sys.executable, "-m", "backupkit", "cat", str(place), f"{in_backup(place)}/{ODD}"],
        env=os.environ | {"BACKUP_ARCHIVE_PASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("place", ["snapshot"], indirect=True)
def test_a_full_disk_is_told_as_such(place: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "backupkit", "cat", str(place), f"{in_backup(place)}/uploads/photo.jpg"],
            env=os.environ | {"BACKUP_ARCHIVE_PASSWORD": PASSWORD},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: Not all could be written: No space left on device.")
    assert b"Traceback" not in done.stderr


def test_damage_ends_cat_with_an_error(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: LocalDestination, name: str, *, start: int = 0, length: int | None = None) -> object:
        content = b"".join(real(self, name, start=start, length=length))
        if len(content) > 100_000:
            content = content[:50_000] + b"damaged!" + content[50_008:]
        return iter([content])

    real = LocalDestination.read
    monkeypatch.setattr(LocalDestination, "read", damaged)
    done = backupkit("cat", str(place), f"{in_backup(place)}/uploads/photo.jpg")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")

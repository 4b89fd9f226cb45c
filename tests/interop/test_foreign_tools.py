"""Archives really made by other programs are listed, browsed, verified and restored."""

from __future__ import annotations

import os
import re
import stat
import sys
import zipfile
from pathlib import Path

import pytest
import pyzipper

from backupkit import Backups, Passphrase, WrongPassphraseError, Zip, open_repository
from tests.formats.zip.foreign_archives import PYZIPPER_METHODS
from tests.interop.made import run
from tests.tools import require_tool

pytestmark = pytest.mark.interop

SECRET = "correct horse battery staple orbit"
STEM = "2026-01-31-02-30-00"
TIME = 1_767_232_800
FILES = {
    "db-dumps/mysql-shop.sql": b"INSERT INTO orders VALUES (1, 'apples');\n" * 5000,
    "var/www/shop/index.php": b"<?php echo 'shop';\n",
    "var/www/shop/empty": b"",
    "var/www/shop/\N{LATIN SMALL LETTER U WITH DIAERESIS} and a blank.txt": b"x" * 1_200_000,
    "var/www/shop/noise": os.urandom(1000),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What is backed up; its archive belongs at `disk/shop/<stem>.zip`."""
    folder = tmp_path / "tree"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        (folder / path).chmod(0o640)
        os.utime(folder / path, (TIME, TIME))
    (tmp_path / "disk" / "shop").mkdir(parents=True)
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "disk" / "shop" / f"{STEM}.zip"


def comes_back(
    archive: Path, tmp_path: Path, *, encrypted: bool = True, modes: bool = True, link: bool = False
) -> None:
    """Listed without a passphrase, verified, confirmed, found as the latest, and restored as it was."""
    disk = archive.parent.parent
    (listed,) = open_repository(disk).list().backups
    assert (listed.id, listed.made_by, listed.complete) == (STEM, "laravel-backup", None)
    details = open_repository(disk).details(listed)
    assert details.contents == {"files", "databases"}
    if encrypted:
        for secret in (None, "not this one at all"):
            with pytest.raises(WrongPassphraseError):
                open_repository(disk, secret).verify(STEM)
    backups = open_repository(disk, SECRET if encrypted else None)
    assert backups.verify(STEM).outcome == "succeeded"
    report = backups.restore("latest", to=tmp_path / "out")
    assert (report.outcome, report.problems) == ("succeeded", ())
    for path, data in FILES.items():
        restored = tmp_path / "out" / path
        assert restored.read_bytes() == data, path
        if data:  # PHP gives an empty file the time at which it encrypts it
            assert abs(restored.stat().st_mtime - TIME) < 2, path
        if modes:
            assert stat.S_IMODE(restored.stat().st_mode) == 0o640, path
    found = {
        p.relative_to(tmp_path / "out").as_posix()
        for p in (tmp_path / "out").rglob("*")
        if p.is_symlink() or p.is_file()
    }
    assert found == {*FILES, *(["var/link"] if link else [])}
    if link:
        assert os.readlink(tmp_path / "out" / "var/link") == "www/shop"


# 7-Zip


@pytest.mark.parametrize("method", ["Copy", "Deflate", "BZip2", "LZMA", "XZ"])
@pytest.mark.parametrize("encryption", [None, "AES128", "AES192", "AES256", "ZipCrypto"])
def test_seven_zips(method: str, encryption: str | None, tree: Path, archive: Path, tmp_path: Path) -> None:
    options = [f"-p{SECRET}", f"-mem={encryption}"] if encryption else []
    run(require_tool("7zz"), "a", "-tzip", f"-mm={method}", "-mx=1", *options, archive, f"{tree}/.")
    comes_back(archive, tmp_path, encrypted=encryption is not None)


@pytest.mark.parametrize("method", ["Deflate64", "PPMd"])
def test_seven_zips_other_methods_are_refused_by_name(
    method: str, tree: Path, archive: Path, tmp_path: Path
) -> None:
    run(require_tool("7zz"), "a", "-tzip", f"-mm={method}", archive, f"{tree}/.")
    report = open_repository(archive.parent.parent).restore(STEM, to=tmp_path / "out")
    assert report.outcome == "incomplete"
    errors = [problem.message for problem in report.problems if problem.severity == "error"]
    assert all(f"compressed with {method.lower()}, " in message for message in errors)
    assert (tmp_path / "out" / "var/www/shop/empty").exists()
    assert len(errors) < len(FILES)


def test_one_part_of_a_split_archive_is_told_apart(tree: Path, archive: Path, tmp_path: Path) -> None:
    run(require_tool("7zz"), "a", "-tzip", "-mm=Copy", "-v1m", archive, f"{tree}/.")
    parts = sorted(archive.parent.glob("*.zip.*"))
    assert len(parts) > 1
    parts[-1].rename(archive)
    (listed,) = open_repository(archive.parent.parent).list().backups
    with pytest.raises(Exception, match="cannot be read"):
        open_repository(archive.parent.parent).details(listed)


# Info-ZIP and bsdtar


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "encrypted"])
def test_info_zips(secret: str | None, tree: Path, archive: Path, tmp_path: Path) -> None:
    (tree / "var/link").symlink_to("www/shop")
    password = ["-P", secret] if secret else []
    run("env", "-C", tree, require_tool("zip"), "-9", "-q", "-r", "-y", *password, archive, ".")
    comes_back(archive, tmp_path, encrypted=secret is not None, link=True)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "encrypted"])
def test_info_zips_that_went_through_a_pipe(secret: str | None, tree: Path, archive: Path) -> None:
    """Then sizes and checksums stand behind the content. What it would store it cannot write so at all."""
    password = f"-P '{secret}'" if secret else ""
    command = f"cd '{tree}' && '{require_tool('zip')}' -q {password} - db-dumps/*.sql | cat > '{archive}'"
    run("sh", "-c", command)
    (entry,) = open_repository(archive.parent.parent, secret).entries(STEM)
    assert {entry.path: b"".join(entry.chunks())} == {
        "db-dumps/mysql-shop.sql": FILES["db-dumps/mysql-shop.sql"]
    }


@pytest.mark.parametrize("encryption", [None, "zipcrypt", "aes128", "aes256"])
def test_bsdtars(encryption: str | None, tree: Path, archive: Path, tmp_path: Path) -> None:
    (tree / "var/link").symlink_to("www/shop")
    options = ["--options", f"zip:encryption={encryption}", "--passphrase", SECRET] if encryption else []
    run(require_tool("bsdtar"), "-C", tree, "-cf", archive, "--format", "zip", *options, ".")
    comes_back(archive, tmp_path, encrypted=encryption is not None, link=True)


# PHP's ZipArchive, as laravel-backup uses it


@pytest.mark.parametrize("method", ["CM_DEFAULT", "CM_STORE", "CM_DEFLATE", "CM_BZIP2", "CM_XZ"])
@pytest.mark.parametrize("encryption", [None, "EM_AES_128", "EM_AES_192", "EM_AES_256"])
def test_those_of_laravel_backup(
    method: str, encryption: str | None, tree: Path, archive: Path, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("laravel_backup.php")
    secret = SECRET if encryption else ""
    run(require_tool("php"), script, archive, tree, secret, method, encryption or "EM_NONE")
    comes_back(archive, tmp_path, encrypted=encryption is not None)


def test_the_times_of_laravel_backup_are_those_of_its_time_zone(tree: Path, archive: Path) -> None:
    script = Path(__file__).with_name("laravel_backup.php")
    run("env", "TZ=America/New_York", require_tool("php"), script, archive, tree, "", "CM_DEFLATE", "EM_NONE")
    zoned = Zip(legacy_time_zone="America/New_York")
    backups = Backups("shop", archive.parent.parent, encryptor=None, format=zoned)
    (backup,) = backups.list().backups
    assert backup.time.isoformat() == "2026-01-31T07:30:00+00:00"
    times = {entry.path: entry.modified_ns for entry in backups.entries(backup) if entry.kind == "file"}
    assert times == dict.fromkeys(FILES, TIME * 10**9)  # without encryption it has its own


def test_the_how_to_guide_shows_it_with_a_real_archive(tmp_path: Path) -> None:
    """Its two blocks, one of PHP and one of commands, run as they stand there."""
    php = require_tool("php")
    guide = Path(__file__).parent.parent.parent / "docs/how-to/move-from-laravel-backup.md"
    _, section = guide.read_text(encoding="utf-8").split("## Try it with an archive of your own")
    program, commands = (section.split(f"```{kind}\n")[1].split("```")[0] for kind in ("php", "sh"))
    (tmp_path / "make.php").write_text(program)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "backupkit").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m backupkit "$@"\n')
    (tmp_path / "bin" / "backupkit").chmod(0o755)
    script = f"cd '{tmp_path}' && PATH='{tmp_path}/bin':$PATH && set -e && '{php}' make.php\n{commands}"
    output = run("sh", "-c", script)
    assert re.search(r"2026-01-31-02-30-00 .* laravel-backup +databases\+files .* unconfirmed", output)
    assert "The verification of" in output
    dump = tmp_path / "found" / "db-dumps" / "mysql-shop.sql"
    assert dump.read_text() == "INSERT INTO fruits VALUES ('apple');\n"


# Python


@pytest.mark.parametrize("method", PYZIPPER_METHODS.values(), ids=PYZIPPER_METHODS)
def test_those_of_zipfile(method: int, tree: Path, archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "w", compression=method) as made:
        for path in FILES:
            made.write(tree / path, path)
    comes_back(archive, tmp_path, encrypted=False)


@pytest.mark.parametrize("method", PYZIPPER_METHODS.values(), ids=PYZIPPER_METHODS)
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_those_of_pyzipper(method: int, bits: int, tree: Path, archive: Path, tmp_path: Path) -> None:
    with pyzipper.AESZipFile(archive, "w", compression=method) as made:
        made.setpassword(SECRET.encode())
        made.setencryption(pyzipper.WZ_AES, nbits=bits)
        for path in FILES:
            made.write(tree / path, path)
    comes_back(archive, tmp_path)


def test_of_several_passphrases_the_right_one_is_found(tree: Path, archive: Path, tmp_path: Path) -> None:
    with pyzipper.AESZipFile(archive, "w", encryption=pyzipper.WZ_AES) as made:
        made.setpassword(SECRET.encode())
        for path in FILES:
            made.write(tree / path, path)
    key = Passphrase("the new one since we moved", previous=["never used", SECRET])
    assert open_repository(archive.parent.parent, key).verify(STEM).outcome == "succeeded"

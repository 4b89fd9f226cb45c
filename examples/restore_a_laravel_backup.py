"""How do I list, verify and restore the archives that laravel-backup made?

Open the folder they are in: nothing has to be converted. Until it was verified, an archive is unconfirmed and
never "the latest", because its name says nothing of what is in it; verifying reads every byte and writes a small
summary beside it. `legacy_time_zone` is that of the old application, whose local time the names are.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyzipper

from backupkit import BackupNotFoundError, Backups, Passphrase, Zip

SECRET = "correct horse battery staple orbit"


def make_a_laravel_backup(folder: Path) -> None:
    """What laravel-backup leaves at a disk: dumps and whole paths, AES-256 on every entry."""
    folder.mkdir(parents=True)
    with pyzipper.AESZipFile(
        folder / "2026-01-31-02-30-00.zip",
        "w",
        compression=pyzipper.ZIP_DEFLATED,
        encryption=pyzipper.WZ_AES,
    ) as archive:
        archive.setpassword(SECRET.encode())
        archive.writestr("db-dumps/mysql-shop.sql", "INSERT INTO fruits VALUES ('apple');\n")
        archive.writestr("var/www/shop/index.php", "<?php echo 'shop';\n")


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_a_laravel_backup(root / "disk" / "shop")

        backups = Backups(
            "shop",
            root / "disk",
            encryptor=Passphrase(SECRET),
            format=Zip(legacy_time_zone="Europe/Berlin"),
        )
        (old,) = backups.list().backups
        print(f"{old.id} by {old.made_by}, of {old.time:%Y-%m-%d %H:%M} UTC")
        print("holds:", ", ".join(sorted(backups.details(old).contents)))
        try:
            backups.get("latest")
        except BackupNotFoundError as error:
            print(error)

        print("verified:", backups.verify(old).outcome)
        print("latest:", backups.get("latest").id)
        backups.restore("latest", to=root / "restored", only="databases")
        print((root / "restored" / "db-dumps" / "mysql-shop.sql").read_text(), end="")


if __name__ == "__main__":
    main()

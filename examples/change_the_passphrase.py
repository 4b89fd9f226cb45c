"""How do I change the passphrase without losing the backups made under the old one?

Give the old one as `previous`: it is only tried for reading. New backups are encrypted under the new
passphrase; archives that exist are not rewritten. Drop the old one from the settings when the last of them is
gone.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, Passphrase, WrongPassphraseError

OLD = "correct horse battery staple orbit"
NEW = "lantern gravel mosaic thirteen pebble"


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "shop").mkdir()
        (root / "shop" / "orders.csv").write_text("1,apples\n")
        (root / "backups").mkdir()

        def pipeline(passphrase: Passphrase) -> BackupPipeline:
            return BackupPipeline("shop", Directory(root / "shop"), root / "backups", encryptor=passphrase)

        pipeline(Passphrase(OLD)).run()

        changed = pipeline(Passphrase(NEW, previous=[OLD]))
        changed.run()
        for backup in changed.list().backups:
            print(f"{backup.id}: {changed.verify(backup).outcome}")

        newest, oldest = changed.list().backups
        only_new = pipeline(Passphrase(NEW))
        print(f"the new one alone opens the newest: {only_new.verify(newest).outcome}")
        try:
            only_new.verify(oldest)
        except WrongPassphraseError as error:
            print(f"but not the oldest: {error}")


if __name__ == "__main__":
    main()

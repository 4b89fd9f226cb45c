"""How do I keep my backups in several places, and what happens when one of them is down?

Name them all. The sources are read once, each destination ends by itself, and the report says how. A run that
did not reach all of them is "incomplete", not "succeeded". Restoring takes the backup from the first place that
has it.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import BackupPipeline, Directory, Passphrase, Report


def tell(report: Report, root: Path) -> None:
    print(f"{report.operation}: {report.outcome}")
    for result in report.destinations:
        print(f"  {result.outcome:10} {result.location.rpartition('/')[2]}")
    for problem in report.problems:
        print(f"  {problem.severity}: {problem.message.replace(root.as_uri(), 'file://…')}")


def main() -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for folder in ("shop", "disk", "nas"):
            (root / folder).mkdir()
        (root / "shop" / "orders.csv").write_text("1,apples\n")

        pipeline = BackupPipeline(
            "shop",
            Directory(root / "shop"),
            [root / "disk", root / "nas"],
            encryptor=Passphrase("correct horse battery staple orbit"),
        )
        tell(pipeline.run(), root)

        (root / "nas").rename(root / "unplugged")
        tell(pipeline.run(), root)

        pipeline.restore(to=root / "restored")  # from the disk: the other does not answer
        print((root / "restored" / "shop" / "orders.csv").read_text(), end="")

        (root / "unplugged").rename(root / "nas")
        pipeline.restore(to=root / "restored from nas", at=str(root / "nas"))  # from this one only
        print(f"backups: {len(pipeline.list().backups)}")  # one copy missed the nas


if __name__ == "__main__":
    main()

"""How do I know that a place is fit for backups before I trust it?

Examine it: everything that a backup needs is tried there once, and deleted again. Whether its credentials may
delete is told too, because a host that may not is safer: whoever breaks into it cannot destroy the backups.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from backupkit import LocalDestination, ReadOnly, examine


def main() -> None:
    with TemporaryDirectory() as folder:
        good = examine(folder)
        print(f"fit for backups: {good.holds}; may delete: {good.rights.delete}")
        print(f"left behind: {[path.name for path in Path(folder).iterdir()]}")

        # As with credentials that may only read.
        bad = examine(ReadOnly(LocalDestination(folder)))
        for finding in bad.findings:
            if finding.verdict == "not ok":
                print(f"{finding.step}: {finding.message.replace(Path(folder).as_uri(), 'file://…')}")
        print(bad.recommendation)


if __name__ == "__main__":
    main()

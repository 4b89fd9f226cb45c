"""Coverage-guided fuzzing of what reads the objects of a restic repository: any bytes in, only our errors out.

    nox -s fuzz -- restic -max_total_time=600   # libFuzzer's own options

Begins with small objects of every kind. What makes it fail is left as `crash-…` in the folder it runs in.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["backupkit"]):
    from tests.formats.restic.hostile import seeds, use


def main() -> None:
    corpus = Path(tempfile.mkdtemp(prefix="backupkit-fuzz-"))
    for number, sample in enumerate(seeds()):
        (corpus / str(number)).write_bytes(sample)
    options = ["-max_len=4096", "-len_control=0", "-rss_limit_mb=2048", *sys.argv[2:]]
    atheris.Setup([sys.argv[0], *options, os.fspath(corpus)], use)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Coverage-guided fuzzing of what reads archives: any bytes in, only our errors out.

    nox -s fuzz                                  # a minute for each of the two forms
    nox -s fuzz -- foreign -max_total_time=600   # libFuzzer's own options

Begins with small archives of every kind. What makes it fail is left as `crash-…` in the folder it runs in.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["backupkit", "pyzipper"]):
    import pyzipper  # noqa: F401 - it is imported late, and would not be seen

    from backupkit.errors import BackupKitError
    from backupkit.formats.zip import aes, foreign, reader  # noqa: F401
    from tests.formats.zip.archives import KEY, archive_of, reader_of
    from tests.formats.zip.test_foreign_properties import seeds, use
    from tests.formats.zip.test_reader import ENTRIES


def foreign_archive(data: bytes) -> None:
    """An archive that somebody else wrote, through the whole repository and onto the disk."""
    use(data)


def own_archive(data: bytes) -> None:
    """An archive of our form."""
    with suppress(BackupKitError):
        archive = reader_of(data, KEY)
        with suppress(BackupKitError):
            list(archive.headers_differ())
        for entry in archive.entries():
            with suppress(BackupKitError):
                for _ in entry.chunks():
                    pass


def main() -> None:
    form, *options = sys.argv[1:]
    corpus = Path(tempfile.mkdtemp(prefix="backupkit-fuzz-"))
    samples = {"foreign": seeds(), "own": (archive_of(ENTRIES), archive_of(ENTRIES, encryptor=KEY))}[form]
    for number, sample in enumerate(samples):
        (corpus / str(number)).write_bytes(sample)
    check = foreign_archive if form == "foreign" else own_archive
    # Far more than the largest sample, for which a mutation may append a whole second archive.
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_len={1 << 14}",
            "-len_control=0",
            "-rss_limit_mb=2048",
            *options,
            os.fspath(corpus),
        ],
        check,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""`Restic()`: incremental, deduplicated snapshots, which stock restic reads and continues."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from backupkit.errors import BackupKitError, ConfigurationError, ObjectNotFoundError, UnsupportedCodecError
from backupkit.formats.restic.layout import CONFIG
from backupkit.model import Contents, Entry, Part, Problem, Written
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor, Destination, Encryptor
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backupkit.formats.restic.repository import ResticRepository

_ALGORITHMS = ("zstd", "store")


@dataclass(frozen=True, slots=True)
class Restic:
    """Snapshots in a repository of restic's format, version 2, one for all pipelines and hosts that share it.

    Only what has changed is read and only what is new is stored. Everything is encrypted, names and sizes too, so
    that a passphrase is needed even for listing. Needs `pip install 'backupkit[snapshots]'`.

    `create=False` never makes a repository: an unmounted disk or a mistyped location is an error then.

    `workers` are the processes that read and store large trees, in which Python's lock would let one processor do
    all the work: one for each usable processor, at most 4 unless you say more (each takes 60 to 90 MiB); 0 for
    none, so that threads alone share the work.
    """

    create: bool = True
    workers: int | None = None

    @property
    def shares_bytes(self) -> bool:
        return True

    @staticmethod
    def is_at(destination: Destination) -> bool:
        """Whether there is a repository: an object `config`, and keys beside it."""
        try:
            destination.stat(CONFIG)
        except ObjectNotFoundError:
            return False
        return next(iter(destination.list("keys/")), None) is not None

    def check(self, compressor: Compressor | None, encryptor: Encryptor | Passphrase | None) -> None:
        if compressor is not None and compressor.algorithm not in _ALGORITHMS:
            raise UnsupportedCodecError(
                f"Snapshots cannot hold {compressor.algorithm!r}: use Zstd(level), or Store() for no compression."
            )
        if encryptor is None:
            raise ConfigurationError(
                "A restic repository is always encrypted: give encryptor=Passphrase.from_env(…) or the like."
            )
        if isinstance(encryptor, str):
            raise ConfigurationError("The encryptor is a text: write Passphrase(…) around it.")
        if not isinstance(encryptor, Passphrase):
            raise UnsupportedCodecError(
                f"A restic repository has an encryption of its own, not {encryptor.scheme!r}: give a Passphrase."
            )

    @contextmanager
    def open(
        self,
        destination: Destination,
        *,
        name: str | None,
        compressor: Compressor | None = None,
        encryptor: Encryptor | Passphrase | None = None,
        executor: Executor | None = None,
    ) -> Iterator[ResticRepository]:
        passphrase = self._passphrase(compressor, encryptor)
        _require_libraries()
        # Here, because they are much of what `import backupkit` would have to load.
        from backupkit.compression import Zstd
        from backupkit.formats.restic.repository import ResticRepository

        yield ResticRepository(
            destination,
            name=name,
            compressor=compressor or Zstd(),
            passphrase=passphrase,
            executor=executor,
            creates=self.create,
            workers=self.workers,
            host=os.uname().nodename,
            program=_program(),
        )

    def write_to_each(
        self,
        destinations: Sequence[Destination],
        entries: Iterable[Entry | Problem | Part],
        *,
        name: str,
        compressor: Compressor | None,
        encryptor: Encryptor | Passphrase | None,
        executor: Executor | None,
        time: datetime,
        contents: frozenset[Contents],
        tags: Sequence[str],
        retry: Retry,
        failed: Callable[[int, BackupKitError], None],
    ) -> Mapping[int, Written]:
        """See `protocols.FansOut`. New repositories get the chunker parameter of the others."""
        passphrase = self._passphrase(compressor, encryptor)
        _require_libraries()
        from backupkit.compression import Zstd
        from backupkit.formats.restic.objects import Objects
        from backupkit.formats.restic.saving import Run
        from backupkit.formats.restic.several import opener, write_snapshots

        return write_snapshots(
            {
                number: opener(Objects(destination, retry=retry), passphrase)
                for number, destination in enumerate(destinations)
            },
            entries,
            Run(
                name=name,
                time=time,
                contents=contents,
                tags=tags,
                host=os.uname().nodename,
                program=_program(),
                workers=self.workers,
            ),
            creates=self.create,
            compressor=compressor or Zstd(),
            executor=executor,
            retry=retry,
            failed=failed,
        )

    def _passphrase(
        self, compressor: Compressor | None, encryptor: Encryptor | Passphrase | None
    ) -> Passphrase:
        self.check(compressor, encryptor)
        assert isinstance(encryptor, Passphrase)  # noqa: S101  # see check
        return encryptor


def _require_libraries() -> None:
    """ConfigurationError, which names the extra, where one is missing."""
    from importlib.util import find_spec

    if missing := [name for name in ("borghash", "pyfastcdc") if find_spec(name) is None]:
        raise ConfigurationError(
            f"Restic() needs {' and '.join(missing)}, which is not installed: pip install 'backupkit[snapshots]'"
        )


def _program() -> str:
    """What a snapshot says that it was written by."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"backupkit {version('backupkit')}"
    except PackageNotFoundError:
        return "backupkit"

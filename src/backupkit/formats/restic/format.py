"""`Restic()`: incremental, deduplicated snapshots, which stock restic reads and continues."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backupkit.errors import ConfigurationError, UnsupportedCodecError
from backupkit.passphrase import Passphrase
from backupkit.protocols import Compressor, Destination, Encryptor

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
    all the work: one for each usable processor; 0 for none, so that threads alone share the work.
    """

    create: bool = True
    workers: int | None = None

    @property
    def shares_bytes(self) -> bool:
        return True

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
        self.check(compressor, encryptor)
        # Here, because they are much of what `import backupkit` would have to load.
        try:
            from backupkit.formats.restic.repository import ResticRepository
        except ImportError as error:
            raise ConfigurationError(
                f"Restic() needs borghash and pyfastcdc ({error.name} lacks): pip install 'backupkit[snapshots]'"
            ) from error
        from backupkit.compression import Zstd

        assert isinstance(encryptor, Passphrase)  # noqa: S101  # see check
        yield ResticRepository(
            destination,
            name=name,
            compressor=compressor or Zstd(),
            passphrase=encryptor,
            executor=executor,
            creates=self.create,
            workers=self.workers,
            host=os.uname().nodename,
            program=_program(),
        )


def _program() -> str:
    """What a snapshot says that it was written by."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"backupkit {version('backupkit')}"
    except PackageNotFoundError:
        return "backupkit"

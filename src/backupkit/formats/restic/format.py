"""`Restic()`: incremental, deduplicated snapshots, which stock restic reads and continues."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from backupkit.errors import BackupKitError, ConfigurationError, ObjectNotFoundError, UnsupportedCodecError
from backupkit.formats.restic.layout import CONFIG, ObjectKind, id_in
from backupkit.model import Contents, Entry, Part, Problem, Written
from backupkit.passphrase import Passphrase, refuse_text
from backupkit.protocols import Compressor, Destination, Encryptor, nothing
from backupkit.prune_limits import PruneLimits
from backupkit.retrying import Retry

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backupkit.formats.restic.access import Access
    from backupkit.formats.restic.repository import ResticRepository

_ALGORITHMS = ("zstd", "store")
_LEVEL = 3  # of zstd, unless another is asked for: about what restic stores as large, or less


@dataclass(frozen=True, slots=True)
class Restic:
    """Snapshots in a repository of restic's format, version 2, one for all pipelines and hosts that share it.

    Only what has changed is read and only what is new is stored. Everything is encrypted, names and sizes too, so
    that a passphrase is needed even for listing. Needs `pip install 'backupkit[snapshots]'`.

    `create=False` never makes a repository: an unmounted disk or a mistyped location is an error then. `lock_wait`
    is how long to wait for a repository that somebody else uses alone, as `restic prune` does. Indexes, snapshots
    and folders of repositories that are not on this machine are kept below the user's cache folder, or below
    another one given as `cache`; with `cache=False` they are not.

    `workers` are the processes that read and store large trees, in which Python's lock would let one processor do
    all the work: one for each usable processor, at most 4 unless you say more (each takes 60 to 90 MiB); 0 for
    none, so that threads alone share the work.

    `pruning` says how much of what is stored may be of no use when a pipeline has cleaned, because storing
    anew what stands beside it would cost more.
    """

    create: bool = True
    lock_wait: timedelta = timedelta(minutes=5)
    cache: bool | str | os.PathLike[str] = True
    workers: int | None = None
    pruning: PruneLimits = PruneLimits()  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        if not isinstance(self.lock_wait, timedelta) or self.lock_wait < timedelta(0):
            raise ConfigurationError(
                f"Restic(lock_wait={self.lock_wait!r}) is not possible: use a timedelta that is not negative."
            )
        if self.workers is not None and not (type(self.workers) is int and self.workers >= 0):
            raise ConfigurationError(
                f"Restic(workers={self.workers!r}) is not possible: use a number, 0 for none, or None."
            )

    @property
    def shares_bytes(self) -> bool:
        return True

    @staticmethod
    def is_at(destination: Destination) -> bool:
        """Whether there is a repository, be it a damaged one: a config, keys and snapshots, or two of these."""

        def has(kind: ObjectKind) -> bool:
            return any(id_in(stored.name) is not None for stored in destination.list(f"{kind}/"))

        try:
            destination.stat(CONFIG)
        except ObjectNotFoundError:
            return has("keys") and has("snapshots")
        return has("keys") or has("snapshots")

    def check(self, compressor: Compressor | None, encryptor: Encryptor | Passphrase | None) -> None:
        if compressor is not None and compressor.algorithm not in _ALGORITHMS:
            raise UnsupportedCodecError(
                f"Snapshots cannot hold {compressor.algorithm!r}: use Zstd(level), or Store() for no compression."
            )
        if encryptor is None:
            raise ConfigurationError(
                "A restic repository is always encrypted: give encryptor=Passphrase.from_env(…) or the like."
            )
        refuse_text(encryptor)
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
        between: Callable[[], None] = nothing,
    ) -> Iterator[ResticRepository]:
        self.check(compressor, encryptor)
        _require_libraries()
        # Here, because they are much of what `import backupkit` would have to load.
        from backupkit.compression import Zstd
        from backupkit.formats.restic.repository import ResticRepository

        with ResticRepository(
            destination,
            name=name,
            compressor=compressor or Zstd(_LEVEL),
            access=self._access(encryptor),
            executor=executor,
            between=between,
            workers=self.workers,
            limits=self.pruning,
            host=os.uname().nodename,
            program=_program(),
        ) as repository:
            yield repository

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
        noticed: Callable[[Problem], None],
    ) -> Mapping[int, Written]:
        """See `protocols.FansOut`. New repositories get the chunker parameter of the others."""
        self.check(compressor, encryptor)
        _require_libraries()
        from backupkit.compression import Zstd
        from backupkit.formats.restic.saving import Run
        from backupkit.formats.restic.several import write_snapshots

        return write_snapshots(
            dict(enumerate(destinations)),
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
            access=self._access(encryptor),
            compressor=compressor or Zstd(_LEVEL),
            executor=executor,
            retry=retry,
            failed=failed,
            noticed=noticed,
        )

    def _access(self, encryptor: Encryptor | Passphrase | None) -> Access:
        from backupkit.formats.restic.access import Access

        assert isinstance(encryptor, Passphrase)  # noqa: S101  # see check
        return Access(passphrase=encryptor, creates=self.create, lock_wait=self.lock_wait, cache=self.cache)


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

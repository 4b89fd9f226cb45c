"""How do I back up a host that must not be able to read its own backups?

Encrypt to an age public key (https://age-encryption.org): the host holds the recipient only, and the identity that
decrypts stays with whoever restores. ZIP has no record for age, so the whole archive is the unit, and it is called
`….zip.age`: `age -d -i key.txt backup.zip.age > backup.zip` opens it without this library.

This is a plug-in as a third party would write it: a class with a `scheme`, `encrypt` and `decrypt`, held to the
contract by `backupkit.testing.codecs.EncryptorTests` (see tests/examples). Needs pyrage.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

import pyrage

from backupkit import (
    BackupKitError,
    BackupPipeline,
    Directory,
    IntegrityError,
    WrongPassphraseError,
    open_repository,
)


class Age:
    """Encrypts to recipients, decrypts with identities; either may be missing."""

    scheme = "age"

    def __init__(self, *, recipients: Sequence[str] = (), identities: Sequence[str] = ()) -> None:
        self._recipients = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
        self._identities = [pyrage.x25519.Identity.from_str(text) for text in identities]

    def encrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        return piped(chunks, lambda source, sink: pyrage.encrypt_io(source, sink, self._recipients))

    def decrypt(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        if not self._identities:
            raise WrongPassphraseError(
                "This archive is encrypted to an age key: give Age the identity that opens it."
            )
        try:
            yield from piped(chunks, lambda source, sink: pyrage.decrypt_io(source, sink, self._identities))
        except BackupKitError:
            raise  # the destination's
        except (pyrage.DecryptError, OSError) as error:
            if "No matching keys" in str(error):
                raise WrongPassphraseError("None of the age identities given opens this archive.") from error
            raise IntegrityError("The age encryption of this archive is damaged.", where="age") from error


def piped(chunks: Iterable[bytes], function: Callable[[IO[bytes], IO[bytes]], None]) -> Iterator[bytes]:
    """Run a function that reads one file and writes another as a step of a stream, in bounded memory."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=16)
    left = threading.Event()
    failures: list[BaseException] = []

    class Source(io.RawIOBase):
        def __init__(self) -> None:
            super().__init__()
            self.chunks, self.rest = iter(chunks), b""

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1, /) -> bytes:
            while not self.rest:
                try:
                    self.rest = next(self.chunks)
                except StopIteration:
                    return b""
                except BaseException as error:  # pyrage would make another error of it
                    failures.append(error)
                    raise
            taken = self.rest if size < 0 else self.rest[:size]
            self.rest = self.rest[len(taken) :]
            return taken

    class Sink(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object, /) -> int:
            content = bytes(cast("bytes", data))
            put(content)
            return len(content)

    def put(item: bytes | BaseException | None) -> None:
        while not left.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue
        raise BrokenPipeError("nobody reads this stream any more")

    def work() -> None:
        try:
            function(cast("IO[bytes]", Source()), cast("IO[bytes]", Sink()))
            put(None)
        except BaseException as error:
            if not left.is_set():
                put(failures[0] if failures else error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        worker.join()


def main() -> None:
    identity = pyrage.x25519.Identity.generate()  # made once, on the machine of whoever restores
    recipient = str(identity.to_public())  # all that the backed-up host ever sees

    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "app").mkdir()
        (root / "app" / "orders.csv").write_text("1,apples\n2,pears\n")
        (root / "backups").mkdir()

        pipeline = BackupPipeline(
            "shop", Directory(root / "app"), root / "backups", encryptor=Age(recipients=[recipient])
        )
        pipeline.run()
        print(f"stored {next((root / 'backups').rglob('*.zip.age')).name}")

        try:
            pipeline.restore(to=root / "stolen")
        except WrongPassphraseError as error:
            print(f"the host itself cannot read it: {error}")

        keeper = open_repository(root / "backups", Age(identities=[str(identity)]))
        keeper.verify()
        keeper.restore(to=root / "restored")
        print((root / "restored" / "app" / "orders.csv").read_text(), end="")


if __name__ == "__main__":
    main()

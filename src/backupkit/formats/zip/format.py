"""`Zip()`: one archive object per run, which anyone can open with stock tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING

from backupkit.errors import UnsupportedCodecError
from backupkit.formats.zip.naming import zone_of
from backupkit.formats.zip.records import METHODS
from backupkit.passphrase import Passphrase, refuse_text
from backupkit.protocols import Compressor, Destination, Encryptor, nothing

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backupkit.formats.zip.repository import ZipRepository


@dataclass(frozen=True, slots=True)
class Zip:
    """ZIP archives, `<name>/<UTC time>[-databases|-files].zip`, AES-256 encrypted per entry (AE-2).

    7-Zip, WinZip and pyzipper open them; unencrypted ones with deflate open everywhere. An encryptor that
    ZIP has no record for takes the whole archive as its unit: `….zip.<scheme>`. Names of entries, their
    sizes and times stay readable in a ZIP archive, also in an encrypted one.

    ZIP archives that others wrote are listed and read too. `legacy_time_zone` is where the times in names
    such as laravel-backup's, `2026-01-31-02-00-00.zip`, are local; without it, such an archive is as old
    as its object.
    """

    legacy_time_zone: str | tzinfo | None = None

    def __post_init__(self) -> None:
        zone_of(self.legacy_time_zone)

    @property
    def shares_bytes(self) -> bool:
        return False

    def check(self, compressor: Compressor | None, encryptor: Encryptor | Passphrase | None) -> None:
        if compressor is not None and compressor.algorithm not in METHODS:
            raise UnsupportedCodecError(
                f"ZIP archives cannot hold {compressor.algorithm!r}: use one of {', '.join(METHODS)}."
            )
        if encryptor is None or isinstance(encryptor, Passphrase):
            return
        refuse_text(encryptor)
        scheme = encryptor.scheme
        if not scheme or scheme.strip("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise UnsupportedCodecError(
                f"The encryption scheme {scheme!r} cannot stand in an object's name: "
                "use lower-case letters, digits and hyphens."
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
    ) -> Iterator[ZipRepository]:
        # Here, because they are most of what `import backupkit` would have to load.
        from backupkit.compression import Deflate
        from backupkit.formats.zip.aes import WinZipAES
        from backupkit.formats.zip.repository import ZipRepository

        self.check(compressor, encryptor)
        if isinstance(encryptor, Passphrase):
            encryptors: list[Encryptor] = [WinZipAES(one) for one in encryptor.candidates()]
        else:
            encryptors = [encryptor] if encryptor is not None else []
        yield ZipRepository(
            destination,
            name=name,
            compressor=compressor or Deflate(),
            encryptors=encryptors,
            executor=executor,
            legacy_zone=zone_of(self.legacy_time_zone),
        )

"""`RepositoryFileSystem`: the backups at a place, for who has nothing but fsspec's options."""

from __future__ import annotations

import os
from typing import Any

from fsspec.spec import make_instance

from backupkit.backups import Backups
from backupkit.browsing import BackupFileSystem
from backupkit.opening import open_repository
from backupkit.passphrase import Passphrase
from backupkit.repository_urls.hiding import Hidden, Hiding, passphrase_of, place_of, without_secrets


class RepositoryFileSystem(BackupFileSystem, metaclass=Hiding):
    """What `backupkit://` means to fsspec: see `BackupFileSystem` for how it behaves.

        fsspec.open("backupkit://latest/shop/orders.csv", repository="/mnt/backup", passphrase="env:BACKUP_SECRET")

    `repository`, `name` and `legacy_time_zone` are those of `open_repository`. The passphrase is a Passphrase, a
    text, or `env:` and the variable that holds it. What is left out comes from fsspec's configuration, such as the
    environment's FSSPEC_BACKUPKIT_REPOSITORY.

    Neither a pickle nor `to_json` has a passphrase, or a URL with a password; where they are read, the
    configuration must give them again. The name of a variable is in both.
    """

    protocol = "backupkit"
    cachable = True

    def __init__(
        self,
        *,
        repository: str | os.PathLike[str] | Hidden | None = None,
        passphrase: Passphrase | str | Hidden | None = None,
        name: str | None = None,
        legacy_time_zone: str | None = None,
        **storage_options: Any,
    ) -> None:
        super().__init__(None, **storage_options)
        self._place = place_of(repository)
        self._passphrase = passphrase_of(passphrase)
        self._name = name
        self._legacy_time_zone = legacy_time_zone

    def __reduce__(self) -> tuple[Any, ...]:
        return make_instance, (type(self), (), without_secrets(self.storage_options))

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """As fsspec describes it, never with secrets."""
        kind = type(self)
        described = {"cls": f"{kind.__module__}:{kind.__name__}", "protocol": self.protocol, "args": ()}
        return described | without_secrets(self.storage_options)

    def _backups(self) -> Backups:
        return open_repository(
            self._place, self._passphrase, name=self._name, legacy_time_zone=self._legacy_time_zone
        )

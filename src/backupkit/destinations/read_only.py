"""`ReadOnly`: a destination from which backups are restored, and which nothing changes."""

from __future__ import annotations

from backupkit.destinations.names import check_name
from backupkit.destinations.streams import closed_on_failure
from backupkit.destinations.wrapping import Wrapping
from backupkit.errors import AccessDeniedError
from backupkit.model import StoredObject
from backupkit.protocols import Chunks, Destination, HasLeftovers


class ReadOnly(Wrapping):
    """Another destination, of which nothing is written, replaced or deleted: AccessDeniedError says so.

    Listing, restoring and verifying work; that a backup was verified is not recorded, which is a warning.
    """

    def __init__(self, destination: Destination) -> None:
        super().__init__(destination)
        if isinstance(destination, HasLeftovers):
            vars(self)["discard"] = self._keep

    def write(self, name: str, chunks: Chunks, *, overwrite: bool = False) -> StoredObject:
        with closed_on_failure(chunks):
            check_name(name)
            raise self._refusal(name, "written")

    def delete(self, name: str) -> None:
        check_name(name)
        raise self._refusal(name, "deleted")

    def _keep(self, leftover: StoredObject) -> None:
        raise self._refusal(leftover.name, "deleted")

    def _refusal(self, name: str, what: str) -> AccessDeniedError:
        return AccessDeniedError(
            f"The object {name!r} was not {what} at {self.location}, which is used as ReadOnly: "
            "use it without that where backups are made or cleaned.",
            location=self.location,
            name=name,
        )

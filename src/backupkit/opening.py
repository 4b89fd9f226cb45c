"""`open_repository`: the backups at a URL, for whoever has nothing but that and the passphrase."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from backupkit.backups import Backups
from backupkit.destinations.opening import URLLike, within
from backupkit.errors import RepositoryNotFoundError
from backupkit.formats.zip.format import Zip
from backupkit.passphrase import Passphrase
from backupkit.protocols import Destination, Encryptor, Observer


def open_repository(
    url: Destination | URLLike,
    passphrase: Passphrase | str | Encryptor | None = None,
    *,
    name: str | None = None,
    legacy_time_zone: str | tzinfo | None = None,
    observers: Sequence[Observer] = (),
) -> Backups:
    """The backups at a URL, with nothing known but the passphrase; the format is found out from what is there.

    The URL names a destination, or within it the folder of one pipeline. `name` limits everything to one
    pipeline's backups, and `legacy_time_zone` is that of the names of laravel-backup's archives (see `Zip`).
    Listing needs no passphrase. RepositoryNotFoundError if there are no backups.
    """
    encryptor = Passphrase(passphrase) if isinstance(passphrase, str) else passphrase
    format = Zip(legacy_time_zone=legacy_time_zone)
    backups = Backups(name, url, encryptor=encryptor, format=format, observers=observers)
    listing = backups.list()
    if name is None and not listing.of_pipelines and (found := within(backups.destinations[0])):
        # What is learnt about a backup stands beside the pipeline's folder, so it is opened from above.
        above, folder = found
        inner = Backups(folder, above, encryptor=encryptor, format=format, observers=observers)
        inside = inner.list()
        if inside.of_pipelines or (inside.backups and not listing.backups):
            return inner
    if listing.problems:
        raise RepositoryNotFoundError(listing.problems[0].message)
    if not listing.backups:
        whose = "" if name is None else f" of {name}"
        raise RepositoryNotFoundError(
            f"There are no backups{whose} at {backups.destinations[0].location}: "
            "give the folder or URL that a pipeline writes to."
        )
    return backups

"""`open_repository`: the backups at a URL, for whoever has nothing but that and the passphrase."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from backupkit.backups import Backups
from backupkit.destinations.opening import URLLike, open_destinations, within
from backupkit.errors import DestinationError, RepositoryNotFoundError, WrongPassphraseError
from backupkit.formats.restic.format import Restic
from backupkit.formats.restic.layout import KINDS
from backupkit.formats.zip.format import Zip
from backupkit.model import Listing
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
    Listing archives needs no passphrase; listing snapshots does, and without one WrongPassphraseError says so.
    Of snapshots that restic itself made, the name is that of their host. RepositoryNotFoundError if there are no
    backups.
    """
    encryptor = Passphrase(passphrase) if isinstance(passphrase, str) else passphrase
    (destination,) = open_destinations(url)

    def snapshots(place: Destination, name: str | None) -> Backups:
        if encryptor is None:
            raise WrongPassphraseError(
                f"The backups at {place.location} are snapshots, of which nothing can be seen without their "
                "passphrase: give it."
            )
        format = Restic(create=False)
        backups = Backups(name, place, encryptor=encryptor, format=format, observers=observers)
        return _not_empty(backups, backups.list())

    def archives(place: Destination, name: str | None) -> Backups:
        format = Zip(legacy_time_zone=legacy_time_zone)
        return Backups(name, place, encryptor=encryptor, format=format, observers=observers)

    if _holds_snapshots(destination):
        return snapshots(destination, name)
    backups = archives(destination, name)
    listing = backups.list()
    if name is None and not listing.of_pipelines and (found := within(destination)):
        # What is learnt about a backup stands beside the pipeline's folder, so it is opened from above.
        above, folder = found
        if not listing.backups and _holds_snapshots(above):
            return snapshots(above, None if folder in KINDS else folder)
        inner = archives(above, folder)
        inside = inner.list()
        if inside.of_pipelines or (inside.backups and not listing.backups):
            return inner
    return _not_empty(backups, listing)


def _holds_snapshots(destination: Destination) -> bool:
    try:
        return Restic.is_at(destination)
    except DestinationError:
        return False  # listing it tells why


def _not_empty(backups: Backups, listing: Listing) -> Backups:
    """The same; RepositoryNotFoundError if its listing has none of its name."""
    if listing.problems:
        raise RepositoryNotFoundError(listing.problems[0].message)
    if not any(backups.name in (None, one.name) for one in listing.backups):
        whose = "" if backups.name is None else f" of {backups.name}"
        raise RepositoryNotFoundError(
            f"There are no backups{whose} at {backups.destinations[0].location}: "
            "give the folder or URL that a pipeline writes to."
        )
    return backups

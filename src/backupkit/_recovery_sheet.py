"""The recovery sheet: on paper, what a stranger needs besides the passphrase to restore, and nothing secret."""

from __future__ import annotations

import hashlib
import shlex
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap

from backupkit._keys import Opened
from backupkit._operation import raise_all
from backupkit.errors import BackupKitError
from backupkit.model import Essentials, Key
from backupkit.passphrase import Passphrase
from backupkit.printable import printable
from backupkit.protocols import Destination, Encryptor, HasKeys, OnThisMachine, Repository

_LINE = 64  # characters of base64 in a line, which an eye can follow
_UNSAID = ("text", "callable", "the terminal")  # where a passphrase comes from, if that tells nobody anything
_BLANK = "_" * 50


def recovery_sheet(
    name: str | None,
    destinations: Sequence[Destination],
    opened: Opened,
    encryptor: Encryptor | Passphrase | None,
    *,
    now: datetime,
) -> str:
    """The sheet, as Markdown that can be read as it is.

    Raises what keeps any of the destinations from being described: a sheet that lacks one would be trusted.
    """
    parts: list[str] = []
    failures: list[Exception] = []
    for number, destination in enumerate(destinations, start=1):
        try:
            with opened(destination) as repository:
                parts += ["", f"## {number}. {printable(destination.location)}", ""]
                parts += _described(name, destination, repository, encryptor)
        except BackupKitError as error:
            failures.append(error)
    raise_all("The recovery sheet could not be made of every destination", failures)
    return "\n".join([*_head(name, destinations, encryptor, now), *parts, ""])


def _head(
    name: str | None,
    destinations: Sequence[Destination],
    encryptor: Encryptor | Passphrase | None,
    now: datetime,
) -> Iterator[str]:
    yield f"# How to restore the backups{f' of {printable(name)}' if name else ''}"
    yield ""
    yield f"Made on {now.astimezone(UTC):%d %B %Y, %H:%M} UTC by backupkit."
    yield ""
    yield "Keep this sheet apart from the machine that is backed up and from the backups. Make a new one when keys,"
    yield "the passphrase or destinations have changed."
    if encryptor is not None:
        yield ""
        yield "The passphrase is not on it, and nothing on it opens the backups without. The passphrase is kept at:"
        yield ""
        yield _BLANK
        if isinstance(encryptor, Passphrase) and encryptor.origin not in _UNSAID:
            yield ""
            yield f"On the machine that is backed up it comes from: {printable(encryptor.origin)}"
    if not all(isinstance(one, OnThisMachine) for one in destinations):
        yield ""
        yield "The credentials for the places below are not on it either. They are kept at:"
        yield ""
        yield _BLANK


def _described(
    name: str | None,
    destination: Destination,
    repository: Repository,
    encryptor: Encryptor | Passphrase | None,
) -> Iterator[str]:
    backups = [] if name else [*repository.list()]
    names = [name] if name else sorted({one.name for one in backups})
    where = str(destination.folder) if isinstance(destination, OnThisMachine) else destination.location
    local = isinstance(destination, OnThisMachine)
    if isinstance(repository, HasKeys):
        # Of what restic has made by itself, the names are no tags, but those of hosts.
        tags = [name] if name else sorted({one.name for one in backups if one.made_by == "backupkit"})
        hosts = sorted({one.host for one in backups if one.made_by == "other" and one.host})
        latest = [f"--tag {shlex.quote(f'backupkit:name={tag}')}" for tag in tags]
        latest += [f"--host {shlex.quote(printable(host))}" for host in hosts]
        yield from _of_snapshots(names, where, latest, repository.essentials(), local=local)
    else:
        yield from _of_archives(names, where, encryptor, local=local)


def _of_snapshots(
    names: Sequence[str], where: str, latest: Sequence[str], essentials: Essentials, *, local: bool
) -> Iterator[str]:
    """`latest` are the options by which restic finds the newest of each of them."""
    yield f"- What: snapshots of {_named(names)}"
    yield "- Format: repository of restic's, version 2"
    yield f"- Id of the repository: {essentials.repository}"
    yield from _with_backupkit(where, "cli,snapshots", local=local)
    yield ""
    yield "### With restic and nothing else"
    yield ""
    yield "Get restic from https://restic.net or the system's packages. It asks for the passphrase."
    if not local:
        yield "To restic, s3://bucket/folder is s3:s3.amazonaws.com/bucket/folder (or another store's address),"
        yield "gs://bucket/folder is gs:bucket:/folder, sftp://user@host/folder is sftp:user@host:/folder; others"
        yield "are reached by rclone:, or the whole is copied to a disk first. Put that in place of REPOSITORY."
    place = shlex.quote(where) if local else "REPOSITORY"
    yield ""
    yield "```sh"
    yield f"restic -r {place} snapshots"
    for options in latest or [""]:
        yield f"restic -r {place} restore {' '.join(filter(None, ('latest', options)))} --target restored"
    yield "```"
    yield ""
    yield "### If `config` or `keys/` of the repository are lost"
    yield ""
    yield "Nothing opens without them. Run in the folder of the repository, or in an empty one from which the files"
    yield "are then sent there, these commands put back what is missing. What is there already is left as it is:"
    yield "move it away if it is damaged. After each file comes its checksum (macOS: `shasum -a 256 -c`)."
    yield ""
    for key in essentials.keys:
        yield f"- {_origin(key)}"
    yield ""
    yield "```sh"
    yield from _commands(essentials.objects)
    yield "```"


def _commands(objects: Mapping[str, bytes]) -> Iterator[str]:
    """What a shell makes these files by. In one of its own, whose settings end with it."""
    yield "("
    yield "umask 077; set -C"
    yield "mkdir -p keys"
    for name, content in objects.items():
        yield f"base64 -d > {name} <<'END'"
        yield from wrap(b64encode(content).decode(), _LINE)
        yield "END"
        yield f"echo '{hashlib.sha256(content).hexdigest()}  {name}' | sha256sum -c"
    yield ")"


def _origin(key: Key) -> str:
    made = f", made {key.created:%Y-%m-%d}" if key.created else ""
    whose = f"{key.user or 'somebody'}@{key.host or 'somewhere'}"
    used = ", whose passphrase is meant above" if key.in_use else ""
    return f"key {key.id[:8]}, of {printable(whose)}{made}{used}"


def _of_archives(
    names: Sequence[str], where: str, encryptor: Encryptor | Passphrase | None, *, local: bool
) -> Iterator[str]:
    yield f"- What: archives of {_named(names)}"
    foreign = None if encryptor is None or isinstance(encryptor, Passphrase) else encryptor.scheme
    if foreign:
        yield f"- Format: ZIP files, each encrypted as a whole ({printable(foreign)})"
    else:
        yield f"- Format: ZIP files, {'not encrypted' if encryptor is None else 'encrypted by AES-256'}"
    yield "- Names: `<pipeline>/<time in UTC>.zip`; one that is finished has a `.complete.json` beside it"
    if foreign:
        yield "- To restore: decrypt the newest by the program of that scheme, then unpack it as any ZIP file"
        return
    yield from _with_backupkit(where, "cli", local=local)
    yield ""
    yield "### With 7-Zip and nothing else"
    yield ""
    yield "Get 7-Zip from https://www.7-zip.org or the system's packages, and the newest file from that place."
    if encryptor is not None:
        yield "It asks for the passphrase; do not write it into the command."
    yield ""
    yield "```sh"
    for name in names or ["PIPELINE"]:
        folder = shlex.quote(f"{where.rstrip('/')}/{name}") + "/" if local else ""
        yield f"7zz x -orestored {folder}NEWEST.zip"
    yield "```"


def _with_backupkit(where: str, extras: str, *, local: bool) -> Iterator[str]:
    place = shlex.quote(where)
    yield ""
    yield "### With backupkit"
    yield ""
    yield "On Linux or macOS with Python 3.11 or later; it asks for the passphrase."
    if not local:
        yield "Add what the place needs to the brackets: s3, gcs, azure, dropbox, sftp or webdav."
    yield ""
    yield "```sh"
    yield f"pip install 'backupkit[{extras}]'"
    yield f"backupkit list {place}"
    yield f"backupkit restore {place} --to restored"
    yield "```"


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names)) or "nothing yet"

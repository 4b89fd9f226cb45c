"""Scratch folders and databases: made for a drill, and gone after it or, if that was killed, after the next."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from backupkit.databases.clients import DatabaseClient, client_of
from backupkit.databases.programs import ClientError
from backupkit.databases.scratch_names import to_be_dropped_since
from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError, RestoreError
from backupkit.model import Problem

Tell: TypeAlias = Callable[[Problem], None]

_FOLDER = "backupkit-drill-"
_KEPT_FOLDER = "backupkit-kept-"
_ABANDONED = timedelta(hours=24)  # another machine's drill may use the same server, and take long
_NEW = 60.0  # seconds in which a folder that was made just now may not be locked yet


@dataclass(frozen=True, slots=True)
class ScratchDatabase:
    """A database that is not there yet. `made_up`: its name is ours, so that nobody else can mean it.

    Redis has no databases to make: there it is an empty one of a server that was named for it.
    """

    url: DatabaseURL
    tools: Path | None
    made_up: bool

    @property
    def client(self) -> DatabaseClient:
        return client_of(self.url, tools=self.tools)

    def check(self, path: str) -> None:
        """RestoreError if the server does not answer, or the database exists: it is not ours to drop."""
        try:
            state = self.client.state()
        except ClientError as error:
            raise self._refused(path, error) from error
        if self.url.engine == "redis" and state == "filled":
            raise RestoreError(
                f"{path} cannot be rehearsed at {self.url}, which holds data: name an empty Redis server.",
                path=path,
            )
        if self.url.engine != "redis" and state != "missing":
            raise RestoreError(
                f"{path} cannot be rehearsed in {self.url}, which exists already, and a drill drops what it used: "
                "name one that does not exist, or the server alone.",
                path=path,
            )

    def check_apart(self, path: str, sources: Iterable[DatabaseURL]) -> None:
        """ConfigurationError if it is the Redis server of a source by another name, as far as both answer."""
        if self.url.engine != "redis":
            return
        from backupkit.databases.redis import RedisClient

        own = RedisClient(self.url, self.tools)
        for source in sources:
            with suppress(ClientError):
                if source.engine == "redis" and own.is_same_server(RedisClient(source, self.tools)):
                    raise ConfigurationError(
                        f"{path} would be restored over {source}, which is the server {self.url} by another "
                        "name: name another one for the drill."
                    )

    @contextmanager
    def made(self, path: str, *, keep: bool, tell: Tell, used: Callable[[], bool]) -> Iterator[None]:
        """Make it, and drop it in the end unless `keep`; what that leaves is told. RestoreError.

        A Redis server is emptied only if it was `used`: it was there before, and what is in it may be another's.
        """
        try:
            self._make()
        except (ClientError, OSError) as error:  # it is somebody else's, or there is nothing
            raise self._refused(path, error) from error
        except BaseException:
            self._drop_half_made()
            raise
        try:
            yield
        finally:
            if keep:
                tell(kept(f"The scratch database {self.url}"))
            elif self.url.engine != "redis" or used():
                try:
                    self.client.drop()
                except ClientError as error:
                    tell(_left(f"The scratch database {self.url}", error))

    def _make(self) -> None:
        """Make it, and fail if somebody else was faster: what is dropped in the end must be ours."""
        if self.url.engine == "sqlite":
            os.close(os.open(self.url.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        elif self.url.engine != "redis":
            self.client.create()

    def _drop_half_made(self) -> None:
        """After an interruption nobody knows whether the server went on; what holds something is not ours."""
        with suppress(ClientError):
            if self.made_up or self.client.state() == "empty":
                self.client.drop()

    def _refused(self, path: str, error: ClientError | OSError) -> RestoreError:
        return RestoreError(
            f"The drill could not begin: there is no scratch database for {path} at {self.url}: {error}",
            path=path,
        )


def drop_abandoned(database: ScratchDatabase, now: datetime, tell: Tell) -> None:
    """Drop what killed drills left on this server more than 24 hours ago, by the time in the name."""
    try:
        names = database.client.databases()
    except ClientError:
        return  # who may not see the others cannot tidy up after them
    for name in names:
        made = to_be_dropped_since(name)
        if made is not None and now - made > _ABANDONED:
            url = replace(database.url, database=name)
            try:
                client_of(url, tools=database.tools).drop()
            except ClientError as error:
                tell(_left(f"The abandoned scratch database {url}", error))


@contextmanager
def scratch_folder(within: str | os.PathLike[str] | None, *, keep: bool, tell: Tell) -> Iterator[Path]:
    """A new folder that only its owner may enter, below `within` or the system's temporary folder.

    It is removed in the end unless `keep`. What killed drills of this user left there is removed first.
    RestoreError if it cannot be made.
    """
    import fcntl
    import tempfile

    above = os.path.abspath(within or tempfile.gettempdir())
    try:
        _remove_abandoned(above)
        folder = Path(tempfile.mkdtemp(prefix=_KEPT_FOLDER if keep else _FOLDER, dir=above))
    except OSError as error:
        raise RestoreError(
            f"The drill could not begin: no scratch folder can be made in {above!r} ({error.strerror}): name "
            "another with scratch=.",
            path=above,
        ) from error
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # a file system without locks: there, nobody sees that it is abandoned
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield folder
        finally:
            os.close(descriptor)
    finally:
        if keep:
            tell(kept(f"The scratch folder {str(folder)!r}"))
        else:
            try:
                _remove(folder)
            except OSError as error:
                tell(_left(f"The scratch folder {str(folder)!r}", error))


def _remove_abandoned(above: str) -> None:
    """Only a living drill holds the lock of its folder."""
    import fcntl

    for name in os.listdir(above):
        if not name.startswith(_FOLDER):
            continue
        path = os.path.join(above, name)
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                if status.st_uid == os.geteuid() and status.st_ctime < time.time() - _NEW:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(Path(path))
            finally:
                os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove the folder with all that is in it, folders without rights for their owner included."""
    pending = [os.fspath(folder)]
    while pending:
        one = pending.pop()
        os.chmod(one, stat.S_IRWXU)
        with os.scandir(one) as inside:
            pending += [entry.path for entry in inside if entry.is_dir(follow_symlinks=False)]
    shutil.rmtree(folder)


def kept(what: str) -> Problem:
    """What is told of something that was to be left in place."""
    return Problem(message=f"{what} was kept, as asked: remove it when it is done with.", severity="warning")


def _left(what: str, error: Exception) -> Problem:
    return Problem(message=f"{what} could not be removed: {error}. Remove it by hand.", severity="warning")

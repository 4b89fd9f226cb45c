"""Loading an RDB file into a running Redis server: as its master, for as long as that takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from backupkit._chunks import begun
from backupkit.databases.clients import DatabaseClient
from backupkit.databases.programs import ClientError
from backupkit.databases.rdb import BEGINNING, used_memory, version_of, whole_rdb
from backupkit.databases.redis import RedisClient
from backupkit.targets._redis_master import Master
from backupkit.targets.database import Loading

_DISKLESS = "repl-diskless-load"
_PATIENCE = 120.0  # seconds in which a server that was cut off puts back what it had, and listens again


def load_redis(client: DatabaseClient, chunks: Iterator[bytes], loading: Loading) -> None:
    """Make the server our replica, give it the file, and make it a master again, whatever happens.

    It takes the file into memory beside what it has, and goes over to it only when the file has ended as it
    should: until then, and after any failure, it keeps what was there. One that evicts what it has no room
    for is refused where that can be foreseen; where it happened, that is an error.
    """
    assert isinstance(client, RedisClient)  # noqa: S101 - the loader is chosen by the client's engine
    deadline = loading.limits.deadline()
    information = client.information()
    _check_can_follow(client, information)
    head, chunks = begun(chunks, BEGINNING)
    _check_version(client, head)
    _check_room(information, head)
    with (
        _keeping_what_it_has(client),
        Master(client.url, identity=information["master_replid"], deadline=deadline) as master,
        _following(client, master),
    ):
        master.send(whole_rdb(chunks))
    _check_all_is_there(information, client.information())


def _check_can_follow(client: RedisClient, information: dict[str, str]) -> None:
    if information.get("cluster_enabled") == "1":
        raise ClientError(
            "the server is part of a cluster, whose members follow no other master: restore to a server of its "
            "own, and move the keys from there (redis-cli --cluster import)."
        )
    if information.get("role") != "master" or "master_replid" not in information:
        raise ClientError("the server is a replica: restore to its master.")
    if client.setting("tls-replication") == "yes":
        raise ClientError(
            "the server replicates by TLS only, which is not spoken here: set tls-replication to no until the "
            "restore is done, or start a server on the file."
        )


def _check_version(client: RedisClient, head: bytes) -> None:
    version, known = version_of(head), client.rdb_version()
    if known is not None and version > known:
        raise ClientError(
            f"the server is older than the one that the dump is of (it reads RDB files up to version {known}, and "
            f"this one has {version}): restore to a newer server."
        )


def _check_room(information: dict[str, str], head: bytes) -> None:
    """A replica evicts nothing, but what it has no room for it evicts as soon as it is a master again."""
    allowed, needed = int(information.get("maxmemory", 0)), used_memory(head)
    policy = information.get("maxmemory_policy", "noeviction")
    if allowed and needed is not None and needed > allowed and policy != "noeviction":
        raise ClientError(
            f"the server may use {allowed} bytes of memory, the one that was dumped used {needed}, and it would "
            f"evict the rest ({policy}): raise its maxmemory, or set its maxmemory-policy to noeviction."
        )


def _check_all_is_there(before: dict[str, str], after: dict[str, str]) -> None:
    """A server evicts before it answers any command, if it has to: so it has begun to when it says how many."""
    evicted = int(after.get("evicted_keys", 0)) - int(before.get("evicted_keys", 0))
    if evicted > 0:
        raise ClientError(
            f"the server has loaded the dump, but has no room for all of it and evicts keys ({evicted} up to now, "
            f"maxmemory is {after.get('maxmemory')}, the policy {after.get('maxmemory_policy')}): raise its "
            "maxmemory, and restore again."
        )


@contextmanager
def _keeping_what_it_has(client: RedisClient) -> Iterator[None]:
    """Have it load what a master sends beside what it has, and not in its place.

    With any other setting it would drop its data before it has looked at the new file, and end itself if
    there is something wrong with that.
    """
    before = client.setting(_DISKLESS)
    if before is None:
        raise ClientError(
            f"the server knows no {_DISKLESS}: restore to one of version 6 or newer, or start a server on the file."
        )
    _set(client, "swapdb")
    try:
        yield
    except BaseException:
        with suppress(ClientError):  # what came first says more, and a server that is gone has forgotten this
            _set(client, before)
        raise
    _set(client, before)


def _set(client: RedisClient, value: str) -> None:
    client.ask("CONFIG", "SET", _DISKLESS, value)


@contextmanager
def _following(client: RedisClient, master: Master) -> Iterator[None]:
    """The server is the replica of that master for as long as the context lasts."""
    host, port = master.address
    try:
        client.ask("REPLICAOF", host, str(port))
        yield
    except BaseException:
        master.hang_up()  # only then it stops waiting for the rest
        _lead(client)
        raise
    _lead(client)


def _lead(client: RedisClient) -> None:
    """Make the server a master again, as soon as it has put back what it had."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            client.ask("REPLICAOF", "NO", "ONE")
            return
        except ClientError as error:
            if "LOADING" not in str(error) or time.monotonic() > end:
                raise ClientError(
                    "the server did not answer any more. It ends itself over a file that is damaged: started "
                    "again, it has what it had on its disk. If it still runs, it may be a replica of this machine "
                    f"and refuse writes: send it REPLICAOF NO ONE. {error}"
                ) from error
            time.sleep(0.05)

"""Redis and Valkey servers: how redis-cli reaches them, what can be asked of them, what their errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backupkit.databases.clients import State
from backupkit.databases.programs import (
    Access,
    ClientError,
    Limits,
    Outside,
    Passing,
    environment,
    find_program,
    meaning_among,
    output_of,
)
from backupkit.databases.urls import LISTEN, DatabaseURL, server_name
from backupkit.errors import ConfigurationError

PACKAGE = "Debian: redis-tools"
_SERVER_PACKAGE = "Debian: redis-server"

# Options of redis-py that say how to connect, and redis-cli's words for them.
_TLS_FILES = {
    "ssl_ca_certs": "--cacert",
    "ssl_ca_path": "--cacertdir",
    "ssl_certfile": "--cert",
    "ssl_keyfile": "--key",
    "sni": "--sni",
}
_TLS = frozenset({*_TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname"})
# Those that only matter to an application: what it does on the connection, and for how long.
_OF_APPLICATIONS = frozenset(
    {
        *(
            "db",
            "protocol",
            "decode_responses",
            "encoding",
            "encoding_errors",
            "client_name",
            "max_connections",
        ),
        *("timeout", "socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size"),
        *(
            "health_check_interval",
            "retry_on_timeout",
            "retry_on_error",
            "single_connection_client",
            "virtual_host",
        ),
    }
)
_ERROR = re.compile(rb"-?([A-Z]{2,}) \S")
_NO_LIMITS = Limits()
_RDB_VERSIONS = {"4": 8, "5": 9, "6": 9}  # by the server's major version, where it cannot be asked


def check_url(url: DatabaseURL) -> DatabaseURL:
    """The URL if all that it asks for will be heeded; ConfigurationError otherwise."""
    for option in url.options:
        if option not in _TLS | _OF_APPLICATIONS | {LISTEN}:
            raise ConfigurationError(
                f"The URL of {url} has the option {option!r}, which means nothing here: correct it (the "
                "names are those of redis-py), or leave it out."
            )
        if option in _TLS and not url.tls:
            raise ConfigurationError(
                f"The URL of {url} has the option {option!r}, but asks for no TLS: write rediss://."
            )
    if "ssl_ca_certs" in url.options and "ssl_ca_path" in url.options:
        raise ConfigurationError(f"The URL of {url} has both ssl_ca_certs and ssl_ca_path: give one of them.")
    if LISTEN in url.options and not re.fullmatch(r".+:\d{1,5}", url.options[LISTEN]):
        raise ConfigurationError(f"The URL of {url} has a {LISTEN} that is not address:port.")
    if len(url.hosts) > 1:
        raise ConfigurationError(f"{url} names several servers: give the one to ask.")
    return url


def server_program(tools: Path | None) -> str:
    """The server itself, of which drills start one."""
    return find_program(["redis-server", "valkey-server"], tools, package=_SERVER_PACKAGE)


@dataclass(frozen=True, slots=True)
class RedisClient:
    """All databases of one Redis server, through redis-cli. The number of a database in its URL does not matter."""

    url: DatabaseURL
    tools: Path | None = None

    @property
    def access(self) -> Access:
        """How redis-cli connects; the password it reads from standard input, see `password_line`."""
        url = self.url
        where: tuple[str, ...] = ("-s", url.socket) if url.socket else ()
        if not where:
            where = (*(("-h", url.host) if url.host else ()), *(("-p", str(url.port)) if url.port else ()))
        tls: tuple[str, ...] = ()
        if url.tls:
            tls = ("--tls", *("--insecure",) * (url.options.get("ssl_cert_reqs", "").lower() == "none"))
            for option, argument in _TLS_FILES.items():
                if option in url.options:
                    tls = (*tls, argument, url.options[option])
        who = ("--user", url.user) if url.user and not self._by_password_alone else ()
        secret = () if self.password_line is None else ("--askpass",)
        return Access(
            arguments=(*where, *tls, *who, *secret),
            env=environment(),  # not with REDISCLI_AUTH, which every program of this user could read
            secrets=(url.password,) if url.password else (),
        )

    @property
    def password_line(self) -> list[bytes] | None:
        """What redis-cli is given on standard input, which it asks for a password if that is no terminal."""
        if self.url.password is None and not self.url.user:
            return None
        return [(self.url.password or "").encode() + b"\n"]

    @property
    def _by_password_alone(self) -> bool:
        # The same to every server that knows users, and all there is to one that does not (before Redis 6).
        return self.url.user == "default" and self.url.password is not None

    def program(self) -> str:
        return find_program(["redis-cli", "valkey-cli"], self.tools, package=PACKAGE)

    def output(self, *arguments: str, limits: Limits = _NO_LIMITS) -> Iterator[bytes]:
        """Yield what redis-cli writes when it is given these arguments."""
        argv = [self.program(), *arguments]
        return output_of(argv, self.access, explain=self.explain, limits=limits, feed=self.password_line)

    def ask(self, *command: str, limits: Limits = _NO_LIMITS) -> bytes:
        """The server's answer; ClientError if that is an error, which redis-cli passes on like any other."""
        answer = b"".join(self.output(*command, limits=limits)).removesuffix(b"\n")
        if _ERROR.match(answer):
            said = " ".join(answer[:500].decode("utf-8", "replace").split())
            meaning = self.explain(said)
            message = (
                f"{meaning} (It said: {said})" if meaning else f"the server answered {command[0]}: {said}."
            )
            raise ClientError(
                message, retryable=isinstance(meaning, Passing), outside=isinstance(meaning, Outside)
            )
        return answer

    def information(self) -> dict[str, str]:
        """All that the server says of itself (https://redis.io/commands/info)."""
        lines = self.ask("INFO").decode("utf-8", "replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def is_same_server(self, other: RedisClient) -> bool:
        """Whether both lead to one running server, whatever they call it: names, addresses and sockets are aliases.

        Each start of a server makes up a new run_id, of 160 random bits. ClientError if one cannot be asked.
        """
        ours, others = (one.information().get("run_id") for one in (self, other))
        return ours is not None and ours == others

    def setting(self, name: str) -> str | None:
        """What CONFIG GET says of one setting; None if the server does not know it."""
        lines = self.ask("CONFIG", "GET", name).decode("utf-8", "replace").splitlines()
        return lines[1] if len(lines) == 2 else None

    def state(self) -> State:
        return "filled" if self._keys() or len(self._functions()) > _NO_FUNCTIONS else "empty"

    def create(self) -> None:
        """Nothing: a server has all its databases from the start."""

    def drop(self) -> None:
        self.ask("FLUSHALL")
        if self._functions():
            self.ask("FUNCTION", "FLUSH")

    def count_rows(self) -> Mapping[str, int]:
        """Keys that never expire, of each database: those with a time to live may be gone at any moment."""
        counted = {name: keys - expiring for name, (keys, expiring) in self._keys().items()}
        return {name: count for name, count in counted.items() if count}

    def databases(self) -> list[str]:
        return [server_name(self.url)]

    def rdb_version(self) -> int | None:
        """The newest version of RDB files that the server can read; None if that cannot be found out."""
        functions = self._functions()
        if len(functions) >= _NO_FUNCTIONS:
            return int.from_bytes(functions[-10:-8], "little")  # before the checksum, as in any DUMP
        return _RDB_VERSIONS.get(self.information().get("redis_version", "").partition(".")[0])

    def _keys(self) -> dict[str, tuple[int, int]]:
        """How many keys there are in each database that is not empty, and how many of those expire."""
        keyspace = self.ask("INFO", "keyspace").decode("utf-8", "replace")
        found = re.findall(r"^(db\d+):keys=(\d+),expires=(\d+)", keyspace, re.MULTILINE)
        return {name: (int(keys), int(expires)) for name, keys, expires in found}

    def _functions(self) -> bytes:
        try:
            return self.ask("FUNCTION", "DUMP")
        except ClientError as error:
            if re.search("unknown command|NOPERM", str(error)):  # Redis before 7, or a user who may not
                return b""
            raise

    def explain(self, said: str) -> str | None:
        return meaning_among(_MEANINGS, said)


_NO_FUNCTIONS = 10  # bytes of FUNCTION DUMP without any: a version and a checksum

_MEANINGS = (
    (
        r"\bOOM command|MISCONF|No space left on device",
        Outside("The server has no room, in memory or on its disk: make some, or use another server."),
    ),
    (
        r"WRONGPASS|NOAUTH|invalid password|AUTH failed",
        "The server refused the user or the password: correct them in the URL.",
    ),
    (
        r"Could not connect|Connection refused|Name or service not known|No such file or directory",
        Passing("The server cannot be reached: is it running, and are host, port, socket and TLS right?"),
    ),
    (
        r"NOPERM",
        "The user may not do all that this needs: grant it by ACL SETUSER (+sync and +replconf to dump; "
        "+replicaof, +config, +info and +function to restore), or use a user who may.",
    ),
    (
        r"unknown command '?(SYNC|PSYNC|REPLICAOF|SLAVEOF|CONFIG|INFO)",
        "The server does not have a command that this needs, as is usual for managed services: use the service's "
        "own backups, or ask for the command.",
    ),
    (
        r"NOMASTERLINK",
        Passing(
            "The server is a replica that has lost its master: wait until it has found it again, or dump the "
            "master."
        ),
    ),
    (r"LOADING", Passing("The server is still loading its data: run this again when it has.")),
    (
        r"I/O Error reading RDB|Error reading bulk length|Server closed the connection|Connection reset|"
        r"Error writing to master",
        Passing(
            "The server went away in the middle, or could not make the dump: look at its log, and run this again."
        ),
    ),
    (
        r"Unrecognized option",
        "redis-cli is too old: install one of version 6 or newer, and give its folder as tools=.",
    ),
    (
        r"DENIED",
        "The server is in protected mode and refuses strangers: give it a password, or use its socket.",
    ),
    (
        r"SSL|certificate",
        "There can be no TLS connection: is the server's certificate one that ssl_ca_certs vouches for?",
    ),
)

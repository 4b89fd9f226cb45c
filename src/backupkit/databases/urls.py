"""Which database on which server is meant: URLs as SQLAlchemy, Django-style settings and the vendors write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args
from urllib.parse import quote, unquote

from backupkit.errors import ConfigurationError

Engine: TypeAlias = Literal["postgresql", "mysql", "mariadb", "mongodb", "redis", "sqlite"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

_SCHEMES: Mapping[str, Engine] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mariadb",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "redis": "redis",
    "rediss": "redis",
    "redis+unix": "redis",
    "unix": "redis",
    "sqlite": "sqlite",
}
_PORTS: Mapping[Engine, int] = {
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "mongodb": 27017,
    "redis": 6379,
}
_LOCAL = ("", "localhost", "127.0.0.1", "::1")
LISTEN = "listen"
"""The option of a Redis URL that says where a server that is restored to can reach this machine; only ours."""
# Options in which drivers and clients look for a socket; every one of them is a path.
_SOCKETS = ("unix_socket", "unix_sock", "socket")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseURL:
    """One database on one server (or a server alone: then `database` is empty). `str()` never shows a password.

    `host` is empty where the client's own default is meant; several (`host:port` each, as MongoDB and libpq
    take them) stand in `hosts`, which `host` and `port` are the first of. `socket` is the path of a Unix
    socket, or for PostgreSQL of the folder that it is in. `tls` says that the scheme asks for TLS. What the
    URL says after its `?` is in `options`, of which each engine knows its own.
    """

    engine: Engine
    scheme: str
    driver: str = ""
    user: str = ""
    password: str | None = field(default=None, repr=False)
    hosts: tuple[tuple[str, int | None], ...] = ()
    socket: str = ""
    database: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, hash=False)

    @property
    def host(self) -> str:
        return self.hosts[0][0] if self.hosts else ""

    @property
    def port(self) -> int | None:
        return self.hosts[0][1] if self.hosts else None

    @property
    def host_names(self) -> frozenset[str]:
        """The names of all hosts, without ports, in small letters."""
        return frozenset(host.lower() for host, _ in self.hosts if host)

    @property
    def tls(self) -> bool:
        return self.scheme in ("rediss", "mongodb+srv")

    def __str__(self) -> str:
        who = f"{quote(self.user, safe='')}@" if self.user else ""
        where = ",".join(_authority(host, port) for host, port in self.hosts)
        if self.socket:
            where = quote(self.socket, safe="")
        if self.engine == "sqlite":
            return f"sqlite:///{self.database}"
        return f"{self.scheme}://{who}{where}/{quote(self.database, safe='')}".rstrip("/")

    def full(self) -> str:
        """The URL with its password and options, for whoever has to connect: never for a message or an argv."""
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        who = f"{quote(self.user, safe='')}{secret}@" if self.user or secret else ""
        where = ",".join(_authority(host, port) for host, port in self.hosts)
        options = dict(self.options)
        if self.socket:
            options = {"host" if self.engine == "postgresql" else "unix_socket": self.socket, **options}
        asked = query_of(options)
        if self.engine == "sqlite":
            return f"sqlite:///{quote(self.database, safe='/')}{asked}"
        scheme = f"{self.scheme}+{self.driver}" if self.driver else self.scheme
        return f"{scheme}://{who}{where}/{quote(self.database, safe='')}{asked}"

    def for_clients(self) -> str:
        """`full`, as the vendors' own libraries take it, such as `psycopg.connect` and `redis.from_url`.

        Without the driver that SQLAlchemy wants in the scheme and the option that only a restore heeds; a socket
        of Redis is written `unix:///path`.
        """
        options = {key: value for key, value in self.options.items() if key != LISTEN}
        if self.engine != "redis" or not self.socket:
            return replace(self, driver="", options=options).full()
        if self.database:
            options = {**options, "db": self.database}
        who, at, _ = replace(self, socket="", options={}).full().partition("://")[2].rpartition("@")
        return f"unix://{who}{at}{quote(self.socket, safe='/')}{query_of(options)}"

    def same_server(self, other: DatabaseURL) -> bool:
        """Whether both name one server, as far as their texts tell."""
        if _kind(self.engine) != _kind(other.engine):
            return False
        if self.socket and other.socket and self.engine != "postgresql":
            return self.socket == other.socket
        return bool(_places(self) & _places(other))

    def same_database(self, other: DatabaseURL) -> bool:
        """Whether both name one database, as far as their texts tell: an alias of a host is not seen through."""
        return self.same_server(other) and self.database == other.database


def query_of(options: Mapping[str, str]) -> str:
    """What stands behind the path of a URL for these options, with its `?`; nothing if there are none."""
    asked = "&".join(f"{quote(key, safe='')}={quote(value, safe='/')}" for key, value in options.items())
    return f"?{asked}" if asked else ""


def check_distinct(meant: Iterable[tuple[str, DatabaseURL]]) -> None:
    """ConfigurationError if two dumps are meant for one database: one would be refused, or replace the other."""
    seen: list[tuple[str, DatabaseURL]] = []
    for name, url in meant:
        for other, before in seen:
            if url.same_database(before):
                raise ConfigurationError(
                    f"{other!r} and {name!r} would both be restored to {url}: give each its own database."
                )
        seen.append((name, url))


def server_name(url: DatabaseURL) -> str:
    """What a server is called where nobody has named it: its host and port, or the stem of its socket."""
    if url.socket:
        return PurePath(url.socket).stem
    return f"{url.host or 'localhost'}-{url.port or _PORTS[url.engine]}".replace(":", "_")


def is_database_url(text: str) -> bool:
    """Whether a text is meant as the URL of a database, and not as the path or URL of a folder."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and _scheme_of(scheme) is not None


def parse_database_url(url: str | DatabaseURL) -> DatabaseURL:
    """Take a URL apart: `scheme[+driver]://user:password@host:port/database?options`, percent-encoded.

    A socket is written as SQLAlchemy and the vendors do: as the host, percent-encoded
    (`postgresql://%2Frun%2Fpostgresql/shop`), or in the options (`?host=/run/postgresql`,
    `?unix_socket=/run/mysqld/mysqld.sock`). `[::1]` is an IPv6 address. ConfigurationError, which never
    quotes the password, for anything else.
    """
    if isinstance(url, DatabaseURL):
        return url
    scheme, separator, rest = url.partition("://")
    known = _scheme_of(scheme) if separator else None
    if known is None:
        raise ConfigurationError(
            "This is not the URL of a database that is known here (postgresql://, mysql://, mariadb://, "
            f"mongodb://, redis:// or sqlite://): it begins with {_beginning(scheme, separator)}."
        )
    engine, base, driver = known
    rest, question, asked = rest.partition("?")
    if "@" in asked and "@" not in rest:  # what follows the user would be shown as a host or a path
        raise _wrong(base, f"a {question} before its @ that is not written as %3F")
    if "#" in rest:
        raise _wrong(base, "a # that is not written as %23")
    options = _options(base, asked)
    if engine == "sqlite":
        return _sqlite(base, driver, rest, options)
    authority, _, path = rest.rpartition("@")
    where, slash, database = path.partition("/")
    user, colon, password = authority.partition(":")
    if base in ("unix", "redis+unix"):
        socket = _text(base, f"{slash}{database}" if not where else f"{where}/{database}")
        database = options.pop("db", "")
        hosts: tuple[tuple[str, int | None], ...] = ()
    else:
        socket, hosts = _hosts(base, where)
    for key in _SOCKETS:
        socket = options.pop(key, socket)
    if engine == "postgresql":
        socket, hosts = _libpq_hosts(base, options, socket, hosts)
    user = options.pop("user", options.pop("username", _text(base, user)))
    secret = _text(base, password) if colon else options.pop("password", None)
    options.pop("password", None)
    database = _text(base, database)
    for value, what in ((user, "user"), (secret or "", "password"), (database, "database's name")):
        if set("\r\n\0") & set(value):
            raise _wrong(base, f"a {what} with a line break or NUL, which the clients' files cannot hold")
    return DatabaseURL(
        engine=engine,
        scheme=base,
        driver=driver,
        user=user,
        password=secret,
        hosts=hosts,
        socket=socket,
        database=database,
        options=MappingProxyType(options),
    )


def _scheme_of(scheme: str) -> tuple[Engine, str, str] | None:
    """Engine, scheme and driver; the driver of an application's URL says nothing about the database."""
    scheme = scheme.lower()
    base, _, driver = scheme.partition("+")
    if scheme in _SCHEMES:
        return _SCHEMES[scheme], scheme, ""
    if base in _SCHEMES and base != "unix":
        return _SCHEMES[base], base, driver
    return None


def _sqlite(scheme: str, driver: str, rest: str, options: Mapping[str, str]) -> DatabaseURL:
    if not rest.startswith("/"):
        raise _wrong(scheme, "a host: write sqlite:///relative/path or sqlite:////absolute/path")
    path = _text(scheme, rest[1:])
    if path in ("", ":memory:"):
        raise _wrong(scheme, "no path: a database in memory cannot be backed up")
    return DatabaseURL(
        engine="sqlite", scheme=scheme, driver=driver, database=path, options=MappingProxyType(dict(options))
    )


def _hosts(scheme: str, where: str) -> tuple[str, tuple[tuple[str, int | None], ...]]:
    """The socket, if that is what stands where a host would, and the hosts with their ports."""
    if not where:
        return "", ()
    socket = ""
    hosts: list[tuple[str, int | None]] = []
    for one in where.split(","):
        if one.startswith("["):
            host, bracket, port = one[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise _wrong(scheme, "an IPv6 address that is not written as [address]:port")
            port = port[1:]
        else:
            host, _, port = one.partition(":")
            if ":" in port:
                raise _wrong(scheme, "an IPv6 address without its brackets: write [::1]")
        host = _text(scheme, host)
        if host.startswith("/"):
            socket = socket or host
            if port:  # PostgreSQL's sockets have numbers
                hosts.append(("", _port(scheme, port)))
        else:
            hosts.append((host, _port(scheme, port) if port else None))
    if socket and "," in where:
        raise _wrong(scheme, "a socket among several hosts: name one socket, or hosts only")
    return socket, tuple(hosts)


def _libpq_hosts(
    scheme: str, options: dict[str, str], socket: str, hosts: tuple[tuple[str, int | None], ...]
) -> tuple[str, tuple[tuple[str, int | None], ...]]:
    """PostgreSQL's options may name the server too: `?host=/run/postgresql`, `?host=a,b&port=1,2`, `?host=a:1`."""
    asked = options.pop("host", None)
    ports = options.pop("port", "").split(",")
    if asked is not None:
        before = [str(port) for _, port in hosts if port is not None]
        socket, hosts = _hosts(scheme, asked)
        if ports == [""] and before:  # `postgresql://:5433/shop?host=/run/postgresql`
            ports = before
    if ports != [""]:
        if not hosts:
            hosts = (("", None),)
        if len(ports) not in (1, len(hosts)):
            raise _wrong(scheme, "another number of ports than of hosts")
        every = ports * len(hosts) if len(ports) == 1 else ports
        hosts = tuple((host, _port(scheme, port)) for (host, _), port in zip(hosts, every, strict=True))
    return socket, hosts


def _port(scheme: str, text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise _wrong(
        scheme,
        "a port that is no number from 1 to 65535 (is a character of the password not percent-encoded?)",
    )


def _options(scheme: str, asked: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, asked.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise _wrong(scheme, "an option without a value after its ?")
        name, text = _text(scheme, key.replace("+", " ")), _text(scheme, value.replace("+", " "))
        # SQLAlchemy names several hosts by naming the option several times.
        options[name] = f"{options[name]},{text}" if name in options and name in ("host", "port") else text
    return options


def _text(scheme: str, encoded: str) -> str:
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(scheme, "percent-encoded bytes that are not UTF-8") from None


def _wrong(scheme: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"The URL {scheme}://… of a database has {what}.")


def _beginning(scheme: str, separator: str) -> str:
    # Of a text that is no URL at all nothing is shown: it may be a password that went to the wrong place.
    return f"{scheme}://" if separator and scheme.replace("+", "").isalnum() else "something else"


def _authority(host: str, port: int | None) -> str:
    host = f"[{quote(host, safe=':')}]" if ":" in host else quote(host, safe="")
    return host if port is None else f"{host}:{port}"


def _kind(engine: Engine) -> Engine:
    return "mysql" if engine == "mariadb" else engine


def _places(url: DatabaseURL) -> set[tuple[str, int]]:
    """Host and port of each server; a socket is a place on this machine."""
    usual = _PORTS.get(url.engine, 0)
    hosts = url.hosts or (("", None),)
    return {("localhost" if host in _LOCAL else host.lower(), port or usual) for host, port in hosts}

"""MongoDB servers: how mongodump and mongorestore reach them, what can be asked of them, what their errors mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from backupkit.databases.clients import State
from backupkit.databases.mongodb_archive import is_counted
from backupkit.databases.private_files import private_file
from backupkit.databases.programs import (
    Access,
    ClientError,
    Outside,
    Passing,
    environment,
    find_program,
    may_pass,
    meaning_among,
)
from backupkit.databases.urls import DatabaseURL, query_of
from backupkit.errors import ConfigurationError

PACKAGE = "MongoDB Database Tools 100 or newer, https://www.mongodb.com/try/download/database-tools"
# https://www.mongodb.com/docs/manual/reference/connection-string-options/, without those that name the server
# and the user, which stand elsewhere in the URL.
_OPTIONS = frozenset(
    name.lower()
    for name in (
        *("replicaSet", "tls", "ssl", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword", "tlsCAFile"),
        *(
            "tlsAllowInvalidCertificates",
            "tlsAllowInvalidHostnames",
            "tlsInsecure",
            "sslClientCertificateKeyFile",
        ),
        *(
            "tlsDisableOCSPEndpointCheck",
            "tlsDisableCertificateRevocationCheck",
            "sslClientCertificateKeyPassword",
        ),
        *("sslCertificateAuthorityFile", "sslInsecure", "timeoutMS", "connectTimeoutMS", "socketTimeoutMS"),
        *(
            "compressors",
            "zlibCompressionLevel",
            "maxPoolSize",
            "minPoolSize",
            "maxConnecting",
            "maxIdleTimeMS",
        ),
        *("waitQueueMultiple", "waitQueueTimeoutMS", "w", "wtimeoutMS", "journal", "readConcernLevel"),
        *("readPreference", "maxStalenessSeconds", "readPreferenceTags", "authSource", "authMechanism"),
        *("authMechanismProperties", "gssapiServiceName", "localThresholdMS", "serverSelectionTimeoutMS"),
        *("serverSelectionTryOnce", "heartbeatFrequencyMS", "appName", "retryReads", "retryWrites"),
        *("uuidRepresentation", "directConnection", "loadBalanced", "srvServiceName", "srvMaxHosts"),
    )
)
_INTERNAL = frozenset({"admin", "config", "local"})


def check_url(url: DatabaseURL) -> DatabaseURL:
    """The URL if all that it asks for will be heeded; ConfigurationError otherwise."""
    for option in url.options:
        if option.lower() not in _OPTIONS:
            raise ConfigurationError(
                f"The URL of {url} has the option {option!r}, which MongoDB's connection strings do not know: "
                "correct it, or leave it out."
            )
    return url


def connection_string(url: DatabaseURL, database: str | None = None) -> str:
    """The URL as MongoDB's programs and drivers take it, naming that database, or none if it is empty.

    Who the user is known to is named then: it would be asked at another database otherwise.
    """
    database = url.database if database is None else database
    secret = "" if url.password is None else f":{quote(url.password, safe='')}"
    who = f"{quote(url.user, safe='')}{secret}@" if url.user or secret else ""
    where = ",".join(_host(host, port) for host, port in url.hosts) or "localhost"
    if url.socket:
        where = quote(url.socket, safe="")
    options = dict(url.options)
    known = {option.lower() for option in options}
    if url.user and url.database and database != url.database and not known & {"authsource", "authmechanism"}:
        options["authSource"] = url.database
    return f"{url.scheme}://{who}{where}/{quote(database, safe='')}{query_of(options)}"


@dataclass(frozen=True, slots=True)
class MongoDBClient:
    """One database on a MongoDB server: dumped and restored by its own tools, asked through pymongo."""

    url: DatabaseURL
    tools: Path | None = None

    @contextmanager
    def access(self, database: str | None = None) -> Iterator[Access]:
        """What the tools need to connect; the whole connection string is in a private file."""
        line = f"uri: {json.dumps(connection_string(self.url, database))}\n"  # a JSON text is one of YAML too
        with private_file(line.encode()) as file:
            yield Access(
                arguments=(f"--config={file.path}",),
                env=environment(),
                descriptors=file.descriptors,
                secrets=self._secrets,
            )

    def program(self, name: str) -> str:
        return find_program([name], self.tools, package=PACKAGE)

    def state(self) -> State:
        """Missing, unless the server lists it: it does as soon as there is a collection, even an empty one."""
        with self._connected() as client:
            if self.url.database not in client.list_database_names():
                return "missing"
            return "filled" if client[self.url.database].list_collection_names() else "empty"

    def create(self) -> None:
        """Only see that there is none: a database comes into being with the first thing that is put into it."""
        if self.state() != "missing":
            raise ClientError("there is a database of this name already.")

    def drop(self) -> None:
        with self._connected() as client:
            client.drop_database(self.url.database)

    def count_rows(self) -> Mapping[str, int]:
        with self._connected() as client:
            database = client[self.url.database]
            names = [one["name"] for one in database.list_collections(filter={"type": "collection"})]
            return {name: database[name].count_documents({}) for name in sorted(names) if is_counted(name)}

    def databases(self) -> list[str]:
        with self._connected() as client:
            return sorted(set(client.list_database_names()) - _INTERNAL)

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            import pymongo
            from pymongo.errors import ConfigurationError as InvalidOptions
            from pymongo.errors import PyMongoError
        except ImportError as error:
            raise ClientError(
                "asking a MongoDB server needs pymongo: pip install 'backupkit[mongodb]'."
            ) from error
        try:
            client: Any = pymongo.MongoClient(connection_string(self.url))
            with client:
                yield client
        except (PyMongoError, OSError, ValueError, TypeError) as error:  # the latter for files and options
            said = str(error)
            for secret in self._secrets:
                said = said.replace(secret, "***")
            meaning = self.explain(said)
            of_server = isinstance(error, PyMongoError) and not isinstance(error, InvalidOptions)
            told = "the server answered" if of_server else "pymongo cannot connect"
            text = f"{meaning} (It said: {said[:500]})" if meaning else f"{told}: {said[:500].rstrip('.')}."
            raise ClientError(
                text, retryable=may_pass(meaning), outside=isinstance(meaning, Outside)
            ) from error

    @property
    def _secrets(self) -> tuple[str, ...]:
        password = self.url.password or ""
        others = [value for key, value in self.url.options.items() if "password" in key.lower()]
        return tuple(filter(None, (password, quote(password, safe=""), *others)))

    def explain(self, said: str) -> str | None:
        return meaning_among(_MEANINGS, said, ignoring_case=True)


def _host(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else quote(host, safe="")
    return host if port is None else f"{host}:{port}"


_MEANINGS = (
    (
        r"no space left on device|OutOfDiskSpace|disk quota exceeded",
        Outside("The server's disk is full: make room, or use another server."),
    ),
    (
        r"unknown option .?config",
        "The tools are too old to be told a password in private: install MongoDB Database Tools 100 or newer, "
        "and give their folder as tools=.",
    ),
    (
        r"authentication failed|auth error|sasl conversation",
        "The server refused the user or the password: correct them in the URL (and its authSource).",
    ),
    (
        r"not authorized|unauthorized|requires authentication",
        "The user may not do all that this needs: grant the role backup, or for restoring the role restore.",
    ),
    (
        r"server selection|no reachable servers|connection refused|no such host|lookup .* on",
        Passing("The server cannot be reached: is it running, and are host, port, replicaSet and TLS right?"),
    ),
    (
        r"can't use --oplog option when dumping from a mongos|No operations in oplog|error getting oplog",
        "There is no oplog to dump: oplog=True is for members of a replica set, not for routers or single servers.",
    ),
    (
        r"oplog overflow",
        "The oplog is too small for the time that the dump takes: make it larger, or dump when less is written.",
    ),
    (
        r"connection reset|unexpected EOF|socket was unexpectedly closed|incomplete read|broken pipe",
        Passing("The server went away in the middle: look at its log, and run this again."),
    ),
    (
        r"duplicate key error|E11000",
        "There are documents already where the dump's go: restore to an empty database, or say overwrite.",
    ),
)

"""Private servers for the pages that need some."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests import servers
from tests.notifiers.receiving import http_server, mail_server
from tests.services import mysql_databases
from tests.storage.azurite import azurite
from tests.storage.s3 import S3Server
from tests.storage.sshd import sshd
from tests.storage.wsgidav import webdav_server

Address = Callable[[str], Mapping[str, str]]

_BUCKETS = ("backups", "shop-backups", "shop-media", "shop-media-backups")


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Start a server, or empty one that runs, and say by which names its addresses stand in a world."""
    with ExitStack() as running:

        def of(server: str) -> Mapping[str, str]:
            match server:
                case "s3":
                    s3: S3Server = request.getfixturevalue("s3_server")
                    _empty(s3.client)
                    return {"s3": s3.endpoint}
                case "postgresql":
                    return _filled_postgresql(request.getfixturevalue("own_postgresql"))
                case "mariadb":
                    return _filled_mariadb(request.getfixturevalue("mariadb_server"))
                case "azure":
                    store = running.enter_context(azurite())
                    from azure.storage.blob import BlobServiceClient

                    with BlobServiceClient.from_connection_string(store.connection_string) as service:
                        service.create_container("backups")
                    return {"azure": store.connection_string}
                case "ssh":
                    ssh = running.enter_context(sshd())
                    return {
                        "ssh": f"{getpass.getuser()}@127.0.0.1:{ssh.port}",
                        "ssh_port": str(ssh.port),
                        "ssh_key": str(ssh.folder / "client"),
                        "ssh_known_hosts": str(ssh.known_hosts),
                    }
                case "webdav":
                    folder: Path = tmp_path_factory.mktemp("webdav")
                    webdav = running.enter_context(webdav_server(folder))
                    (folder / "data/backups").mkdir()
                    return {"webdav": webdav.url("").rstrip("/")}
                case "redis":
                    return {"redis": request.getfixturevalue("redis_server").url()}
                case "http":
                    return {"http": running.enter_context(http_server()).url}
                case "mail":
                    return {"mail": str(running.enter_context(mail_server()).port)}
            raise LookupError(
                f"Nobody knows how to start {server}: tests/docs/conftest.py has those that are known."
            )

        yield of


def _empty(client: Any) -> None:
    for bucket in _BUCKETS:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket=bucket)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", ()):
                client.delete_object(Bucket=bucket, Key=one["Key"])


def _filled_postgresql(server: servers.Server) -> Mapping[str, str]:
    """The databases "shop", with orders of today, and "empty"; and a user "backup"."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for (name,) in connection.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        ).fetchall():
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        connection.execute("DROP ROLE IF EXISTS backup")
        connection.execute("CREATE ROLE backup LOGIN SUPERUSER PASSWORD 'the-password'")
        connection.execute("CREATE DATABASE shop")
        connection.execute("CREATE DATABASE empty")
    with psycopg.connect(server.url("shop"), autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int, placed timestamptz DEFAULT now())")
        connection.execute("INSERT INTO orders VALUES (1)")
    return {
        "postgresql": f"postgresql://backup:the-password@127.0.0.1:{server.port}",
        "postgresql_port": str(server.port),
    }


def _filled_mariadb(server: servers.Server) -> Mapping[str, str]:
    """The database "orders", three that are empty, and a user "backup"."""
    names = ("orders", "orders_restored", "shop", "shop_restored")
    mysql_databases.run(
        server,
        *(f"DROP DATABASE IF EXISTS `{name}`" for name in names),
        *(f"CREATE DATABASE `{name}`" for name in names),
        "CREATE TABLE orders.orders (i int)",
        "CREATE OR REPLACE USER backup@'%' IDENTIFIED BY 'the-password'",
        "GRANT ALL ON *.* TO backup@'%' WITH GRANT OPTION",
    )
    return {
        "mariadb": f"mariadb://{quote('backup')}:the-password@127.0.0.1:{server.port}",
        "mariadb_port": str(server.port),
    }

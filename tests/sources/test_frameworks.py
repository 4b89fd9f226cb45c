from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy

from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError
from backupkit.sources.databases import database
from backupkit.sources.frameworks import from_django, from_sqlalchemy
from backupkit.sources.mysql import MariaDB, MySQL
from backupkit.sources.postgresql import PostgreSQL
from backupkit.sources.sqlite import SQLite

NASTY = "p:a@s/s #%41'\""


def url_of(source: object) -> DatabaseURL:
    assert isinstance(source, PostgreSQL | MySQL | MariaDB)
    return source.url


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("postgresql+psycopg://h/shop", PostgreSQL, "postgresql-shop.sql"),
        ("mysql+pymysql://h/shop", MySQL, "mysql-shop.sql"),
        ("mariadb+mariadbconnector://h/shop", MariaDB, "mariadb-shop.sql"),
        ("sqlite:////srv/shop.db", SQLite, "sqlite-shop.sqlite3"),
    ],
)
def test_the_scheme_picks_the_source(url: str, kind: type, name: str) -> None:
    source = database(url)
    assert isinstance(source, kind)
    assert source.name == name


def test_options_are_those_of_the_source() -> None:
    assert database("postgresql://h/shop", name="orders", form="custom").name == "postgresql-orders.pgdump"
    with pytest.raises(TypeError, match="no_such_option"):
        database("postgresql://h/shop", no_such_option=True)


# SQLAlchemy


def test_an_engine_of_sqlalchemy_gives_the_database_that_it_connects_to() -> None:
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", username="us er", password=NASTY, host="h", port=5433, database="shop"
    )
    found = url_of(from_sqlalchemy(sqlalchemy.create_engine(url)))
    assert (found.user, found.password, found.hosts, found.database) == (
        "us er",
        NASTY,
        (("h", 5433),),
        "shop",
    )
    assert url_of(from_sqlalchemy(url)) == found


def test_options_of_a_driver_are_passed_over_but_those_on_tls_are_not() -> None:
    query = {"sslmode": "require", "prepare_threshold": "0"}
    url = sqlalchemy.URL.create("postgresql+psycopg", host="h", database="shop", query=query)
    assert url_of(from_sqlalchemy(url)).options["sslmode"] == "require"
    with pytest.raises(ConfigurationError, match="sslmod'"):
        from_sqlalchemy(sqlalchemy.URL.create("postgresql+psycopg", database="shop", query={"sslmod": "x"}))


def test_an_engine_on_sqlite_gives_its_file() -> None:
    engine = sqlalchemy.create_engine("sqlite:////srv/a%20b.db")
    source = from_sqlalchemy(engine)
    assert isinstance(source, SQLite)
    assert str(source.path) == engine.url.database  # whose versions differ in whether they decode it


def test_what_is_no_engine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no SQLAlchemy engine"):
        from_sqlalchemy("postgresql://h/shop")


# Django

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "app",
        "PASSWORD": NASTY,
        "HOST": "db.example.org",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "verify-full", "pool": {"min_size": 2}},
    },
    "replica": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "HOST": "replica.example.org",
        "TEST": {"MIRROR": "default"},
    },
    "orders": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "orders",
        "USER": "app",
        "PASSWORD": NASTY,
        "HOST": "/run/mysqld/mysqld.sock",
        "OPTIONS": {"charset": "utf8mb4", "ssl": {"ca": "/etc/ca.pem"}},
    },
    "cache": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/cache#1.sqlite3"},
}


def test_django_s_settings_give_a_source_for_each_database_that_is_no_mirror() -> None:
    postgresql, mysql, sqlite = from_django(SETTINGS)
    url = url_of(postgresql)
    assert (url.user, url.password, url.hosts) == ("app", NASTY, (("db.example.org", 5433),))
    assert dict(url.options) == {"sslmode": "verify-full"}
    url = url_of(mysql)
    assert (url.socket, url.password) == ("/run/mysqld/mysqld.sock", NASTY)
    assert dict(url.options) == {"charset": "utf8mb4", "ssl_ca": "/etc/ca.pem"}
    assert isinstance(sqlite, SQLite)
    assert str(sqlite.path) == "/srv/cache#1.sqlite3"


def test_a_replica_is_dumped_if_it_is_asked_for() -> None:
    (source,) = from_django(SETTINGS, aliases=["replica"])
    assert url_of(source).host == "replica.example.org"


def test_databases_of_one_name_are_named_by_their_aliases() -> None:
    two = {"eu": {**SETTINGS["default"]}, "us": {**SETTINGS["default"], "HOST": "us.example.org"}}
    assert [source.name for source in from_django(two)] == ["postgresql-eu.sql", "postgresql-us.sql"]


def test_a_backend_built_on_one_of_django_s_is_not_guessed() -> None:
    settings = {"default": {"ENGINE": "django.db.backends.oracle", "NAME": "shop", "PASSWORD": NASTY}}
    with pytest.raises(ConfigurationError, match=r"DATABASES\['default'\].*oracle") as refused:
        from_django(settings)
    assert NASTY not in str(refused.value)


def test_an_unknown_alias_names_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'default', 'replica'"):
        from_django(SETTINGS, aliases=["defualt"])


def mysql_settings(**options: object) -> dict[str, dict[str, Any]]:
    return {"default": {**SETTINGS["orders"], "OPTIONS": options}}


@pytest.mark.parametrize(
    ("ssl", "expected"),
    [
        (True, {"ssl": "true"}),
        (False, {"ssl_disabled": "true"}),
        ({"ca": "/etc/ca.pem", "cert": "/etc/c.pem"}, {"ssl_ca": "/etc/ca.pem", "ssl_cert": "/etc/c.pem"}),
        (None, {}),
    ],
)
def test_tls_that_django_asks_mysql_for_is_asked_for_here(ssl: object, expected: dict[str, str]) -> None:
    (source,) = from_django(mysql_settings(ssl=ssl))
    assert dict(url_of(source).options) == expected


@pytest.mark.parametrize(
    ("options", "what"),
    [({"ssl": "yes"}, "an ssl that is"), ({"read_default_file": "/f"}, "read_default_file")],
)
def test_what_django_has_in_a_form_that_is_not_known_is_refused(
    options: dict[str, object], what: str
) -> None:
    with pytest.raises(ConfigurationError, match=what):
        from_django(mysql_settings(**options))

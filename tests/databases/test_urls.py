"""URLs of databases: every spelling that SQLAlchemy, Django and the vendors use, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType

import psycopg
import psycopg.conninfo
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from backupkit.databases.urls import ENGINES, DatabaseURL, is_database_url, parse_database_url
from backupkit.errors import ConfigurationError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=20)
HOSTS = st.sampled_from(["localhost", "db.example.org", "10.0.0.1", "::1", "fe80::1%eth0"])
PORTS = st.none() | st.integers(1, 65535)


@pytest.mark.parametrize(
    ("url", "engine", "driver"),
    [
        ("postgresql://h/d", "postgresql", ""),
        ("postgres://h/d", "postgresql", ""),
        ("postgresql+psycopg://h/d", "postgresql", "psycopg"),
        ("PostgreSQL+asyncpg://h/d", "postgresql", "asyncpg"),
        ("mysql+pymysql://h/d", "mysql", "pymysql"),
        ("mariadb+mariadbconnector://h/d", "mariadb", "mariadbconnector"),
        ("mongodb://h/d", "mongodb", ""),
        ("mongodb+srv://cluster.example.org/d", "mongodb", ""),
        ("redis://h/0", "redis", ""),
        ("rediss://h", "redis", ""),
        ("sqlite:///d", "sqlite", ""),
        ("sqlite+aiosqlite:///d", "sqlite", "aiosqlite"),
    ],
)
def test_the_scheme_names_the_engine_and_a_driver_is_set_apart(url: str, engine: str, driver: str) -> None:
    parsed = parse_database_url(url)
    assert (parsed.engine, parsed.driver) == (engine, driver)
    assert is_database_url(url)


@pytest.mark.parametrize(
    "text", ["/srv/shop", "s3://bucket/shop", "file:///srv", "postgresql:/x", "shop", ""]
)
def test_what_is_no_database_is_told_apart(text: str) -> None:
    assert not is_database_url(text)
    with pytest.raises(ConfigurationError, match="not the URL of a database"):
        parse_database_url(text)


def test_every_part_is_percent_decoded() -> None:
    url = parse_database_url(
        "mysql://us%40er:p%3A%2F%40ss%20%25%23@h%C3%BCtte:3307/sh%2Fop%3F?charset=utf8mb4"
    )
    assert (url.user, url.password) == ("us@er", "p:/@ss %#")
    assert (url.host, url.port, url.database) == ("hütte", 3307, "sh/op?")
    assert url.options == {"charset": "utf8mb4"}


def test_an_at_sign_in_a_password_that_was_not_encoded_belongs_to_the_password() -> None:
    url = parse_database_url("postgresql://admin:a@b@h/d")
    assert (url.user, url.password, url.host) == ("admin", "a@b", "h")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://%2Frun%2Fpostgresql/d",
        "postgresql:///d?host=/run/postgresql",
        "postgresql+psycopg://user@/d?host=/run/postgresql",
        "mysql:///d?unix_socket=/run/postgresql",
        "mysql+mysqldb://user@localhost/d?unix_socket=/run/postgresql",
        "redis+unix:///run/postgresql",
        "unix:///run/postgresql?db=0",
    ],
)
def test_a_socket_is_found_wherever_it_stands(url: str) -> None:
    assert parse_database_url(url).socket == "/run/postgresql"


def test_a_socket_of_postgresql_keeps_its_port() -> None:
    url = parse_database_url("postgresql://%2Frun%2Fpostgresql:5433/d")
    assert (url.socket, url.port) == ("/run/postgresql", 5433)
    assert parse_database_url("postgresql:///d?host=/run/postgresql&port=5433").port == 5433


@pytest.mark.parametrize(
    "url", ["postgresql://[::1]:5433/d", "mongodb://[::1]:5433/d", "postgresql:///d?host=[::1]&port=5433"]
)
def test_an_ipv6_address_stands_in_brackets(url: str) -> None:
    assert parse_database_url(url).hosts == (("::1", 5433),)


def test_several_hosts_keep_their_ports() -> None:
    hosts = (("a", 1), ("b", None), ("c", 3))
    assert parse_database_url("mongodb://a:1,b,c:3/d?replicaSet=r").hosts == hosts
    assert parse_database_url("postgresql://a:1,b,c:3/d").hosts == hosts
    assert parse_database_url("postgresql:///d?host=a,b&port=1,2").hosts == (("a", 1), ("b", 2))
    assert parse_database_url("postgresql:///d?host=a,b&port=7").hosts == (("a", 7), ("b", 7))


def test_user_and_password_may_stand_among_the_options() -> None:
    url = parse_database_url("postgresql:///d?user=admin&password=p%26q")
    assert (url.user, url.password, dict(url.options)) == ("admin", "p&q", {})


def test_an_empty_password_is_a_password() -> None:
    assert parse_database_url("mysql://u:@h/d").password == ""
    assert parse_database_url("mysql://u@h/d").password is None


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("mysql://u:p1%0Ax@h/d", "password with a line break"),
        ("postgresql://u:p1%00x@h/d", "password with a line break or NUL"),
        ("mysql://u%0D:p1@h/d", "user with a line break"),
        ("postgresql://u:p1@h/d%0A", "name with a line break"),
        ("postgresql://u:p1@h:port/d", "port"),
        ("postgresql://u:p1@h:0/d", "port"),
        ("postgresql://u:p1@h:65536/d", "port"),
        ("postgresql://u:p1@::1/d", "brackets"),
        ("postgresql://u:p1@[::1/d", "IPv6"),
        ("postgresql://u:p1@h/d?sslmode", "option without a value"),
        ("postgresql://u:p1%FF@h/d", "not UTF-8"),
        ("postgresql://u:p1#x@h/d", "%23"),
        ("postgresql:///d?host=a,b,c&port=1,2", "another number of ports"),
        ("postgresql://u:12?p1=b@h/d", "%3F"),
        ("postgresql://u:12/p1?y=z@h/d", "%3F"),
        ("sqlite://h/d", "host"),
        ("sqlite://", "host"),
        ("sqlite:///", "memory"),
        ("sqlite:///:memory:", "memory"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(url: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what) as caught:
        parse_database_url(url)
    assert "p1" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_path_of_sqlite_is_relative_after_three_slashes_and_absolute_after_four() -> None:
    assert parse_database_url("sqlite:///data/app.db").database == "data/app.db"
    assert parse_database_url("sqlite:////srv/app%20x.db").database == "/srv/app x.db"


@given(
    engine=st.sampled_from([engine for engine in ENGINES if engine != "sqlite"]),
    user=TEXT,
    password=st.none() | TEXT,
    hosts=st.lists(st.tuples(HOSTS, PORTS), min_size=1, max_size=3),
    database=TEXT,
    value=TEXT,
)
def test_a_full_url_names_the_same_again(
    engine: str,
    user: str,
    password: str | None,
    hosts: list[tuple[str, int | None]],
    database: str,
    value: str,
) -> None:
    url = DatabaseURL(
        engine=engine,  # type: ignore[arg-type] # it is one of them
        scheme=engine,
        user=user,
        password=password,
        hosts=tuple(hosts),
        database=database,
        options=MappingProxyType({"application_name": value}),
    )
    assert parse_database_url(url.full()) == url


@given(
    user=TEXT, password=st.text("xyz", min_size=5, max_size=9), host=HOSTS, option=st.text("xyz", min_size=5)
)
def test_what_is_shown_has_no_password_and_no_options(
    user: str, password: str, host: str, option: str
) -> None:
    url = DatabaseURL(
        engine="postgresql",
        scheme="postgresql",
        user=f"a{user.translate({ord(c): None for c in 'xyz'})}",
        password=password,
        hosts=((host, None),),
        options=MappingProxyType({"sslpassword": option}),
    )
    assert password not in str(url)
    assert password not in repr(url)
    assert option not in str(url) + repr(url)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for prefix in ("", "postgresql://", "mysql://", "mongodb://", "redis+unix://", "sqlite:///"):
        with suppress(ConfigurationError):
            assert parse_database_url(prefix + text).engine in ENGINES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://localhost/d", "postgresql+psycopg://u:p@127.0.0.1:5432/d", True),
        ("postgresql:///d", "postgresql://%2Frun%2Fpostgresql/d", True),
        ("postgresql://localhost/d", "postgresql://localhost/e", False),
        ("postgresql://localhost/d", "postgresql://localhost:5433/d", False),
        ("postgresql://A.example/d", "postgresql://a.example,b.example/d", True),
        ("mysql://h/d", "mariadb://h/d", True),
        ("mysql:///d?unix_socket=/a", "mysql:///d?unix_socket=/b", False),
        ("mysql://h/d", "postgresql://h:3306/d", False),
        ("sqlite:///a", "sqlite:///a", True),
        ("sqlite:///a", "sqlite:///b", False),
    ],
)
def test_two_spellings_of_one_database_are_known_as_the_same(one: str, other: str, *, same: bool) -> None:
    assert parse_database_url(one).same_database(parse_database_url(other)) is same


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            "postgresql+psycopg://u:p%40@h:1/shop?sslmode=require",
            "postgresql://u:p%40@h:1/shop?sslmode=require",
        ),
        ("postgresql+asyncpg://u@/shop?host=/run/pg", "postgresql://u@/shop?host=/run/pg"),
        ("mysql+pymysql://u:p@h/shop", "mysql://u:p@h/shop"),
        ("sqlite+pysqlite:////a/b.db", "sqlite:////a/b.db"),
        ("rediss://:p@h:1/3?listen=10.0.0.1:0&ssl_cert_reqs=none", "rediss://:p@h:1/3?ssl_cert_reqs=none"),
        ("redis://u:p%2F@/2?unix_socket=/run/a%20b.sock", "unix://u:p%2F@/run/a%20b.sock?db=2"),
        ("unix:///run/redis.sock?listen=h:1", "unix:///run/redis.sock"),
        ("mongodb://u:p@a,b:2/shop?replicaSet=r", "mongodb://u:p@a,b:2/shop?replicaSet=r"),
    ],
)
def test_a_url_is_told_to_others_as_their_libraries_take_it(url: str, told: str) -> None:
    parsed = parse_database_url(url)
    assert parsed.for_clients() == told
    assert parse_database_url(told).same_database(parsed)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:p%40@h:1/shop", "postgresql+psycopg2://u@/shop?host=/run/pg"]
)
def test_libpq_takes_such_a_url(url: str) -> None:
    found = psycopg.conninfo.conninfo_to_dict(parse_database_url(url).for_clients())
    assert found["dbname"] == "shop"


def test_redis_py_takes_such_a_url() -> None:
    url = parse_database_url("redis://:p%2F@/2?unix_socket=/run/a%20b.sock&listen=h:1").for_clients()
    told = redis.ConnectionPool.from_url(url).connection_kwargs
    assert (told["path"], told["password"], told["db"]) == ("/run/a b.sock", "p/", 2)

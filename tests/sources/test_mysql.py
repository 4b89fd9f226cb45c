"""What `MySQL` and `MariaDB` take, and what they refuse before anything is started."""

from __future__ import annotations

from typing import Any

import pytest

from backupkit.databases.mysql import MySQLClient
from backupkit.errors import ConfigurationError
from backupkit.sources.databases import database
from backupkit.sources.mysql import MariaDB, MySQL

URL = "mysql://me:secret@host/shop"


def test_the_dump_is_named_after_engine_and_database() -> None:
    assert MySQL(URL).name == "mysql-shop.sql"
    assert MariaDB("mariadb://host/shop").name == "mariadb-shop.sql"
    assert MySQL(URL, name="main").name == "mysql-main.sql"


def test_each_takes_the_others_urls_for_applications_often_say_mysql_for_both() -> None:
    assert MariaDB("mysql+pymysql://host/shop").name == "mariadb-shop.sql"
    assert MySQL("mariadb+mariadbconnector://host/shop").name == "mysql-shop.sql"
    assert isinstance(database("mariadb://host/shop"), MariaDB)
    assert type(database("mysql://host/shop")) is MySQL


def test_the_same_source_for_another_database_keeps_everything_else() -> None:
    source = MySQL(URL, exclude_data=["sessions"], count_rows=True)
    other = source.with_database("wiki", dump_name="main/wiki")
    assert (other.name, other.url.database) == ("mysql-main/wiki.sql", "wiki")
    assert (other.wanted, other.count_rows) == (source.wanted, True)
    assert (source.name, source.url.database) == ("mysql-shop.sql", "shop")
    assert other.client() == MySQLClient(other.url, None)
    assert type(MariaDB("mariadb://host/shop").with_database("a", dump_name="a")) is MariaDB


@pytest.mark.parametrize("name", ["a/b/c", "/a", "a/", "../a", ""])
def test_a_dump_is_named_inside_one_folder_at_most(name: str) -> None:
    with pytest.raises(ConfigurationError):
        MySQL(URL).with_database("wiki", dump_name=name)


def test_no_password_is_shown() -> None:
    assert "secret" not in repr(MySQL(URL)) + str(MySQL(URL))


@pytest.mark.parametrize(
    "options",
    [
        {"tables": ["a"], "exclude_tables": ["b"]},
        {"tables": "a"},
        {"exclude_data": [""]},
        {"exclude_tables": ["a\nb"]},
        {"content": "everything"},
        {"consistency": "perfect"},
        {"content": "schema", "exclude_data": ["a"]},
        {"content": "schema", "count_rows": True},
        {"charset": "utf8; drop"},
        {"charset": "gbk", "count_rows": True},
        {"charset": "binary"},
        {"charset": "BINARY"},
        {"gtid_purged": "MAYBE"},
        {"tls": "strong"},
        {"extra_options": ["--where", "id>1"]},
        {"extra_options": "--opt"},
        {"extra_options": ["--compatible=ansi"], "count_rows": True},
        {"extra_options": ["--skip-quote-names"], "count_rows": True},
        {"extra_options": ["--no-data"], "count_rows": True},
        {"extra_options": ["--no_dat"], "count_rows": True},
        {"extra_options": ["-vd"], "count_rows": True},
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        MySQL(URL, **options)


@pytest.mark.parametrize(
    "option",
    [
        *("--skip-comments", "--skip_comments", "--comments=0", "--comments=OFF", "--compact", "--xml", "-X"),
        *("--tab=/tmp", "-T/tmp", "--result-file=/tmp/x", "--result-fi=/tmp/x", "-r/tmp/x", "--force", "-qf"),
        *(
            "--databases",
            "--datab",
            "-B",
            "--all-databases",
            "-A",
            "-vA",
            "--defaults-file=/x",
            "--no-defaults",
        ),
        *(
            "--host=other",
            "-hother",
            "--user=root",
            "-uroot",
            "--password=x",
            "--passw=x",
            "-px",
            "--loose-compact",
            "--default-character-set=binary",
        ),
    ],
)
def test_an_extra_option_that_would_undo_what_is_promised_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError):
        MySQL(URL, extra_options=[option])


@pytest.mark.parametrize(
    "option",
    [
        *(
            "--order-by-primary",
            "--comments",
            "--where=id > 9",
            "-wid>9 AND user='f'",
            "--tables",
            "--tz-utc",
        ),
        *(
            "--master-data=2",
            "--skip-extended-insert",
            "--compatible=ansi",
            "-v",
            "--dump-date",
            "--compress",
        ),
    ],
)
def test_any_other_extra_option_is_taken(option: str) -> None:
    assert MySQL(URL, extra_options=[option]).wanted.extra_options == (option,)


def test_gtids_are_mysqls() -> None:
    assert MySQL(URL, gtid_purged="AUTO").wanted.gtid_purged == "AUTO"
    with pytest.raises(ConfigurationError, match="is MySQL's"):
        MariaDB("mariadb://host/shop", gtid_purged="AUTO")


def test_a_url_without_a_database_is_refused_where_nothing_else_names_the_dump() -> None:
    with pytest.raises(ConfigurationError, match="names no database"):
        MySQL("mysql://host/")
    assert MySQL("mysql://host/", name="main").with_database("a", dump_name="main/a").url.database == "a"


def test_nothing_is_started_before_the_content_is_asked_for() -> None:
    (entry,) = MySQL("mysql://nowhere.invalid/shop", tools="/nonexistent").entries()
    assert entry.path == "db-dumps/mysql-shop.sql"

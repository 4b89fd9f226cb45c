"""MariaDB databases for tests: made, looked at, taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from tests.servers import Server

BODIES = (
    "CREATE TRIGGER `on_parents` AFTER INSERT ON `parents` FOR EACH ROW "
    "INSERT INTO `log` (`what`) VALUES (concat('new ', NEW.`name`))",
    "CREATE TRIGGER `on_log` BEFORE INSERT ON `log` FOR EACH ROW\nBEGIN\n"
    "  -- INSERT INTO `log` VALUES (1);\n  SET NEW.`what` = upper(NEW.`what`);\nEND",
    "CREATE FUNCTION `twice`(`s` varchar(50)) RETURNS varchar(100) DETERMINISTIC\nRETURN concat(`s`, `s`)",
    "CREATE PROCEDURE `fill`(IN `n` int)\nBEGIN\n"
    "CREATE TEMPORARY TABLE `t` (\n  `a` int AUTO_INCREMENT PRIMARY KEY\n) ENGINE=InnoDB AUTO_INCREMENT=77;\n"
    "INSERT INTO `empty` VALUES (1),(2);\nDROP TEMPORARY TABLE `t`;\nEND",
    "CREATE EVENT `nightly` ON SCHEDULE EVERY 1 DAY STARTS '2024-01-01 03:00:00' DO DELETE FROM `log`",
)
TYPES = (
    *(1, -128, -32768, -8388608, 4294967295, -9223372036854775808, 42),
    *(b"\x01", b"\xff\x00\xfe\x27\x5c\x0a\x0d\x22", True),
    *("12345678901234567890.123456789012345678901234567890", 1.5e-10, 2.2250738585072014e-308),
    *("9999-12-31", "-838:59:59.000000", "2024-02-29 23:59:59.999999", "2024-02-29 23:59:59.123456", 2155),
    *("ü", 'it\'s "a" \\text\\ with\r\n\0\x1a😀', bytes(range(16)), bytes(range(255))),
    *("tiny", "),(", "a;\nb", "x" * 70000, b"\0", bytes(range(256)), b"'\\'", bytes(range(256)) * 300),
    *("it's", "x,z", '{"a": [1, "\\u00fc", null]}'),
)


@contextmanager
def connection(
    server: Server, database: str | None = None, **options: Any
) -> Iterator[pymysql.Connection[Any]]:
    options = {
        "user": server.user,
        "password": server.password,
        "charset": "utf8mb4",
        "autocommit": True,
        **options,
    }
    with pymysql.connect(host="127.0.0.1", port=server.port, database=database, **options) as one:
        yield one


def run(server: Server, *statements: str, database: str | None = None, **options: Any) -> list[Any]:
    """Run the statements; the rows of the last one."""
    with connection(server, database, **options) as one, one.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def fresh(server: Server, *names: str) -> Iterator[None]:
    """These names are of no databases before, and of none after."""
    drop = [f"DROP DATABASE IF EXISTS `{name}`" for name in names]
    run(server, *drop)
    try:
        yield
    finally:
        if server.process.poll() is None:
            run(server, *drop)


def fill(server: Server, database: str) -> None:
    """A database with one of everything."""
    run(server, f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci")
    script = (Path(__file__).parent / "mysql_schema.sql").read_text()
    with connection(server, database) as one, one.cursor() as cursor:
        for statement in script.split(";\n"):
            if statement.strip():
                cursor.execute(statement)
        shapes = "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), ST_GeomFromText('POINT(1 -2.5)')"
        values = ", ".join([*["%s"] * len(TYPES), shapes, "'Größe €', 'Größe'", "DEFAULT, DEFAULT, DEFAULT"])
        cursor.execute(f"INSERT INTO `types` VALUES ({values})", TYPES)  # noqa: S608
        cursor.execute("INSERT INTO `types` (`id`) VALUES (2)")
        for body in BODIES:
            cursor.execute(body)
        cursor.execute("SELECT NEXTVAL(`numbers`)")


def facts(server: Server, database: str) -> dict[str, Any]:
    """All that makes a database what it is: checksums of its tables, and how everything in it is created."""
    found: dict[str, Any] = {}
    with connection(server, database) as one, one.cursor() as cursor:
        cursor.execute("SELECT @@character_set_database, @@collation_database")
        found["database"] = cursor.fetchall()
        cursor.execute("SHOW FULL TABLES")
        for name, kind in cursor.fetchall():
            quoted = "`" + name.replace("`", "``") + "`"
            cursor.execute(f"SHOW CREATE TABLE {quoted}")
            found[name] = [kind, cursor.fetchall()[0][1]]
            if kind in ("BASE TABLE", "SYSTEM VERSIONED"):
                if "SYSTEM VERSIONING" not in found[name][1]:  # whose hidden columns say when a row came
                    cursor.execute(f"CHECKSUM TABLE {quoted} EXTENDED")
                    found[name].append(cursor.fetchall()[0][1])
                cursor.execute(f"SELECT * FROM {quoted} ORDER BY 1")  # noqa: S608
                found[name].append(cursor.fetchall())
        cursor.execute(
            "SELECT trigger_name, event_manipulation, action_timing, action_statement, sql_mode, definer, "
            "character_set_client, collation_connection, database_collation FROM information_schema.triggers "
            "WHERE trigger_schema = DATABASE() ORDER BY 1"
        )
        found["triggers"] = cursor.fetchall()
        cursor.execute(
            "SELECT routine_name, routine_type, routine_definition, sql_mode, definer, dtd_identifier, "
            "database_collation FROM information_schema.routines WHERE routine_schema = DATABASE() ORDER BY 1"
        )
        found["routines"] = cursor.fetchall()
        cursor.execute(
            "SELECT event_name, event_definition, interval_value, starts, status, definer, database_collation "
            "FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY 1"
        )
        found["events"] = cursor.fetchall()
        cursor.execute("SELECT next_not_cached_value FROM `numbers`")
        found["numbers"] = cursor.fetchall()
    return {key: str(value).replace(f"`{database}`.", "") for key, value in found.items()}

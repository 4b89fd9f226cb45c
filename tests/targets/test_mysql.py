"""What of a dump never reaches the server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import rechunk
from backupkit.databases.mysql_scripts import beginning
from backupkit.databases.programs import ClientError
from backupkit.targets.mysql_scripts import in_one_database, whole_script

HARMLESS = (
    b"-- MySQL dump\nDROP TABLE IF EXISTS `t`;\nINSERT INTO `t` VALUES ('\\nUSE `other`;\\n'),('USE x;');\n"
    b"DELIMITER ;;\nCREATE PROCEDURE p() SELECT * FROM t\nUSE INDEX (a);\n;;\nDELIMITER ;\n"
)


@given(st.integers(1, 200))
def test_a_dump_of_one_database_passes_unchanged(size: int) -> None:
    assert b"".join(in_one_database(rechunk([HARMLESS], size))) == HARMLESS


@pytest.mark.parametrize("line", [b"USE `shop`;\n", b"use shop;\n", b"USE `a``b` ;\r\n", b"USE  `shop`;"])
@given(before=st.sampled_from([b"", HARMLESS]), size=st.integers(1, 200))
def test_a_dump_that_changes_to_a_database_of_its_own_is_refused_before_that_line(
    line: bytes, before: bytes, size: int
) -> None:
    passed: list[bytes] = []
    with pytest.raises(ClientError, match="changes to the database"):
        passed.extend(in_one_database(rechunk([before + line + HARMLESS], size)))
    assert before.startswith(b"".join(passed))


@given(st.integers(1, 60))
def test_mariadbs_line_for_its_own_clients_is_left_out(size: int) -> None:
    text = b"/*M!999999\\- enable the sandbox mode */ \n" + HARMLESS
    assert b"".join(beginning(rechunk([text], size), sandbox=False)) == HARMLESS
    assert b"".join(beginning(rechunk([HARMLESS], size), sandbox=False)) == HARMLESS


@given(st.integers(1, 200))
def test_text_in_bodies_is_no_change_of_the_database(size: int) -> None:
    body = b"DELIMITER ;;\nCREATE PROCEDURE p()\n/* Only to\nuse sparingly;\n*/ SELECT 1 ;;\nDELIMITER ;\n"
    text = HARMLESS + body + b"SELECT 1;\n" + body
    assert b"".join(in_one_database(rechunk([text], size))) == text
    with pytest.raises(ClientError, match="changes to the database other"):
        list(in_one_database(rechunk([text + b"USE other;\n"], size)))


TABLE = b"CREATE TABLE `t` (a int);\nINSERT INTO `t` VALUES (1);\n"
DUMP = (
    b"ALTER DATABASE CHARACTER SET utf8mb4;\n-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n--\n"
    + TABLE
    + b"-- Dump completed\n"
)


@pytest.mark.parametrize(
    "script",
    [
        DUMP,
        DUMP.replace(TABLE, b""),
        DUMP + DUMP,
        DUMP + b"COMMIT;\n",
        DUMP.replace(b"\n", b"\r\n"),
        DUMP.replace(b"-- Dump completed\n", b"-- Dump completed on 2024-01-01  1:02:03"),
        DUMP.replace(b"MariaDB dump", b"MySQL dump"),
        TABLE,
        TABLE.lower(),
        b"-- phpMyAdmin SQL Dump\n" + TABLE,
        b"CREATE OR REPLACE TEMPORARY TABLE t (a int);\n",
        b"CREATE OR REPLACE TABLE t (a int);\nINSERT INTO t VALUES (1);\n",
        b"CREATE SEQUENCE `s`;\nINSERT INTO `s` VALUES (1);\n",
        *(
            b"DELIMITER %s\nCREATE PROCEDURE p()\nBEGIN\nCREATE TEMPORARY TABLE x (a int);\nINSERT INTO x "
            b"VALUES (1);\nEND %s\nDELIMITER ;\n" % (mark, mark)
            for mark in (b";;", b"$$", b"//")
        ),
        b"/*!50001 CREATE VIEW `v` AS SELECT 1 */;\n",
    ],
)
@given(size=st.integers(1, 5000))
def test_a_whole_script_passes_unchanged(script: bytes, size: int) -> None:
    assert b"".join(whole_script(rechunk([script], size))) == script


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\0\1\2", "no script"),
        (b"PGDMP\1\2", "PostgreSQL"),
        (b"--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t (a int);\n", "PostgreSQL"),
        (b"What is this?\n", "creates nothing"),
        (DUMP.replace(b"-- Dump completed\n", b""), "cut off"),
        (DUMP + DUMP.replace(b"-- Dump completed\n", b""), "cut off"),
        (DUMP[: DUMP.index(b"CREATE")], "cut off"),
        (DUMP.replace(TABLE, b"INSERT INTO `t` VALUES ('CREATE TABLE x;');\n"), "creates no tables"),
        (
            b"DELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN\nCREATE TABLE x (a int);\nEND ;;\nDELIMITER ;\n"
            b"INSERT INTO t VALUES (1);\n",
            "creates no tables",
        ),
        (b"replace into t values (1);\n", "creates no tables"),
    ],
)
@given(size=st.integers(1, 5000))
def test_what_is_no_whole_dump_of_one_database_is_refused(script: bytes, message: str, size: int) -> None:
    with pytest.raises(ClientError, match=message):
        list(whole_script(rechunk([script], size)))

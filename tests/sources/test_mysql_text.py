"""What is read in, and changed of, the text that mysqldump writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import rechunk
from backupkit.databases.mysql_scripts import beginning
from backupkit.databases.programs import ClientError
from backupkit.sources._mysql_text import counted, whole, without_counters

BODY = b"""
DELIMITER ;;
CREATE DEFINER=`a`@`%` PROCEDURE `p`()
BEGIN
CREATE TEMPORARY TABLE `t` (
  `a` int
) ENGINE=InnoDB AUTO_INCREMENT=7;
INSERT INTO `orders` VALUES (1),(2),(3);
-- Dumping data for table `nothing`
END ;;
DELIMITER ;
"""


def escaped(text: bytes) -> bytes:
    """As mysql_real_escape_string does it."""
    pairs = {b"\0": b"0", b"\n": b"n", b"\r": b"r", b"\\": b"\\", b"'": b"'", b'"': b'"', b"\x1a": b"Z"}
    each = (text[i : i + 1] for i in range(len(text)))
    return b"'" + b"".join(b"\\" + pairs[one] if one in pairs else one for one in each) + b"'"


TEXT = st.one_of(
    st.binary(max_size=12),
    st.lists(
        st.sampled_from([b"\\", b"'", b"(", b")", b",", b";", b"\n", b'"', b"),(", b";\n"]), max_size=8
    ).map(b"".join),
)
VALUE = st.one_of(
    st.just(b"NULL"),
    st.integers(-99, 99).map(lambda number: b"%d" % number),
    st.just(b"1e-10"),
    st.binary(min_size=1, max_size=4).map(lambda data: b"0x" + data.hex().upper().encode()),
    TEXT.map(escaped),
    TEXT.map(lambda text: b"_binary " + escaped(text)),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1, max_size=6)
ROWS = st.lists(
    st.lists(VALUE, min_size=1, max_size=3).map(lambda row: b"(" + b",".join(row) + b")"), max_size=6
)


@st.composite
def dumps(draw: st.DrawFn) -> tuple[bytes, dict[str, int]]:
    """A dump of some tables, in the ways of MySQL and of MariaDB, and how many rows each has in it."""
    text = [b"-- MySQL dump\n"]
    counts: dict[str, int] = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=4)):
        quoted = b"`" + name.replace("`", "``").encode() + b"`"
        text.append(b"\n--\n-- Dumping data for table %s\n--\n\nLOCK TABLES %s WRITE;\n" % (quoted, quoted))
        columns = draw(st.sampled_from([b"", b" (`a`, `b```, `c) VALUES (`)"]))
        counts[name] = 0
        for rows in draw(st.lists(ROWS.filter(bool), max_size=3)):
            between, before = draw(st.sampled_from([(b",", b" "), (b",\n", b"\n")]))
            word = draw(st.sampled_from([b"INSERT ", b"INSERT  IGNORE ", b"REPLACE "]))
            text.append(
                word + b"INTO " + quoted + columns + b" VALUES" + before + between.join(rows) + b";\n"
            )
            counts[name] += len(rows)
        text.append(b"UNLOCK TABLES;\n")
        if draw(st.booleans()):
            text.append(BODY)
    return b"".join(text), counts


@given(dumps(), st.integers(1, 60))
def test_rows_are_counted_exactly_however_the_dump_is_cut(
    dump: tuple[bytes, dict[str, int]], size: int
) -> None:
    text, counts = dump
    rows: dict[str, int] = {}
    assert b"".join(counted(rechunk([text], size), rows)) == text
    assert rows == counts


def test_a_line_of_any_length_is_counted_in_bounded_memory() -> None:
    rows: dict[str, int] = {}
    value = b"0x" + b"AB" * (1 << 19)
    chunks = [b"\nINSERT INTO `t` VALUES (", *[value] * 64, b");\n"]
    for _ in counted(chunks, rows):
        pass
    assert rows == {"t": 1}


TABLES = b"""
CREATE TABLE `t` (
  `a` int COMMENT ') ENGINE=InnoDB AUTO_INCREMENT=5'
) ENGINE=InnoDB AUTO_INCREMENT=1234567 DEFAULT CHARSET=utf8mb4 COMMENT=' AUTO_INCREMENT=9';
INSERT INTO `t` VALUES (1,'\\n) ENGINE=InnoDB AUTO_INCREMENT=5 ');
CREATE TABLE `u` (
  `a` int
) /*!50100 TABLESPACE `ts` */ ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4;
"""


@given(st.integers(1, 80))
def test_counters_go_out_of_what_creates_tables_and_from_nowhere_else(size: int) -> None:
    text = TABLES + BODY + TABLES
    expected = TABLES.replace(b"InnoDB AUTO_INCREMENT=1234567 ", b"InnoDB ").replace(
        b"AUTO_INCREMENT=3 ", b""
    )
    assert b"".join(without_counters(rechunk([text], size))) == expected + BODY + expected


@given(dumps(), st.integers(1, 60))
def test_a_dump_without_counters_is_left_as_it_is(dump: tuple[bytes, dict[str, int]], size: int) -> None:
    assert b"".join(without_counters(rechunk([dump[0]], size))) == dump[0]


@pytest.mark.parametrize(
    "end",
    [b"\n-- Dump completed\n", b"\n-- Dump completed on 2024-05-01 12:00:03\n", b"\n-- Dump completed\n\n"],
)
def test_a_dump_with_its_last_line_is_whole(end: bytes) -> None:
    assert b"".join(whole([b"x", end], "mysqldump")) == b"x" + end


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-- MySQL dump\n",
        b"INSERT INTO `t` VALUES ('\\n-- Dump completed');\n",
        b"\n-- Dump completed\nINSERT INTO `t` VALUES (1);\n",
        b"-- not -- Dump completed\n",
        b"\n-- Dump comp",
    ],
)
def test_a_dump_whose_last_line_is_another_is_not(text: bytes) -> None:
    with pytest.raises(ClientError, match="not whole"):
        list(whole([text], "mysqldump"))


SANDBOX = b"/*M!999999\\- enable the sandbox mode */ \n"


@given(st.integers(1, 60), st.booleans(), st.booleans())
def test_what_comes_first_stands_behind_the_line_of_the_sandbox(size: int, there: bool, kept: bool) -> None:
    text = (SANDBOX if there else b"") + b"-- MySQL dump\nrest\n"
    changed = b"".join(beginning(rechunk([text], size), sandbox=kept, first=b"FIRST;\n"))
    assert changed == (SANDBOX if there and kept else b"") + b"FIRST;\n-- MySQL dump\nrest\n"

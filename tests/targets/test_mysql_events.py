"""Events come to a scratch database switched off, and nothing else of a dump is changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import rechunk
from backupkit.targets._mysql_events import without_running_events

HEAD = b"/*!50106 CREATE*/ /*!50117 DEFINER=`admin`@`%`*/ /*!50106 EVENT "
OTHERS = (
    b"-- MySQL dump\nCREATE TABLE `t` (\n  `event` int COMMENT 'EVENT ENABLE DO'\n);\n"
    b"INSERT INTO `t` VALUES ('\\nCREATE EVENT e ON SCHEDULE EVERY 1 DAY ENABLE DO\\n');\n"
    b"/*!40000 ALTER TABLE `t` ENABLE KEYS */;\nDELIMITER ;;\n"
    b"/*!50003 CREATE*/ /*!50017 DEFINER=`event`@`%`*/ /*!50003 TRIGGER `x` BEFORE INSERT ON `t` FOR EACH ROW\n"
    b"DO SLEEP(0) */;;\nCREATE DEFINER=`a`@`b` PROCEDURE `p`()\nBEGIN\n  CREATE EVENT_LOG;\nEND ;;\nDELIMITER ;\n"
)


def switched_off(script: bytes, size: int) -> bytes:
    return b"".join(without_running_events(rechunk([script], size)))


@given(st.integers(1, 300))
def test_a_dump_without_events_passes_unchanged(size: int) -> None:
    assert switched_off(OTHERS, size) == OTHERS


@pytest.mark.parametrize(
    ("event", "off"),
    [
        (
            HEAD + b"`e1` ON SCHEDULE EVERY 1 SECOND STARTS '2026-11-26 11:16:06' ON COMPLETION NOT PRESERVE "
            b"ENABLE DO insert into ev.t values('ENABLE') \n*/ ;;\n",
            HEAD + b"`e1` ON SCHEDULE EVERY 1 SECOND STARTS '2026-11-26 11:16:06' ON COMPLETION NOT PRESERVE "
            b"DISABLE DO insert into ev.t values('ENABLE') \n*/ ;;\n",
        ),
        (
            HEAD
            + b"`ENABLE ``DO` ON SCHEDULE EVERY '1:30' MINUTE_SECOND ENABLE COMMENT 'ENABLE it''s' DO a */ ;;",
            HEAD
            + b"`ENABLE ``DO` ON SCHEDULE EVERY '1:30' MINUTE_SECOND DISABLE COMMENT 'ENABLE it''s' DO a */ ;;",
        ),
        (HEAD + b"`e` ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO select ' ENABLE ' */ ;;", None),
        (HEAD + b"`e` ON SCHEDULE EVERY 1 DAY DISABLE COMMENT ' ENABLE ' DO BEGIN ENABLE; END */ ;;", None),
        (
            b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t;\n",
            b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM t;\n",
        ),
        (
            b"  create definer = event@localhost event if not exists e on schedule every 1 day "
            b"comment 'x' do a;",
            b"  create definer = event@localhost event if not exists e on schedule every 1 day "
            b"DISABLE comment 'x' do a;",
        ),
        (
            b"CREATE /* TABLE */ OR REPLACE DEFINER='a'@\"b\" EVENT `s`.`e` -- ENABLE\n "
            b"ON SCHEDULE AT now() enable\nDO a;",
            b"CREATE /* TABLE */ OR REPLACE DEFINER='a'@\"b\" EVENT `s`.`e` -- ENABLE\n "
            b"ON SCHEDULE AT now() DISABLE\nDO a;",
        ),
        (
            b"/*M!100100 CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO a */;",
            b"/*M!100100 CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO a */;",
        ),
    ],
)
@given(size=st.integers(1, 300), before=st.sampled_from([b"", OTHERS]))
def test_an_event_is_switched_off_in_the_word_that_says_so(
    event: bytes, off: bytes | None, size: int, before: bytes
) -> None:
    expected = event if off is None else off
    assert switched_off(before + event + OTHERS, size) == before + expected + OTHERS
    assert switched_off(before + event, size) == before + expected


@given(st.binary(), st.integers(1, 50))
def test_whatever_is_no_event_passes_unchanged(data: bytes, size: int) -> None:
    text = data + b"\nCREATE `" + data.replace(b"`", b"") + b"` " + data
    if b"event" not in text.lower():
        assert switched_off(text, size) == text


@given(
    name=st.text(alphabet="aeE N`'\"\\\n;*/-#DOü", max_size=20),
    size=st.integers(1, 60),
    status=st.sampled_from(["ENABLE", "DISABLE"]),
)
def test_names_may_hold_anything(name: str, size: int, status: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    event = (
        f"/*!50106 CREATE*/ /*!50117 DEFINER={quoted}@{quoted}*/ /*!50106 EVENT {quoted} ON SCHEDULE EVERY 1 DAY "
        "STARTS '2026-11-26 11:16:06' ON COMPLETION NOT PRESERVE {} DO a */ ;;\n"
    )
    assert switched_off(event.replace("{}", status).encode(), size) == event.replace("{}", "DISABLE").encode()

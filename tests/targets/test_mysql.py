"""What of a dump never reaches the server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit._chunks import rechunk
from backupkit.databases.programs import ClientError
from backupkit.targets.mysql import _plain, in_one_database

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
    assert b"".join(_plain(rechunk([text], size))) == HARMLESS
    assert b"".join(_plain(rechunk([HARMLESS], size))) == HARMLESS

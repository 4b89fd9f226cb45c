from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backupkit.errors import ConfigurationError
from backupkit.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (0, 0),
        (123, 123),
        ("123", 123),
        ("0", 0),
        ("7B", 7),
        ("50GB", 50_000_000_000),
        ("50GiB", 53_687_091_200),
        ("1.5 TB", 1_500_000_000_000),
        ("10MiB", 10_485_760),
        ("50000MiB", 52_428_800_000),
        (" 2 kB ", 2_000),
        ("2KB", 2_000),
        ("2kib", 2_048),
        ("1.2 GiB", 1_288_490_188),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_unit(written: int | str, count: int) -> None:
    assert parse_size(written) == count


def test_a_large_size_is_exact_to_the_byte() -> None:
    assert parse_size("9007.199254740993 TB") == 9_007_199_254_740_993


@pytest.mark.parametrize(
    "written",
    [
        *[
            "",
            "GB",
            "50G",
            "50 gigabytes",
            "-1",
            "-1GB",
            "1,5 TB",
            "1.5",
            "1_000",
            ".5GB",
            "1.GB",
            "1e9",
            "5  GB",
        ],
        *["1.5 TB TB", "\u0663GB", "5\u212aB", "9" * 31, -1, True, 1.5, None, b"5GB"],
    ],
)
def test_anything_else_is_refused_and_told_what_is_allowed(written: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a size: use a number of bytes, or a text such as"):
        parse_size(written)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_234_567_890, "1.2 GB"),
        (50_000_000_000, "50 GB"),
        (52_428_800_000, "52.4 GB"),
        (949, "949 B"),
        (1_049, "1 kB"),
        (1_050, "1.1 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1 MB"),
        (5 * 10**21, "5000 EB"),
    ],
)
def test_a_size_is_shown_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert format_size(count) == text


@given(st.integers(0, 10**20))
def test_a_shown_size_reads_back_within_its_rounding(count: int) -> None:
    assert abs(parse_size(format_size(count)) - count) <= 0.05 * count

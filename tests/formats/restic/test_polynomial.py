"""Irreducible polynomials over GF(2)."""

from __future__ import annotations

import pytest

from backupkit.formats.restic.polynomial import is_irreducible, random_polynomial


def divides(divisor: int, dividend: int) -> bool:
    while (excess := dividend.bit_length() - divisor.bit_length()) >= 0:
        dividend ^= divisor << excess
    return dividend == 0


def test_the_small_ones_are_those_that_nothing_divides() -> None:
    for polynomial in range(2, 1 << 10):
        divisible = any(divides(divisor, polynomial) for divisor in range(2, 1 << polynomial.bit_length() // 2 + 1)
                        if divisor.bit_length() < polynomial.bit_length())  # fmt: skip
        assert is_irreducible(polynomial) is not divisible, bin(polynomial)


@pytest.mark.parametrize(
    ("polynomial", "irreducible"),
    [
        (0x3DA3358B4DC173, True),  # of restic's own tests
        (0x38F1E565E288DF, False),
        (0x11B, True),  # of AES
        (0, False),
        (1, False),
    ],
)
def test_known_ones_are_told_apart(polynomial: int, irreducible: bool) -> None:
    assert is_irreducible(polynomial) is irreducible


def test_a_random_one_is_irreducible_of_degree_53_and_never_the_same() -> None:
    found = {random_polynomial() for _ in range(5)}
    assert len(found) == 5
    assert all(is_irreducible(polynomial) and polynomial.bit_length() == 54 for polynomial in found)

"""The irreducible polynomial over GF(2) that is a repository's chunker parameter.

restic cuts by it; for us it is the secret seed of another hash. It must be one that restic accepts.
"""

from __future__ import annotations

import secrets

_DEGREE = 53


def random_polynomial() -> int:
    """An irreducible polynomial of degree 53, drawn evenly; each bit is a coefficient."""
    while True:
        # One in about 26 is irreducible among those with a constant term.
        candidate = secrets.randbits(_DEGREE) | 1 << _DEGREE | 1
        if is_irreducible(candidate):
            return candidate


def is_irreducible(polynomial: int) -> bool:
    """Ben-Or's test: none of the polynomials of up to half its degree divides it."""
    degree = polynomial.bit_length() - 1
    power = 2  # x
    for _ in range(degree // 2):
        power = _remainder(_square(power), polynomial)
        if _common_divisor(polynomial, power ^ 2) != 1:
            return False
    return degree > 0


def _square(polynomial: int) -> int:
    # Squaring over GF(2) only spreads the coefficients.
    return int(format(polynomial, "b").replace("0", "00").replace("1", "01"), 2)


def _remainder(dividend: int, divisor: int) -> int:
    degree = divisor.bit_length()
    while (excess := dividend.bit_length() - degree) >= 0:
        dividend ^= divisor << excess
    return dividend


def _common_divisor(a: int, b: int) -> int:
    while b:
        a, b = b, _remainder(a, b)
    return a

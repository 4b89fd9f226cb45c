"""Sizes as people write and read them."""

from __future__ import annotations

import re

from backupkit.errors import ConfigurationError

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_FACTORS = {unit.lower(): 1000**power for power, unit in enumerate(_DECIMAL)} | {
    unit.lower(): 1024**power for power, unit in enumerate(_BINARY)
}
_SIZE = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))?[ ]?([a-z]+)", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"[0-9]{1,30}", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")


def parse_size(value: int | str) -> int:
    """Bytes from a number of bytes or a text: "50GB" is 50 * 10**9, "50GiB" 50 * 2**30, "1.5 TB", "123".

    Units may be written in any case; a fraction of a byte is dropped. ConfigurationError for anything else,
    "50G" too, which could mean either.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        text = value.strip()
        if _PLAIN.fullmatch(text):
            return int(text)
        found = _SIZE.fullmatch(text)
        factor = _FACTORS.get(found[3].lower()) if found else None
        if found and factor:
            # Whole numbers throughout: a float would lose bytes of large sizes.
            fraction = found[2] or ""
            size: int = int(found[1] + fraction) * factor // 10 ** len(fraction)
            return size
    raise ConfigurationError(
        f"{value!r} is not a size: use a number of bytes, or a text such as "
        '"500MB", "50GB" (powers of 1000), "50GiB" (powers of 1024) or "1.5 TB".'
    )


def parse_percent(value: object) -> float | None:
    """The number in a text such as "5%" or "12.5%", which may be more than 100; None for anything else."""
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else None


def format_size(count: int) -> str:
    """The size for people, in powers of 1000: "0 B", "999 B", "1.2 GB", "50 GB"."""
    for power, unit in enumerate(_DECIMAL):
        # Tenths of the unit, rounded half up; 999.95 kB and more are shown as megabytes.
        tenths = (count * 20 // 1000**power + 1) // 2
        if tenths < 10_000 or unit == _DECIMAL[-1]:
            break
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth} {unit}" if tenth else f"{whole} {unit}"

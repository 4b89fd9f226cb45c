"""How much an entry can hold: what says more was made to fill a disk."""

from __future__ import annotations

# Of each method: bytes of content for a byte of the archive, and bytes that are believed in any case.
_REACH = {
    0: (1, 0),  # store
    8: (1032, 1032),  # deflate: 258 bytes for two bits
    14: (10_000, 1 << 16),  # lzma: about 7,500 for zeros
    93: (32_768, 1 << 17),  # zstd: a block of 128 KiB for four bytes
    95: (10_000, 1 << 16),  # xz: as lzma
    # Zeros shrink to a millionth, which nothing else does: 64 MiB are believed, more must shrink less.
    12: (32_768, 1 << 26),  # bzip2
}


def is_reachable(method: int, stored: int, size: int) -> bool:
    """Whether `stored` bytes, without encryption, may hold `size` bytes; for an unknown method always."""
    ratio, constant = _REACH.get(method, (0, 0))
    if ratio == 1:
        return size == stored
    return not ratio or size <= ratio * stored + constant

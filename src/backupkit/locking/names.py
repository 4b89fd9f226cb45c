"""What a lock is called where it lives, whatever its name is made of."""

from __future__ import annotations

import re


def short_name(name: str) -> str:
    """At most 57 letters, digits, hyphens and underscores, for each name others, of which a person knows it."""
    import hashlib

    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable}-{digest[:16]}"

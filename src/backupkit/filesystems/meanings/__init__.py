"""What the errors of each library mean, a module for each.

They are told by name, lest a library be imported to find out that its errors did not occur.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Meaning: TypeAlias = Literal[
    "missing",  # there is no such object
    "no place",  # there is no such bucket, container or folder
    "exists",
    "credentials",  # they are wrong, missing or have expired
    "denied",  # they are right, and do not allow this
    "full",
    "unreachable",
    "timeout",
    "busy",  # the store asks for patience, or has a fault of its own
    "changed",  # the object was replaced while it was read
    "unsafe",  # whoever answers is not who should
    "strange",  # whoever answers does not speak as the store does
    "skewed",  # the clocks differ
    "ended",  # somebody ended the upload before it was whole
    "archived",  # it lies in cold storage, which must bring it back first
    "other",
]

"""What somebody may do on the page, and how the host says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from starlette.requests import Request
from starlette.responses import Response

from backupkit.errors import ConfigurationError

Ability: TypeAlias = Literal["view", "run", "download", "restore", "delete", "administer"]
"""To see what there is; to run, verify, drill, cancel and pin; to get contents out; to write them somewhere; to
delete, clean and unpin; to see who did what, and the recovery sheet.
"""

EVERYTHING: frozenset[Ability] = frozenset(get_args(Ability))


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as the audit calls them, and what they may do."""

    who: str
    abilities: Collection[Ability]

    def __post_init__(self) -> None:
        if not isinstance(self.who, str) or not self.who:
            raise ConfigurationError(f"{self.who!r} is no name of a visitor: give a text.")
        unknown = sorted(set(self.abilities) - EVERYTHING)
        # Of a mapping, the keys alone would count: {"delete": False} would allow it.
        if isinstance(self.abilities, str | Mapping) or unknown:
            raise ConfigurationError(
                f"{self.abilities!r} are not abilities: use a set of {', '.join(sorted(EVERYTHING))}."
            )

    def may(self, ability: Ability) -> bool:
        return ability in self.abilities


Allowed: TypeAlias = Collection[Ability] | Visitor | Response
Authorize: TypeAlias = Callable[[Request], Allowed | Awaitable[Allowed]]
"""What the host says of a request: a set of abilities, or who it is with theirs; none are a refusal.

A response is sent as it is: one that asks for a password, or leads to where one logs in.
"""

"""`Route`: one address of the page, and what it takes to be let in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from starlette.responses import Response

from backupkit.integrations.asgi.access.abilities import Ability
from backupkit.integrations.asgi.visit import Visit

Handler: TypeAlias = Callable[[Visit], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """A handler for one method at one path. It is called on a thread, when its visitor has the ability.

    What is not "GET" changes something: its form or its JSON has passed the protection against forged requests.
    """

    method: Literal["GET", "POST"]
    path: str
    ability: Ability
    handler: Handler

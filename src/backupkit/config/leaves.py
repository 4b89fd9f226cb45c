"""`Leaf`: a number, a text, a duration … in the settings, with its variables filled in.

Import this module where it is needed only: it needs pydantic.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from importlib import import_module
from typing import Annotated, Any, Literal, cast

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import core_schema

from backupkit.config.telling import wrong
from backupkit.config.values import Surroundings, duration, may_hold_a_secret
from backupkit.errors import ConfigurationError
from backupkit.passphrase import Passphrase

PLAIN = (str, int, float, bool, timedelta)
_FINITE = Annotated[float, Field(allow_inf_nan=False)]
_WORDS: Mapping[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    timedelta: 'a duration, such as "15 minutes", "6h" or "P1D"',
}
VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""What may stand for a value of any type, in JSON Schema."""


@dataclass(frozen=True)
class Leaf:
    """Values of one of `types`. `key` is what it is called; with `path`, a text is a path."""

    types: tuple[Any, ...]
    key: str
    path: bool = False
    optional: bool = False
    none: bool = False  # whether the text "none" means None, as it is not what is meant without a word

    @property
    def field(self) -> Any:
        members = tuple(_FINITE if one is float else one for one in self.types)
        return Annotated[typing.Union[members], self]  # noqa: UP007 - of a tuple

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_wrap_validator_function(self._validated, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if timedelta in self.types:
            return {"type": ["string", "number"]}
        found = handler(schema)
        if self.none and str not in self.types:
            return {"anyOf": [found, VARIABLE, {"const": "none"}]}
        return found if str in self.types else {"anyOf": [found, VARIABLE]}

    def _validated(self, value: Any, handler: Callable[[Any], Any], info: ValidationInfo) -> Any:
        if value is None and self.optional:
            return None
        surroundings = around(info)
        if isinstance(value, str):
            value = text_of(value, surroundings, self.key)
            if self.none and value == "none":
                return None
            if timedelta in self.types and (found := duration(value)) is not None:
                return found
        if isinstance(value, bool) and bool not in self.types:
            raise wrong(self._wanted())
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        try:
            valid = handler(value)
        except ValidationError:
            raise wrong(self._wanted()) from None
        if not isinstance(valid, str):
            return valid
        return (
            surroundings.path(valid) if self.path else surroundings.url(valid) if self.key == "url" else valid
        )

    def _wanted(self) -> str:
        words = [
            "one of " + ", ".join(f'"{name}"' for name in typing.get_args(one))
            if typing.get_origin(one) is Literal
            else _WORDS[one]
            for one in self.types
        ]
        if self.none:
            words.append('"none"')
        return f"must be {' or '.join(words)}"


class Checked:
    """A value that a function of its own checks, whatever its type."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.described()

    def described(self) -> dict[str, Any]:
        """What it may be, as JSON Schema."""
        raise NotImplementedError

    def _validated(self, value: Any, info: ValidationInfo) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class PassphraseLeaf(Checked):
    """A passphrase, which is looked for at its first use."""

    def described(self) -> dict[str, Any]:
        return {"type": "string"}

    def _validated(self, value: Any, info: ValidationInfo) -> Passphrase:
        if isinstance(value, Passphrase):
            return value
        if not isinstance(value, str) or not value:
            raise wrong('must be a text, such as "${NAME}" or "file:/run/secrets/passphrase"')
        surroundings = around(info)
        return surroundings.passphrase(value)


@dataclass(frozen=True)
class Anything(Checked):
    """Whatever a part passes on: texts in it have their variables filled in."""

    key: str

    def described(self) -> dict[str, Any]:
        return {}

    def _validated(self, value: Any, info: ValidationInfo) -> Any:
        return filled_in(value, around(info), self.key)


@dataclass(frozen=True)
class Named(Checked):
    """A function or class of the application's, as "module:name"."""

    def described(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[\w.]+:\w+$"}

    def _validated(self, value: Any, info: ValidationInfo) -> Any:
        text = text_of(value, around(info), "") if isinstance(value, str) else ""
        module, _, name = text.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), name]):
            raise wrong('must name a function, as "package.module:function"')
        try:
            found = getattr(import_module(module), name)
        except Exception as error:  # whatever a module does when it is imported
            raise wrong(
                f"names {text}, which cannot be imported ({type(error).__name__}): correct it, or start this where "
                "that module can be found"
            ) from None
        if not callable(found):
            raise wrong(f"names {text}, which is no function")
        return found


def around(info: ValidationInfo) -> Surroundings:
    """Where the settings stand that are being checked."""
    return cast("Surroundings", info.context)


def is_made(value: Any) -> bool:
    """Whether it is nothing that a file could say: in a mapping of Python's it may stand where a part belongs."""
    written = (str, bool, int, float, date, time, list, tuple, Mapping, os.PathLike)
    return value is not None and not isinstance(value, written)


def text_of(written: str, surroundings: Surroundings, key: str) -> str:
    """What the text means under this key."""
    try:
        return surroundings.text(written, secret=may_hold_a_secret(key))
    except ConfigurationError as error:
        raise wrong(str(error)) from None


def filled_in(value: Any, surroundings: Surroundings, key: str) -> Any:
    """The same of all texts in a value."""
    if isinstance(value, str):
        return text_of(value, surroundings, key)
    if isinstance(value, Mapping):
        return {name: filled_in(one, surroundings, str(name)) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [filled_in(one, surroundings, key) for one in value]
    return value

"""Models of parts, made of their signatures: settings are checked by them, and the parts are made.

Import this module where it is needed only: it needs pydantic.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from backupkit.config import parts, short_forms
from backupkit.config.leaves import (
    PLAIN,
    Anything,
    Checked,
    Leaf,
    Named,
    PassphraseLeaf,
    around,
    filled_in,
    is_made,
)
from backupkit.config.parts import Kind, Part, kind_for, part_named, types_of
from backupkit.config.signatures import NotData, Parameter, Signature, signature_of
from backupkit.config.telling import retold, said, told_together, unknown, wrong, wrong_at
from backupkit.config.values import Surroundings, is_secret
from backupkit.errors import ConfigurationError, told
from backupkit.passphrase import Passphrase

_LISTS: tuple[Any, ...] = (Sequence, Iterable, Collection, Set, list, tuple, set, frozenset)
_MAPPINGS: tuple[Any, ...] = (Mapping, dict)
_MISSING = {
    "encryptor": 'is missing: say encryptor = "environment" for the passphrase in BACKUP_ARCHIVE_PASSWORD, '
    'or encryptor = "none" to leave the backups readable'
}


@dataclass(frozen=True)
class Made:
    """What was made, and of what: `given`, by key, and what is in it; `written`, as it stood there.

    `part` is None for tables that are no part by themselves, such as `retry`.
    """

    part: Part | None
    signature: Signature
    given: Mapping[str, Any]
    written: Mapping[str, Any]
    value: Any


@dataclass(frozen=True)
class PartOf(Checked):
    """A part of a kind, as a text or a table, by its type; where Python says it, as a path, or made already."""

    kind: Kind
    optional: bool = False

    def described(self) -> dict[str, Any]:
        return {"x-part": self.kind.name}

    def _validated(self, value: Any, info: ValidationInfo) -> Any:
        surroundings = around(info)
        if isinstance(value, os.PathLike):
            value = os.fspath(value).replace("$", "$$")
        if is_made(value):
            return value
        kind, type_key = self.kind, ("type",) if isinstance(value, Mapping) else ()
        if value is None and self.optional:
            return None
        type, data = self._spelled_out(value, surroundings)
        if kind is parts.SOURCES and type == "database":
            try:
                type, data = short_forms.by_engine(data, surroundings)
            except ConfigurationError as error:
                raise wrong_at((("url",) if type_key else (), str(error))) from None
        try:
            part = part_named(kind, type) if isinstance(type, str) else None
        except (ConfigurationError, ImportError) as error:
            raise wrong_at((type_key, str(error))) from None
        if part is None:
            known = types_of(kind)
            name = type if isinstance(type, str) else ""
            raise wrong_at((type_key, unknown(name, known, f"type of {kind.called}")))
        return made(part.signature, data, surroundings, part=part)

    def _spelled_out(self, value: Any, surroundings: Surroundings) -> tuple[Any, dict[str, Any]]:
        """The type, as far as it is said, and the other keys."""
        try:
            if isinstance(value, str):
                type, data = short_forms.of_text(self.kind, value, surroundings)
                return (value if type is None else type), data
            if not isinstance(value, Mapping):
                raise wrong(f"is no {self.kind.called}: write a text, or a table with a type")
            data = dict(value)
            if "type" not in data:
                found = short_forms.type_of(self.kind, data, surroundings)
                if found is None:
                    raise wrong(f"says no type: use one of {', '.join(types_of(self.kind))}")
                return found, data
            type = data.pop("type")
            return (surroundings.text(type) if isinstance(type, str) else type), data
        except ConfigurationError as error:
            at_url = isinstance(value, Mapping) and "type" not in value
            raise wrong_at((("url",) if at_url else (), str(error))) from None


@dataclass(frozen=True)
class Table(Checked):
    """A value that is no part by itself, such as `retry`: what its class is made of, as a table."""

    of: type
    optional: bool = False

    def described(self) -> dict[str, Any]:
        return {"x-table": f"{self.of.__module__}:{self.of.__name__}"}

    def _validated(self, value: Any, info: ValidationInfo) -> Made | None:
        if value is None and self.optional:
            return None
        if not isinstance(value, Mapping):
            raise wrong("is no table: write { key = value }")
        return made(signature_of(self.of), value, around(info))


def made(
    signature: Signature, data: Mapping[str, Any], surroundings: Surroundings, *, part: Part | None = None
) -> Made:
    """Make what the table says; ValidationError with all that is wrong with it."""
    try:
        given = checked(signature, data, surroundings)
    except ValidationError as error:
        others = {key: value for key, value in data.items() if key in signature.names}
        if signature.names.isdisjoint(
            path[0] for path, _ in said(error)
        ):  # then it can be made of the others
            with told_together(error):
                made(signature, others, surroundings)
        raise
    injected = {one.name: surroundings for one in signature.parameters if one.hint is Surroundings}
    try:
        value = signature.call(unwrapped(given) | injected)
    except Exception as error:
        raise wrong_at(((), _reason(error, given))) from None
    return Made(part, signature, given, data, value)


def checked(signature: Signature, data: Mapping[str, Any], surroundings: Surroundings) -> Mapping[str, Any]:
    """What the table says, by key; ValidationError with all that is wrong with it."""
    model = model_of(signature)
    names = {field.alias: name for name, field in model.model_fields.items()}
    known = [name for name in names if name is not None]
    try:
        valid = model.model_validate(dict(data), context=surroundings)
    except ValidationError as error:
        raise retold(error, known, _MISSING) from None
    given = {str(key): getattr(valid, name) for key, name in names.items() if name in valid.model_fields_set}
    for key, value in (valid.model_extra or {}).items():
        given[key] = filled_in(value, surroundings, key)
    return given


def unwrapped(given: Any) -> Any:
    """The same with what was made in place of what it was made of; a part that is several is all of them."""
    if isinstance(given, Made):
        return given.value
    if isinstance(given, dict):
        return {key: unwrapped(value) for key, value in given.items()}
    if isinstance(given, list):
        found: list[Any] = []
        for one in given:
            value = unwrapped(one)
            found += value if isinstance(one, Made) and isinstance(value, list) else [value]
        return found
    return given


@lru_cache(256)
def model_of(signature: Signature) -> type[BaseModel]:
    """The model. Its fields are called by aliases, for pydantic has uses of its own for some names."""
    fields: dict[str, Any] = {}
    for parameter in signature.parameters:
        hint = field_of(parameter)
        if hint is not None:
            default = ... if parameter.required and not parameter.many else parameter.default
            fields[f"of_{parameter.name}"] = (hint, Field(default, alias=parameter.name))
    extra: Literal["allow", "forbid"] = "allow" if signature.open else "forbid"
    name = getattr(signature.make, "__name__", "part")
    return pydantic.create_model(
        name, __config__=ConfigDict(extra=extra, arbitrary_types_allowed=True), **fields
    )


def field_of(parameter: Parameter) -> Any:
    """The type of a model's field for what a part can be told; None if settings cannot say it."""
    if parameter.hint is Surroundings:
        return None
    found = _field(parameter.hint, parameter)
    return _listed(found) if parameter.many and found is not None else found


def _field(hint: Any, parameter: Parameter) -> Any:
    members = _members(hint)
    optional = type(None) in members
    lists = [typing.get_args(one)[0] for one in members if typing.get_origin(one) in _LISTS]
    if Any in members:
        return Annotated[Any, Anything(parameter.name)]
    for kind in filter(None, map(kind_for, members)):
        return _listed(Annotated[Any, PartOf(kind)]) if lists else Annotated[Any, PartOf(kind, optional)]
    if Passphrase in members:
        return Annotated[Any, PassphraseLeaf()]
    for one in lists:
        inner = _field(one, parameter)
        alone = str in members or any(
            isinstance(extra, PartOf | PassphraseLeaf) for extra in getattr(inner, "__metadata__", ())
        )
        return None if inner is None else _listed(inner, alone=alone)
    for one in members:
        if typing.get_origin(one) in _MAPPINGS:
            inner = _field(typing.get_args(one)[1], parameter)
            return None if inner is None else dict[str, inner]  # type: ignore[valid-type]
        if isinstance(one, type) and is_dataclass(one) and str not in members:  # a DatabaseURL has a text
            return Annotated[Any, Table(one, optional)]
        if typing.get_origin(one) is Callable:
            return Annotated[Any, Named()] if parameter.required else None  # others are for tests
    return _leaf(members, parameter)


def _leaf(members: Sequence[Any], parameter: Parameter) -> Any:
    optional = type(None) in members
    a_path = any(os.PathLike in (one, typing.get_origin(one)) or one is Path for one in members)
    path = a_path and parameter.name != "argv"  # of a command, of which nobody knows which words are paths
    kinds = [one for one in members if one in PLAIN or typing.get_origin(one) is Literal]
    if a_path and str not in kinds:
        kinds.append(str)
    none = optional and not parameter.required and parameter.default is not None
    found = Leaf(tuple(kinds), parameter.name, path=path, optional=optional, none=none)
    return found.field if kinds else None


def _listed(inner: Any, *, alone: bool = True) -> Any:
    """A list of them; `alone` says that one may stand without brackets."""
    found = list[inner]
    return Annotated[found, BeforeValidator(_alone_in_a_list), _ALONE] if alone else found


_ALONE = Field(json_schema_extra={"x-alone": True})


def _alone_in_a_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping | os.PathLike) or is_made(value) else value


def _members(hint: Any) -> Sequence[Any]:
    """The types of a union, and of what it is made of, or the one type; without those that no settings can say."""
    hint = getattr(hint, "__value__", hint)  # `type Alias = …`
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _members(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return list(dict.fromkeys(one for member in typing.get_args(hint) for one in _members(member)))
    return [] if hint is NotData else [hint]


def _reason(error: Exception, given: Mapping[str, Any]) -> str:
    """What is said of a part that could not be made: not a word of an error that has a secret of it in its text."""
    if any(secret in str(error) for secret in _secrets(given)):
        return f"is not possible: {type(error).__name__}"
    says_what_to_do = isinstance(error, ConfigurationError | ModuleNotFoundError)
    return f"is not possible: {error if says_what_to_do else told(error)}"


def _secrets(given: Any, key: str = "") -> Iterator[str]:
    if isinstance(given, str):
        if given and is_secret(key):
            yield given
        elif "@" in given and "://" in given:
            yield from filter(None, [given.partition("://")[2].rpartition("@")[0].partition(":")[2]])
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield from _secrets(value, str(name))
    elif isinstance(given, list):
        for value in given:
            yield from _secrets(value, key)

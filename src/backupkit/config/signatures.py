"""What a part can be told, by the signature of what makes it: the one place that settings are derived from."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_MANY = inspect.Parameter.VAR_POSITIONAL
_REST = inspect.Parameter.VAR_KEYWORD


class _NotDataType(type):
    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, of: object) -> type:
        return cls


class NotData(metaclass=_NotDataType):
    """Stands for a type that is known to type checkers alone, such as an SQLAlchemy engine's."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a part can be told. `hint` is its type; `many` says that it is a list of such, `*parts`."""

    name: str
    hint: Any
    required: bool
    default: Any
    many: bool


@dataclass(frozen=True, eq=False)
class Signature:
    """What makes a part, and all that it can be told. `open` says that it passes on what it does not know."""

    make: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    open: bool

    @property
    def names(self) -> Set[str]:
        return {one.name for one in self.parameters}

    def call(self, given: Mapping[str, Any]) -> Any:
        """Make the part; what is not given has the default that it has in Python."""
        known = {parameter.name: parameter for parameter in self.parameters}
        many = [name for name in known if known[name].many and name in given]
        before: list[Any] = []
        named = {name: value for name, value in given.items() if name not in many}
        if many:  # what stands before `*parts` can be given by position only
            for parameter in inspect.signature(self.make).parameters.values():
                if parameter.kind is _MANY:
                    break
                before.append(named.pop(parameter.name, parameter.default))
        return self.make(*before, *(one for name in many for one in given[name]), **named)


def signature_of(make: Callable[..., Any]) -> Signature:
    """The signature of a class or function, with the types that its annotations name."""
    parameters = list(inspect.signature(make).parameters.values())
    namespace = _Namespace(make)
    return Signature(
        make,
        tuple(
            Parameter(
                name=one.name,
                hint=namespace.resolved(one.annotation),
                required=one.default is one.empty,
                default=None if one.default is one.empty else one.default,
                many=one.kind is _MANY,
            )
            for one in parameters
            if one.kind is not _REST
        ),
        open=any(one.kind is _REST for one in parameters),
    )


class _Namespace(dict[str, Any]):
    """The names that an annotation may use, where it stands; those imported for type checkers alone are NotData."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._modules = [*_modules_of(make), builtins]

    def __missing__(self, name: str) -> Any:
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        return NotData

    def resolved(self, annotation: Any) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        if not isinstance(annotation, str):
            return annotation
        try:
            # An annotation of a part that is imported and about to be called anyway.
            return eval(annotation, {}, self)  # noqa: S307
        except Exception:
            return NotData


def _modules_of(make: Callable[..., Any]) -> Iterator[ModuleType]:
    """Where it is defined, and for a class where the ones are whose constructor it may have."""
    for one in getattr(make, "__mro__", (make,)):
        module = sys.modules.get(getattr(one, "__module__", ""))
        if module is not None and module is not builtins:
            yield module

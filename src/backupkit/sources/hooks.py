"""Something to do before a source is read and to undo afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from backupkit.databases.urls import DatabaseURL
from backupkit.errors import ConfigurationError, HookError, told
from backupkit.model import Contents, Entry, Finding, Part, Problem
from backupkit.protocols import (
    AsksServers,
    DumpsDatabases,
    ExcludesLocations,
    ExcludesPaths,
    ReadsInParts,
    Source,
)
from backupkit.sources._examining import findings_of

Hook: TypeAlias = Callable[[], AbstractContextManager[object]]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, init=False)
class Around:
    """A source inside contexts: workers stopped, a file-system snapshot mounted.

        @contextmanager
        def workers_stopped():
            subprocess.run(["systemctl", "stop", "worker"], check=True)
            try:
                yield
            finally:
                subprocess.run(["systemctl", "start", "worker"], check=True)

        Around(Directory("/srv/shop"), workers_stopped)

    Each hook is called, and its context entered, in order, when the first entry is pulled; they are left
    in reverse order when the entries have ended or their iterator is closed. An entry's chunks can
    therefore be read within the contexts until the pull after the last entry, which is how every format
    of this library reads them, and no longer.

    A hook that fails raises HookError: the run fails, and no backup is made. If it fails on leaving while
    another exception is under way, that one stays and the hook's failure is added to it as a note. A
    hook cannot swallow an exception: a source that failed has failed.
    """

    source: Source
    hooks: tuple[Hook, ...]

    def __init__(self, source: Source, *hooks: Hook) -> None:
        for hook in hooks:
            if not callable(hook) or hasattr(type(hook), "__enter__"):
                raise ConfigurationError(
                    f"The hook {_name(hook)} around {source.name} must be something to call that returns a "
                    "context manager, such as a function decorated with @contextmanager: give the function "
                    "itself, not what it returns."
                )
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "hooks", hooks)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def contents(self) -> Contents:
        return self.source.contents

    def examine(self) -> Iterator[Finding]:
        """What the source inside finds of itself; the hooks are not called."""
        yield from findings_of(self.source)
        if self.hooks:
            names = ", ".join(_name(hook) for hook in self.hooks)
            yield Finding(step="hooks", verdict="not known", message=f"Not called, only a run does: {names}.")

    def entries(self) -> Iterator[Entry | Problem]:
        yield from self._within(self.source.entries)

    def parts(self) -> Iterator[Entry | Problem | Part]:
        """Folders unread, if the source inside can hand them over so; they are read within the contexts too."""
        inside = self.source
        yield from self._within(inside.parts if isinstance(inside, ReadsInParts) else inside.entries)

    def _within(self, read: Callable[[], Iterator[_Item]]) -> Iterator[_Item]:
        with ExitStack() as contexts:
            for hook in self.hooks:
                contexts.enter_context(_held(hook, self.source.name))
            yield from read()

    def excluding(self, paths: Sequence[Path]) -> Source:
        """The same around a source that leaves out these folders, if it is one that can."""
        if isinstance(self.source, ExcludesPaths):
            return Around(self.source.excluding(paths), *self.hooks)
        return self

    def without(self, locations: Sequence[str]) -> Source:
        """The same around a source that leaves out these locations, if it is one that can."""
        if isinstance(self.source, ExcludesLocations):
            return Around(self.source.without(locations), *self.hooks)
        return self

    @property
    def hosts(self) -> frozenset[str]:
        return self.source.hosts if isinstance(self.source, AsksServers) else frozenset()

    def database_of(self, path: str) -> DatabaseURL | None:
        """What the source inside says: the hooks change nothing about what it dumps."""
        return self.source.database_of(path) if isinstance(self.source, DumpsDatabases) else None


@contextmanager
def _held(hook: Hook, source: str) -> Iterator[None]:
    try:
        context = hook()
        context.__enter__()
    except Exception as error:
        raise HookError(f"The hook {_name(hook)} failed before {source} was read: {told(error)}.") from error
    try:
        yield
    except BaseException as failure:
        # An iterator closed early is told so by a GeneratorExit; why it was closed is that one's context.
        under_way = failure.__context__ if isinstance(failure, GeneratorExit) else failure
        try:
            context.__exit__(type(failure), failure, failure.__traceback__)
        except Exception as error:
            message = f"The hook {_name(hook)} failed after {source} was read in part: {told(error)}."
            if under_way is None:
                raise HookError(message) from error
            under_way.add_note(message)
        raise
    try:
        context.__exit__(None, None, None)
    except Exception as error:
        raise HookError(f"The hook {_name(hook)} failed after {source} was read: {told(error)}.") from error


def _name(hook: object) -> str:
    while isinstance(hook, partial):
        hook = hook.func
    return str(getattr(hook, "__qualname__", type(hook).__qualname__))

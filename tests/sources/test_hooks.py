from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from backupkit.errors import ConfigurationError, HookError, SourceError
from backupkit.model import Contents, Entry, Part, Problem
from backupkit.protocols import ExcludesPaths, ReadsInParts, Source
from backupkit.sources.command import Command
from backupkit.sources.files import Directory
from backupkit.sources.hooks import Around, Hook
from backupkit.testing.sources import SourceTests
from backupkit.testing.trees import Hardlink, tree


@dataclass
class Listed:
    """A source of two empty entries that writes down what happens to it, and may fail after them."""

    log: list[str] = field(default_factory=list)
    error: Exception | None = None
    without: tuple[Path, ...] = ()
    name: str = "listed"
    contents: Contents = "files"

    def entries(self) -> Iterator[Entry | Problem]:
        self.log.append("open")
        try:
            yield Entry(path="listed/a")
            yield Entry(path="listed/b")
            if self.error is not None:
                raise self.error
        finally:
            self.log.append("close")

    def hook(
        self, name: str, *, entering: Exception | None = None, leaving: Exception | None = None
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def hook() -> Iterator[None]:
            if entering is not None:
                raise entering
            self.log.append(f"enter {name}")
            try:
                yield
            finally:
                self.log.append(f"leave {name}")
                if leaving is not None:
                    raise leaving

        hook.__qualname__ = name
        return hook


class Excluding(Listed):
    def excluding(self, paths: Sequence[Path]) -> Source:
        return Excluding(self.log, without=tuple(paths))


@contextmanager
def nothing() -> Iterator[None]:
    yield


class TestAroundAsASource(SourceTests):
    @pytest.fixture
    def source(self) -> Around:
        return Around(Command(["echo", "x"], name="x"), nothing)

    @pytest.fixture
    def failing_source(self) -> Around:
        return Around(Command(["false"], name="x"), nothing)


def pull(source: Source, count: int) -> Iterator[Entry | Problem]:
    """Pull so many entries and return the open iterator."""
    entries = source.entries()
    for _ in range(count):
        next(entries)
    return entries


def close(entries: Iterator[object]) -> None:
    entries.close()  # type: ignore[attr-defined] # they are generators


def test_it_is_called_and_holds_what_its_source_does() -> None:
    around = Around(Listed(name="shop", contents="databases"))
    assert (around.name, around.contents) == ("shop", "databases")


def test_contexts_are_entered_in_order_and_left_in_reverse() -> None:
    listed = Listed()
    entries = list(Around(listed, listed.hook("one"), listed.hook("two")).entries())
    assert entries == list(listed.entries())
    assert listed.log[:6] == ["enter one", "enter two", "open", "close", "leave two", "leave one"]


def test_nothing_is_entered_before_the_first_pull() -> None:
    listed = Listed()
    entries = Around(listed, listed.hook("one")).entries()
    assert listed.log == []
    next(entries)
    assert listed.log == ["enter one", "open"]
    close(entries)


def test_contexts_last_until_the_pull_after_the_last_entry() -> None:
    listed = Listed()
    entries = pull(Around(listed, listed.hook("one")), 2)
    assert "leave one" not in listed.log
    assert next(entries, None) is None
    assert listed.log[-1] == "leave one"


def test_contexts_are_left_when_the_iterator_is_closed_after_the_source() -> None:
    listed = Listed()
    close(pull(Around(listed, listed.hook("one")), 1))
    assert listed.log == ["enter one", "open", "close", "leave one"]


def test_contexts_are_left_when_the_source_fails() -> None:
    listed = Listed(error=SourceError("unreadable", path="listed"))
    with pytest.raises(SourceError, match="unreadable"):
        list(Around(listed, listed.hook("one")).entries())
    assert listed.log[-1] == "leave one"


def test_each_walk_enters_them_anew() -> None:
    listed = Listed()
    around = Around(listed, listed.hook("one"))
    for _ in range(2):
        list(around.entries())
    assert listed.log.count("enter one") == listed.log.count("leave one") == 2


def test_a_hook_that_cannot_be_entered_fails_the_run_and_the_others_are_left() -> None:
    listed = Listed()
    around = Around(listed, listed.hook("one"), listed.hook("two", entering=OSError("no space")))
    with pytest.raises(
        HookError, match=r"hook two failed before listed was read: OSError: no space"
    ) as raised:
        list(around.entries())
    assert isinstance(raised.value.__cause__, OSError)
    assert listed.log == ["enter one", "leave one"]


def test_a_hook_that_is_no_context_manager_fails_the_run() -> None:
    def forgot_the_decorator() -> Iterator[None]:
        yield

    with pytest.raises(HookError, match="forgot_the_decorator"):
        list(Around(Listed(), cast(Hook, forgot_the_decorator)).entries())


def test_a_hook_that_fails_on_leaving_fails_the_run_and_the_others_are_left() -> None:
    listed = Listed()
    around = Around(listed, listed.hook("one"), listed.hook("two", leaving=OSError("stuck")))
    entries = pull(around, 2)
    with pytest.raises(HookError, match="hook two failed after listed was read: OSError: stuck"):
        next(entries)
    assert listed.log[-2:] == ["leave two", "leave one"]


def test_of_two_hooks_that_fail_on_leaving_both_are_told() -> None:
    listed = Listed()
    around = Around(
        listed, listed.hook("one", leaving=OSError("stuck")), listed.hook("two", leaving=OSError("lost"))
    )
    with pytest.raises(HookError, match="hook two") as raised:
        list(around.entries())
    (note,) = raised.value.__notes__
    assert "hook one" in note


def test_a_failure_of_the_source_stays_and_that_of_a_hook_is_noted_on_it() -> None:
    listed = Listed(error=SourceError("unreadable", path="listed"))
    with pytest.raises(SourceError, match="unreadable") as raised:
        list(Around(listed, listed.hook("one", leaving=OSError("stuck"))).entries())
    (note,) = raised.value.__notes__
    assert "hook one" in note
    assert "stuck" in note


def test_a_failure_of_the_reader_stays_and_that_of_a_hook_is_noted_on_it() -> None:
    listed = Listed()
    around = Around(listed, listed.hook("one", leaving=OSError("stuck")))
    with pytest.raises(ZeroDivisionError) as raised, closing(around.entries()) as entries:  # type: ignore[type-var] # noqa: PT012
        next(entries)
        raise ZeroDivisionError
    (note,) = raised.value.__notes__
    assert "hook one" in note


def test_a_hook_that_fails_when_the_iterator_is_just_closed_is_heard() -> None:
    listed = Listed()
    entries = pull(Around(listed, listed.hook("one", leaving=OSError("stuck"))), 1)
    with pytest.raises(HookError, match="hook one"):
        close(entries)


def test_a_hook_cannot_swallow_a_failure() -> None:
    @contextmanager
    def swallow() -> Iterator[None]:
        with suppress(SourceError):
            yield

    with pytest.raises(SourceError, match="unreadable"):
        list(Around(Listed(error=SourceError("unreadable", path="listed")), swallow).entries())


def test_a_hook_may_be_any_callable_and_is_named_without_its_arguments() -> None:
    def stop(password: str) -> AbstractContextManager[None]:
        raise OSError("no such service")

    with pytest.raises(HookError, match=r"hook .*stop failed") as raised:
        list(Around(Listed(), functools.partial(stop, "SECRET")).entries())
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "timeout", "message"),
    [
        ("exit(4)", None, "a command ended with status 4"),
        ("import time; time.sleep(300)", 0.05, "a command took longer than it may"),
    ],
)
def test_the_command_line_of_a_hook_is_not_told(code: str, timeout: float | None, message: str) -> None:
    @contextmanager
    def stop_workers() -> Iterator[None]:
        argv = [sys.executable, "-c", code, "SECRET"]
        subprocess.run(argv, check=True, timeout=timeout)
        yield

    with pytest.raises(HookError, match=message) as raised:
        list(Around(Listed(), stop_workers).entries())
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("hook", [nothing(), None, "systemctl stop worker"])
def test_what_cannot_be_called_anew_for_each_run_is_refused(hook: object) -> None:
    with pytest.raises(ConfigurationError, match="give the function"):
        Around(Listed(), cast(Hook, hook))


def test_folders_are_left_out_of_the_source_inside() -> None:
    listed = Excluding()
    around = Around(listed, listed.hook("one"))
    assert isinstance(around, ExcludesPaths)
    without = around.excluding([Path("/backups")])
    assert isinstance(without, Around)
    assert isinstance(without.source, Excluding)
    assert without.source.without == (Path("/backups"),)
    list(without.entries())
    assert listed.log == ["enter one", "open", "close", "leave one"]


def test_a_source_that_has_no_folders_stays_as_it_is() -> None:
    around = Around(Listed(), nothing)
    assert around.excluding([Path("/backups")]) is around


class TestAroundAFolder(SourceTests):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Around:
        root = tree(tmp_path / "shop", {"a": {"b": "b"}, "c": "c", "d": Hardlink("c")})
        return Around(Around(Directory(root), nothing), nothing)


def test_folders_are_handed_over_unread_and_read_within_the_contexts(tmp_path: Path) -> None:
    log: list[str] = []

    @contextmanager
    def mounted() -> Iterator[None]:
        root = tree(tmp_path / "shop", {"a": "a"})
        log.append("mounted")
        yield
        log.append("unmounted")
        (root / "a").unlink()

    parts = Around(Directory(tmp_path / "shop"), mounted).parts()
    assert log == []
    part = next(parts)
    assert isinstance(part, Part)
    assert [one.path for one in part.read() if isinstance(one, Entry)] == ["shop/a"]
    assert log == ["mounted"]
    assert next(parts, None) is None
    assert log == ["mounted", "unmounted"]


def test_a_source_that_does_not_read_in_parts_is_as_it_is() -> None:
    listed = Listed()
    around = Around(listed, listed.hook("one"))
    assert isinstance(around, ReadsInParts)
    assert list(around.parts()) == list(listed.entries())

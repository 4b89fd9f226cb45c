"""What every target must hold to.

    class TestMyTarget(TargetTests):
        @pytest.fixture
        def target(self, tmp_path: Path) -> Target:
            return MyTarget(tmp_path)

        def names(self, target: Target) -> list[str]:
            return [path for path in target.everything()]

Needs `backupkit[testing]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backupkit.errors import IntegrityError, OperationCancelledError, SourceError
from backupkit.model import Entry, Problem
from backupkit.protocols import Target
from backupkit.testing.entries import with_content

FOLDER = Entry(path="shop", kind="directory", mode=0o755, modified_ns=1_500_000_000_000_000_000)


class TargetTests:
    """Subclass it and give the fixture `target`, an empty one that takes files, and `names`."""

    @pytest.fixture
    def target(self) -> Target:
        raise NotImplementedError("give a fixture called target")

    def names(self, target: Target) -> list[str]:
        """The paths of all entries that the target holds, folders left out, unfinished ones included."""
        raise NotImplementedError("give the names of what is there")

    def test_entries_are_put_in_place(self, target: Target) -> None:
        assert _errors(target.write([FOLDER, _file("shop/a"), _file("shop/b"), _file("c")])) == []
        assert sorted(self.names(target)) == ["c", "shop/a", "shop/b"]

    def test_checking_reads_no_content_and_touches_nothing(self, target: Target) -> None:
        unread = with_content(Entry(path="shop/a"), error=AssertionError("check read the content"))
        assert _errors(target.check([FOLDER, unread])) == []
        assert self.names(target) == []

    def test_no_entries_are_no_problem(self, target: Target) -> None:
        assert _errors(target.check([])) == []
        assert _errors(target.write([])) == []

    def test_entries_are_taken_in_order_each_finished_before_the_next(self, target: Target) -> None:
        taken: list[str] = []

        def entries() -> Iterator[Entry]:
            for path in ("b", "a", "c"):
                assert len(self.names(target)) == len(taken)
                taken.append(path)
                yield _file(path)

        assert _errors(target.write(entries())) == []
        assert taken == ["b", "a", "c"]

    @pytest.mark.parametrize(
        "error", [IntegrityError("damaged", where="b"), SourceError("unreadable", path="b")], ids=str
    )
    def test_an_entry_that_fails_is_a_problem_and_leaves_nothing_and_the_rest_goes_on(
        self, target: Target, error: Exception
    ) -> None:
        failing = with_content(Entry(path="b"), b"half of it", error=error)
        problems = _errors(target.write([_file("a"), failing, _file("c")]))
        assert [problem.path for problem in problems] == ["b"]
        assert sorted(self.names(target)) == ["a", "c"]

    def test_what_is_no_fault_of_the_entry_ends_the_writing_and_leaves_nothing_of_it(
        self, target: Target
    ) -> None:
        cancelled = OperationCancelledError("cancelled")
        failing = with_content(Entry(path="b"), b"half of it", error=cancelled)
        with pytest.raises(OperationCancelledError) as caught:
            list(target.write([_file("a"), failing, _file("c")]))
        assert caught.value is cancelled
        assert self.names(target) == ["a"]

    @pytest.mark.parametrize("path", ["../up", "/root", "a/../../up", "a//b", "", ".", "a\0b"])
    def test_a_path_that_leads_elsewhere_is_refused(self, target: Target, path: str) -> None:
        assert [problem.path for problem in _errors(target.check([_file(path)]))] == [path]
        assert [problem.path for problem in _errors(target.write([_file(path), _file("good")]))] == [path]
        assert self.names(target) == ["good"]


def _file(path: str) -> Entry:
    return with_content(Entry(path=path, mode=0o600), b"some ", b"content")


def _errors(problems: Iterator[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]

"""What every lock must hold to.

    class TestMyLock(LockTests):
        life = timedelta(seconds=2)

        @pytest.fixture
        def program(self) -> str:
            return "from mine import MyLock; lock = MyLock('https://example.org/locks', life=2)"

Needs `backupkit[testing]`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any

import pytest

from backupkit.errors import BackupAlreadyRunningError
from backupkit.protocols import Lock

_AT_ONCE, _LONG = timedelta(0), timedelta(minutes=1)
_MOMENT = 0.3  # seconds, in which whoever need not wait would be through

# Its first line of input is the program and the name. Each further one is a question whether it is held still.
_HOLD = """
import json, sys
from datetime import timedelta
from backupkit.errors import BackupKitError
program, name = json.loads(sys.stdin.readline())
made = {}
exec(program, made)
try:
    with made["lock"].hold(name, wait=timedelta(0)) as lease:
        print("held", flush=True)
        for _ in sys.stdin:
            lease.check()
            print("held", flush=True)
except BackupKitError as error:
    print(type(error).__name__, error, flush=True)
"""


@dataclass(frozen=True)
class Holder:
    """Another process, which tried to take a lock. `first` is what it said then: "held", or its error."""

    process: subprocess.Popen[str]
    first: str

    def ask(self) -> str:
        """What it says when it checks its lease."""
        _stream(self.process.stdin).write("\n")
        _stream(self.process.stdin).flush()
        return _stream(self.process.stdout).readline().strip()

    def end(self) -> None:
        """Let it release the lock and end."""
        _stream(self.process.stdin).close()
        self.process.wait()


@contextmanager
def holder_elsewhere(program: str, name: str) -> Iterator[Holder]:
    """A process that makes the lock by this program, and holds it under this name."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            # By its input, for the program may have a password in it.
            _stream(process.stdin).write(json.dumps([program, name]) + "\n")
            _stream(process.stdin).flush()
            yield Holder(process, _stream(process.stdout).readline().strip())
        finally:
            process.kill()


def lock_of(program: str) -> Lock:
    """The lock that the program makes."""
    made: dict[str, Any] = {}
    exec(program, made)  # noqa: S102  # of the test itself
    lock: Lock = made["lock"]
    return lock


class LockTests:
    """Subclass it and give the fixture `program`: a text of Python that defines `lock`.

    It is run in this process and in others, for a lock of their own of the same place, where nobody else holds one.
    `life` is how long a lease counts that its holder does not renew, and None where it lasts as long as the process
    of its holder. `secrets` are texts that must not show.
    """

    life: timedelta | None = None
    secrets: Sequence[str] = ()

    @pytest.fixture
    def program(self) -> str:
        raise NotImplementedError("give a fixture called program")

    @pytest.fixture
    def lock(self, program: str) -> Lock:
        return lock_of(program)

    def test_one_holds_it_at_a_time_and_then_the_next_one(self, program: str, lock: Lock) -> None:
        other = lock_of(program)
        for _ in range(2):
            with lock.hold("shop", wait=_AT_ONCE):
                for one in (other, lock):
                    with pytest.raises(BackupAlreadyRunningError):
                        _take(one, "shop")
            _take(other, "shop")

    def test_a_lease_that_is_held_passes_its_check_on_any_thread(self, lock: Lock) -> None:
        failures: list[BaseException] = []

        def check() -> None:
            try:
                lease.check()
            except BaseException as error:
                failures.append(error)

        with lock.hold("shop", wait=_AT_ONCE) as lease:
            threads = [threading.Thread(target=check) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert failures == []

    def test_a_lease_that_was_given_back_is_held_no_more(self, lock: Lock) -> None:
        with lock.hold("shop", wait=_AT_ONCE) as lease:
            lease.check()
        with pytest.raises(BackupAlreadyRunningError):
            lease.check()

    def test_threads_exclude_each_other(self, lock: Lock) -> None:
        inside, most = 0, 0

        def work() -> None:
            nonlocal inside, most
            with lock.hold("shop", wait=_LONG):
                inside += 1
                most = max(most, inside)
                threading.Event().wait(0.01)
                inside -= 1

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (most, inside) == (1, 0)

    def test_whoever_waits_goes_on_when_the_other_ends(self, program: str, lock: Lock) -> None:
        taken = threading.Event()

        def wait() -> None:
            with lock_of(program).hold("shop", wait=_LONG):
                taken.set()

        thread = threading.Thread(target=wait)
        with lock.hold("shop", wait=_AT_ONCE):
            thread.start()
            assert not taken.wait(_MOMENT)
        thread.join()
        assert taken.is_set()

    def test_another_thread_may_release(self, lock: Lock) -> None:
        held = lock.hold("shop", wait=_AT_ONCE)
        held.__enter__()
        thread = threading.Thread(target=held.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        _take(lock, "shop")

    def test_a_run_that_fails_releases(self, lock: Lock) -> None:
        with pytest.raises(KeyboardInterrupt), lock.hold("shop", wait=_AT_ONCE):
            raise KeyboardInterrupt
        _take(lock, "shop")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("shop", "blog"),
            ("Shop", "shop"),
            ("a b", "a-b"),
            ("a/b", "a-b"),
            ("x" * 300, "x" * 301),
            ("", "."),
        ],
    )
    def test_names_that_look_alike_are_different_locks(self, lock: Lock, one: str, other: str) -> None:
        with lock.hold(one, wait=_AT_ONCE):
            _take(lock, other)
            with pytest.raises(BackupAlreadyRunningError):
                _take(lock, one)

    @pytest.mark.parametrize(
        "name",
        ["../../etc/x", "\udcff", "größe 💾", "x\0y", "a\nb", "'; DROP TABLE x; --", "%s %(x)s {x} :x * ?"],
    )
    def test_a_name_may_be_any_text(self, lock: Lock, name: str) -> None:
        with lock.hold(name, wait=_AT_ONCE) as lease:
            lease.check()
            with pytest.raises(BackupAlreadyRunningError):
                _take(lock, name)
        _take(lock, name)

    def test_another_process_is_refused(self, program: str, lock: Lock) -> None:
        with lock.hold("shop", wait=_AT_ONCE), holder_elsewhere(program, "shop") as other:
            assert other.first.startswith("BackupAlreadyRunningError")
            for secret in self.secrets:
                assert secret not in other.first

    def test_a_process_that_is_killed_does_not_keep_it_for_longer_than_its_life(
        self, program: str, lock: Lock
    ) -> None:
        with holder_elsewhere(program, "shop") as other:
            assert other.first == "held"
            with pytest.raises(BackupAlreadyRunningError):
                _take(lock, "shop")
            other.process.kill()
            assert other.process.wait() == -signal.SIGKILL
            _take(lock, "shop", wait=timedelta(0) if self.life is None else self.life + _LONG)

    def test_it_is_held_for_longer_than_its_life(self, program: str, lock: Lock) -> None:
        if self.life is None:
            pytest.skip("it has no life but that of the process")
        with lock.hold("shop", wait=_AT_ONCE) as lease:
            with pytest.raises(BackupAlreadyRunningError):
                _take(lock_of(program), "shop", wait=1.5 * self.life)
            lease.check()

    def test_a_process_that_slept_for_too_long_finds_that_it_lost_it(self, program: str, lock: Lock) -> None:
        if self.life is None:
            pytest.skip("it has no life but that of the process")
        with holder_elsewhere(program, "shop") as other:
            assert other.ask() == "held"
            other.process.send_signal(signal.SIGSTOP)
            with lock.hold("shop", wait=self.life + _LONG) as lease:
                other.process.send_signal(signal.SIGCONT)
                assert other.ask().startswith("BackupAlreadyRunningError")
                other.end()
                lease.check()  # what the other has let go was not this one

    def test_nothing_that_is_shown_holds_a_secret(self, program: str, lock: Lock) -> None:
        with lock.hold("shop", wait=_AT_ONCE), pytest.raises(BackupAlreadyRunningError) as caught:
            _take(lock_of(program), "shop")
        shown = [repr(lock), str(lock), *traceback.format_exception(caught.value)]
        for secret in self.secrets:
            assert secret not in "".join(shown)


def _take(lock: Lock, name: str, wait: timedelta = _AT_ONCE) -> None:
    with lock.hold(name, wait=wait):
        pass


def _stream(one: IO[str] | None) -> IO[str]:
    assert one is not None
    return one

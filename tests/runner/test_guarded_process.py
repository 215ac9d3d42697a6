"""Processes that compute cells, and the fork server that they come from."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from mmbench.runner.child_process import MessageBuffer
from mmbench.runner.guarded_process import FORK_SERVER, GuardedProcess


def wait_until_ready(process: GuardedProcess) -> None:
    """Wait for the first message of a process."""
    received = MessageBuffer()
    received.add(process.stdout.read(2**16))
    assert received.take() == {"ready": True}


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, which it must soon."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, be it that nobody has asked how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_processes_are_forks_of_one_server() -> None:
    """It runs as long as somebody holds it, and leaves none of them."""
    with FORK_SERVER:
        server = psutil.Process(FORK_SERVER._process.pid)
        with FORK_SERVER:
            processes = [FORK_SERVER.fork() for _ in range(2)]
            for process in processes:
                wait_until_ready(process)
            guardians = server.children()
            assert {one.pid for one in guardians} == {one.pid for one in processes}
            family = server.children(recursive=True)
            assert len(family) == 4
            assert processes[0].memory() > 2**26
            processes[0].close()
            assert processes[0].poll() == 0
        assert processes[1].poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        processes[1].wait(0)
    processes[1].wait(5)
    processes[1].close()
    wait_until(lambda: all(has_ended(one) for one in (server, *family)))


def test_a_server_that_has_ended_is_started_again() -> None:
    """What it had forked has ended; the next process comes from another server."""
    with FORK_SERVER:
        first = FORK_SERVER.fork()
        wait_until_ready(first)
        FORK_SERVER._process.kill()
        FORK_SERVER._process.wait()
        assert first.wait(5) == 0
        second = FORK_SERVER.fork()
        wait_until_ready(second)
        second.close()
        first.close()


def test_a_process_is_closed_before_it_is_there() -> None:
    """It is not waited for, and ends by itself."""
    with FORK_SERVER:
        process = FORK_SERVER.fork()
        assert process.pid is None
        assert process.memory() == 0
        process.close()
        other = FORK_SERVER.fork()
        wait_until_ready(other)
        server = psutil.Process(FORK_SERVER._process.pid)
        wait_until(lambda: [one.pid for one in server.children()] == [other.pid])
        other.close()


@pytest.mark.parametrize(
    ("is_guardian", "code"), [(True, -signal.SIGKILL), (False, -signal.SIGSEGV)]
)
def test_exit_codes(is_guardian: bool, code: int) -> None:
    """That of the process, or of a guardian that could not tell it."""
    with FORK_SERVER:
        process = FORK_SERVER.fork()
        wait_until_ready(process)
        guardian = psutil.Process(process.pid)
        (child,) = guardian.children()
        (guardian if is_guardian else child).send_signal(-code)
        assert process.wait(5) == code
        process.close()


def test_a_server_that_cannot_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes have ended with exit code 1."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with FORK_SERVER:
        process = FORK_SERVER.fork()
        assert process.wait(5) == 1
        assert process.pid is None
        process.close()

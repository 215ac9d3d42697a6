"""Processes that compute cells, and the fork server that they come from."""

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest

from mmbench.runner.child_process import MessageBuffer
from mmbench.runner.guarded_process import (
    FORK_SERVER,
    GuardedProcess,
    may_be_forked,
)


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


FORKED = """
import os, sys
import psutil
from mmbench.runner.child_process import MessageBuffer
from mmbench.runner.fork_server import serve
from mmbench.runner.guarded_process import FORK_SERVER, may_be_forked

print("before")
assert may_be_forked()
held = open(os.devnull)
with FORK_SERVER.forked(serve):
    server = psutil.Process(FORK_SERVER._process.pid)
    assert server.parent() == psutil.Process()
    for is_prepared in (False, True, True):
        process = FORK_SERVER.fork(prepared=is_prepared)
        received = MessageBuffer()
        received.add(process.stdout.read(2**16))
        assert received.take() == {"ready": True}
        (child,) = psutil.Process(process.pid).children()
        assert held.fileno() not in [file.fd for file in child.open_files()]
        process.close()
    assert os.getsid(server.pid) == server.pid
    if "kill" in sys.argv:
        FORK_SERVER._process.kill()
        FORK_SERVER._process.wait()
        process = FORK_SERVER.fork()
        assert process.stdout.read(8)
        assert FORK_SERVER._process.pid != server.pid
        process.close()
assert not psutil.Process().children()
print("after")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a program is started elsewhere")
@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["kill"]])
def test_the_server_is_a_fork_of_a_program(words: list[str]) -> None:
    """It has the program's modules, and neither its files nor what it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["before", "after"]
    assert not done.stderr


def test_when_the_server_may_be_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not beside threads, nor with other streams than those of a program."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        monkeypatch.setattr(sys, name, SimpleNamespace(fileno=lambda at=number: at))
    assert may_be_forked()
    for owner, name, other in (
        (sys, "platform", "darwin"),
        (threading, "active_count", lambda: 2),
        (sys, "stdin", None),
        (sys, "stdout", io.StringIO()),
        (sys, "stderr", SimpleNamespace(fileno=lambda: 5)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, other)
            assert not may_be_forked()


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

"""The parent of a process that computes, which leaves none of its processes.

It forks that process and waits for its end. Then it ends all that the process has
started, be it in a session of its own: on Linux, a process whose parent has ended
becomes a child of the guardian. It does the same when it gets SIGTERM, and when its own
parent has gone.

As a program, it guards a process that runs the module that is named on the command line
with the words that follow, and ends as that process did.
"""

import contextlib
import ctypes
import os
import resource
import runpy
import signal
import sys
import time
from collections.abc import Callable

import psutil

POLL_SECONDS = 0.05  # between two looks for the end of a process
END_SECONDS = 10.0  # for which processes that start others are ended again and again
# Of <sys/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Guard a process that runs a module, and end as it ends."""

    def run() -> None:
        module = sys.argv[1]
        del sys.argv[0]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit(0)

    _end_as(guard(run, os.getppid()))


def guard(work: Callable[[], None], parent: int) -> int:
    """Do work in a fork; when it has ended, end all that it has started.

    Args:
        work: what the fork does.
        parent: id of the process whose end ends the fork, too; it forked this one.

    Returns:
        The status of the fork, as `os.waitpid` returns it; 0 when the parent has ended
        or this process got SIGTERM.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, _raise_system_exit)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        work()
        os._exit(0)
    _release_pipes()
    status = 0
    try:
        status = _wait_for(child, parent)
    except SystemExit:  # by SIGTERM
        pass
    finally:
        _end_descendants()
    return status


def _raise_system_exit(*_: object) -> None:
    sys.exit(0)


def _prctl(option: int, value: int) -> None:
    """Set an attribute of this process, where the system has such (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _release_pipes() -> None:
    """Close what the child reads and writes, so that its end is seen at once."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)


def _wait_for(child: int, parent: int) -> int:
    """Return the status of the child when it has ended, 0 when the parent has."""
    while os.getppid() == parent:
        for pid, status in _ended_children():
            if pid == child:
                return status
        time.sleep(POLL_SECONDS)
    return 0


def _ended_children() -> list[tuple[int, int]]:
    """Return id and status of children that have ended since the last call."""
    ended: list[tuple[int, int]] = []
    with contextlib.suppress(ChildProcessError):  # it has none
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append(found)
    return ended


def _end_descendants() -> None:
    """End all processes that come from this one, those that they start included."""
    deadline = time.monotonic() + END_SECONDS
    this = psutil.Process()
    while (family := this.children(recursive=True)) and time.monotonic() < deadline:
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.kill()
        _ended_children()
        time.sleep(POLL_SECONDS / 10)


def _end_as(status: int) -> None:
    """End this process as another did, but without a second file of its memory."""
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()

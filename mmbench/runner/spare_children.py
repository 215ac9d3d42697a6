"""Guardians of processes that compute cells, some started before they are needed.

Such a process takes seconds to load torch. A command that will have many cells computed
starts its processes first, so that they load torch while it plans. This module imports
no torch itself.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil

END_TIMEOUT_SECONDS = 5.0  # for a guardian to end its process, and itself

_spare: list[subprocess.Popen[bytes]] = []


def take() -> subprocess.Popen[bytes]:
    """Return a guardian that was started ahead and lives, or start one."""
    while _spare:
        process = _spare.pop()
        if process.poll() is None:
            return process
        end(process)
    return _start()


@contextlib.contextmanager
def start_ahead(count: int) -> Iterator[None]:
    """Start guardians for `take`; end those that have not been taken."""
    try:
        _spare.extend(_start() for _ in range(count))
        yield
    finally:
        while _spare:
            end(_spare.pop())


def end(process: subprocess.Popen[bytes]) -> None:
    """End a guardian, with all processes that its own may have started."""
    if process.poll() is None:
        process.terminate()  # the guardian ends the others
        process.send_signal(signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def memory_of(process: int) -> int:
    """Return the bytes of memory that a process and its descendants hold.

    Args:
        process: its id.
    """
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(process)
        for member in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "mmbench.runner.guardian"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # `select` does not see what a buffer has read
        start_new_session=True,  # Ctrl-C is for this process
    )

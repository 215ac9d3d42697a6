"""Processes that compute cells, each with a guardian that ends what it has started.

They are forks of one process, the fork server, which has loaded torch: that takes a
second. A command that will have many cells computed starts the server first, so that it
loads torch while the command plans. This module imports no torch itself.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import Self

import psutil

PIPES = 3  # of a process: its requests, its answers, and how it ends
END_TIMEOUT_SECONDS = 5.0  # for a guardian to end its process, and itself
_NUMBER_BYTES = 8


def encode(number: int) -> bytes:
    """Return the id of a guardian, or the status of its process, as it is sent."""
    return number.to_bytes(_NUMBER_BYTES, "big")


class GuardedProcess:
    """A process that computes cells, with methods as those of `subprocess.Popen`.

    Args:
        stdin, stdout: pipes of its requests and its answers.
        end: pipe from which the id of its guardian is read, and then its own status.
    """

    def __init__(self, stdin: int, stdout: int, end: int) -> None:
        # Not buffered: `select` does not see what a buffer has read.
        self.stdin = os.fdopen(stdin, "wb", buffering=0)
        self.stdout = os.fdopen(stdout, "rb", buffering=0)
        self._end = os.fdopen(end, "rb", buffering=0)
        self._told = b""
        self._has_ended = False

    @property
    def pid(self) -> int | None:
        """Id of the guardian; None as long as there is none."""
        self._listen(0)
        return self._number(0)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        self._listen(0)
        return self._exit_code()

    def wait(self, timeout: float) -> int:
        """Return the exit code when the process has ended.

        Args:
            timeout: seconds.

        Raises:
            subprocess.TimeoutExpired: when it has not ended in time.
        """
        self._listen(timeout)
        code = self._exit_code()
        if code is None:
            raise subprocess.TimeoutExpired("a process that computes cells", timeout)
        return code

    def close(self) -> None:
        """End the process, with all processes that it may have started."""
        pid = self.pid
        if pid is not None and not self._has_ended:
            os.kill(pid, signal.SIGTERM)  # the guardian ends the others
            os.kill(pid, signal.SIGCONT)
            self._listen(END_TIMEOUT_SECONDS)
        if pid is not None and not self._has_ended:
            os.killpg(pid, signal.SIGKILL)
        for pipe in (self.stdin, self.stdout, self._end):
            pipe.close()  # a process that is not there yet ends as it reads

    def memory(self) -> int:
        """Return the bytes of memory that the process and its descendants hold."""
        pid = self.pid
        return 0 if pid is None else memory_under(pid)

    def _listen(self, timeout: float) -> None:
        """Read what the guardian tells, up to its end if that comes in time."""
        while not self._has_ended:
            if not select.select([self._end], [], [], timeout)[0]:
                return
            block = os.read(self._end.fileno(), 2 * _NUMBER_BYTES)
            self._told += block
            self._has_ended = not block

    def _number(self, place: int) -> int | None:
        """Return a number that the guardian has told; None if it has not."""
        begin = place * _NUMBER_BYTES
        block = self._told[begin : begin + _NUMBER_BYTES]
        return int.from_bytes(block, "big") if len(block) == _NUMBER_BYTES else None

    def _exit_code(self) -> int | None:
        if not self._has_ended:
            return None
        status = self._number(1)
        # Without a guardian, the server could not load; without a status, it was ended.
        if status is None:
            return 1 if self._number(0) is None else -signal.SIGKILL
        return os.waitstatus_to_exitcode(status)


class ForkServer:
    """The process of `mmbench.runner.fork_server`, which runs while somebody holds it.

    A context manager that can be entered by several threads, each of which holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._requests: socket.socket
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with self._lock:
            if not self._holders:
                self._start()
            self._holders += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._end()

    def fork(self) -> GuardedProcess:
        """Return a process that is forked now, or when torch is loaded.

        The server is started again if it has ended by itself.
        """
        with self._lock:
            assert self._holders
            if self._process.poll() is not None:
                self._end()
                self._start()
            (their_stdin, stdin), (stdout, their_stdout) = os.pipe(), os.pipe()
            end, their_end = os.pipe()
            theirs = (their_stdin, their_stdout, their_end)
            # Where it ends now, the process has ended, too.
            with contextlib.suppress(BrokenPipeError):
                socket.send_fds(self._requests, [b"\0"], theirs)
            for pipe in theirs:
                os.close(pipe)
        return GuardedProcess(stdin, stdout, end)

    def _start(self) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mmbench.runner.fork_server"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process
            )

    def _end(self) -> None:
        self._requests.close()
        self._process.terminate()
        self._process.wait()


FORK_SERVER = ForkServer()


def memory_under(guardian: int) -> int:
    """Return the bytes of memory that the descendants of a guardian hold.

    Args:
        guardian: id of its process, whose own memory is not that of a cell.
    """
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for member in psutil.Process(guardian).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss
    return total

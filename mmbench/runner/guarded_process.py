"""Processes that compute cells, each with a guardian that ends what it has started.

They are forks of one process, the fork server, which has loaded torch: that takes a
second. A command that will have many cells computed makes the server of a fork of
itself, once it has loaded torch. This module imports no torch itself.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

import psutil

PIPES = 3  # of a process: its requests, its answers, and how it ends
# Requests to the fork server, of which the second are for steps of networks.
PLAIN, PREPARED = b"\0", b"\1"
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


class _Fork:
    """A fork of this process, with methods as those of `subprocess.Popen`.

    Args:
        work: what it does; it does not return.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # Until the fork has a session of its own, Ctrl-C is for this process alone.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that threads of libraries are there
                self.pid = os.fork()
            if not self.pid:
                work()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        self._has_ended = False

    def poll(self) -> int | None:
        """Return 0 when it has ended; None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for its end."""
        return self._wait(0)

    def _wait(self, options: int) -> int | None:
        with contextlib.suppress(ChildProcessError):  # another has waited for it
            if not self._has_ended and not os.waitpid(self.pid, options)[0]:
                return None
        self._has_ended = True
        return 0

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self._send(signal.SIGKILL)


class ForkServer:
    """The process of `mmbench.runner.fork_server`, which runs while somebody holds it.

    A context manager that can be entered by several threads, each of which holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._requests: socket.socket
        self._process: subprocess.Popen[bytes] | _Fork

    def __enter__(self) -> Self:
        self._hold(self._spawned)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._end()

    @contextlib.contextmanager
    def forked(self, serve: Callable[[socket.socket], object]) -> Iterator[None]:
        """Hold a server that is a fork of this process, where `may_be_forked` holds.

        Args:
            serve: that of `mmbench.runner.fork_server`, which imports torch.
        """
        self._hold(lambda requests: _Fork(partial(self._serve, serve, requests)))
        with contextlib.ExitStack() as stack:
            stack.push(self.__exit__)
            yield

    def _serve(
        self, serve: Callable[[socket.socket], object], requests: socket.socket
    ) -> None:
        """Serve in a fork, where the lock was taken and nothing is held."""
        self._lock, self._holders = threading.Lock(), 0
        serve(requests)

    def _hold(self, start: Callable[[socket.socket], subprocess.Popen | _Fork]) -> None:
        with self._lock:
            if not self._holders:
                self._start(start)
            self._holders += 1

    def fork(self, *, prepared: bool = False) -> GuardedProcess:
        """Return a process that is forked now, or when torch is loaded.

        The server is started again if it has ended by itself.

        Args:
            prepared: whether the server then has all that steps of networks need.
        """
        with self._lock:
            assert self._holders
            if self._process.poll() is not None:
                self._end()
                self._start(self._spawned)
            (their_stdin, stdin), (stdout, their_stdout) = os.pipe(), os.pipe()
            end, their_end = os.pipe()
            theirs = (their_stdin, their_stdout, their_end)
            # Where it ends now, the process has ended, too.
            with contextlib.suppress(BrokenPipeError):
                socket.send_fds(
                    self._requests, [PREPARED if prepared else PLAIN], theirs
                )
            for pipe in theirs:
                os.close(pipe)
        return GuardedProcess(stdin, stdout, end)

    def _start(
        self, start: Callable[[socket.socket], subprocess.Popen | _Fork]
    ) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = start(theirs)

    def _spawned(self, requests: socket.socket) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "mmbench.runner.fork_server"],
            stdin=requests.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process
        )

    def _end(self) -> None:
        self._requests.close()
        self._process.terminate()
        self._process.wait()


FORK_SERVER = ForkServer()


def may_be_forked() -> bool:
    """Return whether the fork server may be a fork of this process.

    Not where a thread may hold a lock, nor where the streams are not those of a program
    that is started; on other systems than Linux, libraries forbid it.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    streams = (sys.stdin, sys.stdout, sys.stderr)
    try:
        return [stream.fileno() for stream in streams] == [0, 1, 2]
    except (AttributeError, OSError, ValueError):  # one is closed or has no file
        return False


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

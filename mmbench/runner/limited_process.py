"""A process with limits, for code that nobody here has written.

It is no sandbox: such code can read and write what this user can, and use the network.
It gets a folder of its own, few environment variables and no input. It is ended, with
all that it has started, when it takes longer, holds more memory or prints more than it
may.
"""

import contextlib
import os
import select
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmbench.core.files import DATA_VARIABLE
from mmbench.runner.guarded_process import END_TIMEOUT_SECONDS, memory_under
from mmbench.runner.limits import Limits

POLL_SECONDS = 0.1  # between two looks at the clock and at the memory
MAX_OUTPUT_BYTES = 2**20  # of each stream
_BLOCK_BYTES = 2**16
# What a process needs of its environment: programs, libraries, data, the language.
_VARIABLES = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH"),
    *("CUDA_VISIBLE_DEVICES", DATA_VARIABLE),
)


class Ended(NamedTuple):
    """How a process ended.

    Args:
        code: its exit code, negative for a signal.
        passed: the limit that ended it, in words; empty where none did.
    """

    code: int
    passed: str


def run_limited(
    arguments: Sequence[str],
    folder: Path,
    limits: Limits,
    print_output: Callable[[str], None],
    print_error: Callable[[str], None],
) -> Ended:
    """Run mmbench in a process of its own, and print what it prints, line by line.

    Args:
        arguments: the words of the command line.
        folder: its working folder; a folder for its temporary files is made there.
        limits: what it may take, with the processes that it starts.
        print_output: prints a line of its output.
        print_error: prints a line of its error output.
    """
    home = folder / "home"
    home.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mmbench.runner.guardian", "mmbench", *arguments],
        cwd=folder,
        env=environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    lines = {
        process.stdout.fileno(): _Lines(print_output),
        process.stderr.fileno(): _Lines(print_error),
    }
    try:
        passed = _follow(process, lines, limits)
        code = 0 if passed else process.wait()
    finally:
        _end(process)
    for stream in lines.values():
        stream.finish()
    return Ended(code, passed)


def environment(home: Path) -> dict[str, str]:
    """Return the environment variables of a process that runs code of others.

    Args:
        home: the folder that it is told is its user's.
    """
    found = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    if data := found.get(DATA_VARIABLE):
        found[DATA_VARIABLE] = str(Path(data).absolute())
    own = Path(__file__).resolve().parents[2]
    installed = (*site.getsitepackages(), site.getusersitepackages())
    if own not in {Path(folder).resolve() for folder in installed}:
        found["PYTHONPATH"] = str(own)
    return found | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "PYTHONUSERBASE": site.getuserbase(),  # where pip may have installed torch
    }


def _follow(
    process: "subprocess.Popen[bytes]", lines: "Mapping[int, _Lines]", limits: Limits
) -> str:
    """Pass on what a process prints until it ends or passes a limit.

    Returns:
        The limit, in words; empty where the process has ended.
    """
    started, open_ones = time.monotonic(), set(lines)
    while open_ones or process.poll() is None:
        readable, _, _ = select.select(open_ones, [], [], POLL_SECONDS)
        for stream in readable:
            block = os.read(stream, _BLOCK_BYTES)
            if not block:
                open_ones.discard(stream)
            elif not lines[stream].add(block):
                return f"printed more than {MAX_OUTPUT_BYTES:,} bytes"
        if not readable and process.poll() is not None:
            return ""  # what it has started may hold the pipes
        if not open_ones:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
        if limits.timeout and time.monotonic() - started > limits.timeout:
            return f"took longer than {limits.timeout:g} s"
        if limits.memory and memory_under(process.pid) > limits.memory:
            return f"held more than {limits.memory / 2**20:.0f} MiB of memory"
    return ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a guardian, with all processes that its own may have started."""
    if process.poll() is None:
        process.terminate()  # the guardian ends the others
        process.send_signal(signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_TIMEOUT_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


class _Lines:
    """Lines of a stream, printed as they become whole.

    Args:
        print_line: prints one.
    """

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print = print_line
        self._size, self._rest = 0, b""

    def add(self, block: bytes) -> bool:
        """Print the lines that a block ends; return whether there may be more."""
        self._size += len(block)
        *whole, self._rest = (self._rest + block).split(b"\n")
        for line in whole:
            self._print(line.decode("utf-8", "replace"))
        return self._size <= MAX_OUTPUT_BYTES

    def finish(self) -> None:
        """Print the last line, if it has not ended."""
        if self._rest:
            self._print(self._rest.decode("utf-8", "replace"))

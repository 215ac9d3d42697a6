"""Guardians: they end as what they guard, and leave no process."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

SOURCE = """
    import os, signal, sys, time

    def compute():
        {deed}

    from mmbench.runner import guardian
    guardian._end_as(guardian.guard(compute, os.getppid()))
"""


def started(deed: str) -> "subprocess.Popen[bytes]":
    """A guardian of a process that does something."""
    source = textwrap.dedent(SOURCE).format(deed=deed)
    return subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, start_new_session=True
    )


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_it_ends_as_its_child(deed: str, code: int) -> None:
    """By exit code or by signal."""
    with started(deed) as process:
        assert process.wait(60) == code


HIDDEN = (  # tells its id and ignores what can be ignored
    "os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "os.write(1, str(os.getpid()).encode()); time.sleep(1000)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs subreapers")
def test_it_ends_what_hides_on_sigterm(tmp_path: Path) -> None:
    """A process in a session of its own, that ignores SIGTERM."""
    with started(HIDDEN) as process:
        hidden = int(os.read(process.stdout.fileno(), 20))
        process.terminate()
        process.wait(60)
    assert not psutil.pid_exists(hidden)

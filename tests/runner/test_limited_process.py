"""Processes with limits: what they get, and how they are ended."""

import textwrap
import time
from pathlib import Path

import psutil
import pytest

from mmbench.runner.limited_process import Ended, environment, run_limited
from mmbench.runner.limits import Limits

CLASS = """
    import os, sys, time
    from dataclasses import dataclass
    from mmbench import Algorithm, Cost

    {deed}

    @dataclass(frozen=True, kw_only=True)
    class Mine(Algorithm):
        pass
"""


def test_it_gets_few_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither tokens nor the user's home nor what Python would load first."""
    monkeypatch.setenv("TOKEN", "hidden")
    monkeypatch.setenv("PYTHONSTARTUP", "/x.py")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv("MMBENCH_DATA", "data")
    monkeypatch.chdir(tmp_path)
    found = environment(tmp_path)
    assert found["HOME"] == found["TMPDIR"] == str(tmp_path)
    assert (found["PATH"], found["MMBENCH_DATA"]) == ("/bin", str(tmp_path / "data"))
    assert "/elsewhere" not in found.get("PYTHONPATH", "")
    assert {"TOKEN", "PYTHONSTARTUP", "USER"}.isdisjoint(found)


def run(folder: Path, *words: str, limits: Limits = Limits(60)) -> tuple[Ended, str]:
    """Run a command line; return how it ended and all that it printed."""
    lines: list[str] = []
    ended = run_limited(words, folder, limits, lines.append, lines.append)
    return ended, "\n".join(lines)


def test_what_it_prints_comes_line_by_line(tmp_path: Path) -> None:
    """With its exit code, be it an error."""
    ended, printed = run(tmp_path, "--version")
    assert (ended.code, ended.passed) == (0, "")
    assert printed.startswith("mmbench ")
    (tmp_path / "b").mkdir()
    ended, printed = run(tmp_path / "b", "runn")
    assert ended.code == 2
    assert "Did you mean 'run'?" in printed


def deed(folder: Path, what: str, limits: Limits = Limits(60)) -> tuple[Ended, str]:
    """Run code that does something when it is loaded."""
    source = textwrap.dedent(CLASS).format(deed=textwrap.dedent(what))
    (folder / "mine.py").write_text(source)
    return run(folder, "check", "mine.py:Mine", limits=limits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "limits", "passed"),
    [
        ("time.sleep(1000)", Limits(4), "took longer than 4 s"),
        ("os.close(1); os.close(2); time.sleep(1000)", Limits(4), "took longer"),
        ("x = bytearray(2**31); time.sleep(1000)", Limits(60, 2**30), "held more"),
        ("os.write(2, b'x' * 2**21)", Limits(60), "printed more than 1,048,576 bytes"),
        ("os.write(1, b'x\\n' * 2**20)", Limits(60), "printed more"),
    ],
)
def test_limits(tmp_path: Path, what: str, limits: Limits, passed: str) -> None:
    """Of time, memory and what is printed."""
    started = time.monotonic()
    ended, _ = deed(tmp_path, what, limits)
    assert ended.passed.startswith(passed)
    assert time.monotonic() - started < 40


@pytest.mark.slow
def test_nothing_that_it_starts_is_left(tmp_path: Path) -> None:
    """Not even in a session of its own."""
    hidden = """
        if not os.fork():
            os.setsid()
            open("id", "w").write(str(os.getpid()))
            time.sleep(1000)
        while not os.path.exists("id") or not open("id").read():
            time.sleep(0.01)
        os._exit(0)
    """
    ended, _ = deed(tmp_path, hidden)
    assert ended == Ended(0, "")
    assert not psutil.pid_exists(int((tmp_path / "id").read_text()))


@pytest.mark.slow
def test_signals_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash is told from an exit, and secrets are not there to be printed."""
    monkeypatch.setenv("TOKEN", "hidden")
    ended, printed = deed(
        tmp_path, "print(dict(os.environ), flush=True); os.kill(os.getpid(), 11)"
    )
    assert ended.code == -11
    assert "OMP_NUM_THREADS" in printed
    assert "hidden" not in printed

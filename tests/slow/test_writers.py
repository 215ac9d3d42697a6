"""Many processes that compute into one store."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from mmbench.analysis.results import load
from mmbench.store.folder import Store
from mmbench.store.integrity import check

WORDS = ("-t", "bilinear", "-t", "dirac_gan", "-t", "quadratic")
WORDS += ("-a", "gda", "-a", "omd", "-a", "extragradient", "-a", "cgd")
WORDS += ("-a", "bad = failing.py:Failing", "--seeds", "4", "--steps", "300")
CELLS = 15
PROCESSES = 8

FAILING = '''
"""A method that fails now and then."""
from dataclasses import dataclass
import mmbench


@dataclass(frozen=True, kw_only=True)
class Failing(mmbench.Algorithm):
    """Fails at once."""

    source = mmbench.Source(authors="Nobody", year=2026, title="A failure")

    @property
    def cost(self):
        return mmbench.Cost()

    def step(self, oracle, z, state):
        raise ZeroDivisionError("three")
'''


def started(folder: Path, store: str) -> "subprocess.Popen[str]":
    """The command of a user, whose lines say what it computed."""
    return subprocess.Popen(
        [sys.executable, "-m", "mmbench", "run", *WORDS, "--store", store],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def computed(output: str) -> list[str]:
    """Cells that a command computed itself."""
    return re.findall(r"^\[\d+/\d+\] (.+ x .+?): \d+ runs, ", output, re.MULTILINE)


def assert_equals_one_process(folder: Path, store: str) -> None:
    """The table is that of one undisturbed process, and no file is left over."""
    started(folder, "alone").communicate(timeout=300)
    many, one = (
        load(folder / name).drop(columns="cell_seconds") for name in (store, "alone")
    )
    assert many["key"].nunique() == CELLS
    assert many.equals(one)
    assert [
        one for one in check(Store(folder / store)) if one.kind != "in progress"
    ] == []


def test_many_processes_share_a_store(tmp_path: Path) -> None:
    """The same command eight times at once: each cell once, or twice at most.

    One that ends with an error is tried again by each command that began after that.
    """
    (tmp_path / "failing.py").write_text(FAILING)
    running = [started(tmp_path, "many") for _ in range(PROCESSES)]
    outputs = [process.communicate(timeout=500)[0] for process in running]
    assert {one.returncode for one in running} == {1}  # as cells ended with an error
    times = Counter(name for output in outputs for name in computed(output))
    assert len(times) == CELLS
    assert max(n for name, n in times.items() if not name.endswith("bad")) <= 2
    assert all(n == 1 for output in outputs for n in Counter(computed(output)).values())
    assert_equals_one_process(tmp_path, "many")


def test_killed_processes_block_no_other(tmp_path: Path) -> None:
    """Some are killed at work; the others finish all cells, without a long wait."""
    (tmp_path / "failing.py").write_text(FAILING)
    running = [started(tmp_path, "many") for _ in range(4)]
    end = time.monotonic() + 120
    while time.monotonic() < end and not list((tmp_path).glob("many/*.lease")):
        time.sleep(0.01)
    for one in running[:2]:
        one.send_signal(signal.SIGKILL)
    outputs = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [-9, -9, 1, 1]
    assert "Traceback" not in "".join(outputs)
    assert_equals_one_process(tmp_path, "many")

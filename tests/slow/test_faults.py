"""The fault campaign: after any fault, the same command finishes its work.

Each trial starts a command, causes a fault at a random moment, and runs the command
again. The table is then that of an undisturbed run to the byte, no stored cell was
computed again, and no process and no file is left over.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fault_trials
import pytest
from fault_trials import Command, DaskCluster

from mmbench.store.folder import Store

WAYS = {
    "process": (),
    "child": ("--timeout", "300"),
    "workers": ("--workers", "2"),
    "workers, child": ("--workers", "2", "--timeout", "300"),
    "scheduler": (),  # its file is added
}
FAULT_WITHIN_SECONDS = 5.0  # of the first attempt
# How the command computes, its fault, and the number of trials.
TRIALS = (
    ("process", "main", 4),
    ("process", "SIGINT", 3),
    ("process", "SIGTERM", 2),
    ("process", "disk full", 3),
    ("process", "disk read-only", 2),
    ("child", "main", 3),
    ("child", "child", 3),
    ("child", "SIGINT", 2),
    ("child", "SIGTERM", 2),
    ("workers", "main", 4),
    ("workers", "worker", 4),
    ("workers", "SIGINT", 2),
    ("workers", "SIGTERM", 2),
    ("workers", "disk full", 2),
    ("workers", "disk read-only", 1),
    ("workers, child", "main", 1),
    ("workers, child", "worker", 3),
    ("scheduler", "main", 2),
    ("scheduler", "worker", 3),
    ("scheduler", "scheduler", 3),
    ("scheduler", "SIGINT", 1),
    ("scheduler", "SIGTERM", 1),
)
LIMITS = {
    "Hanging": ("--timeout", "20"),
    "Eating": ("--memory", "700M", "--timeout", "300"),
}
MISBEHAVING_TRIALS = (
    ("Hanging", "process", "main"),
    ("Hanging", "process", "SIGTERM"),
    ("Hanging", "workers", "worker"),
    ("Eating", "process", "main"),
    ("Eating", "workers", "worker"),
    ("Eating", "workers", "SIGINT"),
)
ENDS = {"main": -9, "SIGINT": 130, "SIGTERM": 130}  # exit codes that faults give


class Trial(NamedTuple):
    """One command and its fault."""

    way: str
    fault: str
    number: int
    misbehaving: str = ""

    @property
    def name(self) -> str:
        """Return the name that pytest shows."""
        return "-".join(
            (self.misbehaving or "well", self.way, self.fault, str(self.number))
        )


ALL = [
    *(Trial(way, fault, i) for way, fault, times in TRIALS for i in range(times)),
    *(
        Trial(way, fault, 0, misbehaving)
        for misbehaving, way, fault in MISBEHAVING_TRIALS
    ),
]


class Expected(NamedTuple):
    """The results of an undisturbed command."""

    table: bytes
    size: int  # bytes of its store


Machines = Callable[[], DaskCluster]


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Expected]:
    """Return the table of each suite, computed once by one process."""

    @cache
    def expected(misbehaving: str) -> Expected:
        folder = fault_trials.write_suite(
            tmp_path_factory.mktemp("undisturbed"), misbehaving
        )
        code, output = fault_trials.wait_for(
            fault_trials.start_command(folder, LIMITS.get(misbehaving, ()))
        )
        assert code == 1, output  # for some cells raise
        files = (folder / "store").iterdir()
        return Expected(
            fault_trials.table_of(folder), sum(one.stat().st_size for one in files)
        )

    return expected


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Yield a function that returns a running cluster, a new one if need be."""
    running: list[DaskCluster] = []

    def cluster() -> DaskCluster:
        if running and running[-1].scheduler.poll() is not None:
            running.pop().close()
        if not running:
            running.append(DaskCluster(tmp_path_factory.mktemp("machines")))
        return running[-1]

    yield cluster
    for one in running:
        one.close()


@pytest.mark.parametrize("trial", ALL, ids=lambda trial: trial.name)
def test_the_same_command_finishes_the_work(
    trial: Trial,
    undisturbed: Callable[[str], Expected],
    machines: Machines,
    tmp_path: Path,
) -> None:
    """After each fault; a command that ended before its fault is tried again."""
    chance, expected = random.Random(trial.name), undisturbed(trial.misbehaving)
    for attempt in range(6):
        folder = fault_trials.write_suite(tmp_path / str(attempt), trial.misbehaving)
        delay = chance.uniform(0, FAULT_WITHIN_SECONDS / 2**attempt)
        size = int(chance.uniform(0.1, 0.9) * expected.size)
        with _disk(trial, folder, size) as change:
            command = fault_trials.start_command(folder, _options(trial, machines))
            if fault_trials.wait_until_computing(command, folder / "store"):
                time.sleep(delay)
                _cause_fault(trial, command, machines, chance, change)
            code, output = fault_trials.wait_for(command)
            assert code in {1, ENDS.get(trial.fault, 1)}, output
            if _has_had_fault(trial.fault, code, output):
                change("rw,size=64m")
                print(f"{trial.name}: after {delay:.1f} s, attempt {attempt + 1}")
                _run_again(trial, folder, machines, expected)
                return
    pytest.fail("The command ended each time before its fault.")


def _disk(trial: Trial, folder: Path, size: int) -> Any:
    if trial.fault == "disk full":
        return fault_trials.small_disk(folder / "store", f"{size}")
    if trial.fault == "disk read-only":
        return fault_trials.small_disk(folder / "store", "64m")
    return nullcontext(lambda _: None)


def _options(trial: Trial, machines: Machines) -> list[str]:
    options = [*WAYS[trial.way], *LIMITS.get(trial.misbehaving, ())]
    if trial.way == "scheduler":
        options += ["--scheduler", str(machines().file)]
    return options


def _cause_fault(
    trial: Trial,
    command: Command,
    machines: Machines,
    chance: random.Random,
    change: Callable[[str], None],
) -> None:
    """Cause a fault."""
    if command.process.poll() is not None:
        return
    fault = trial.fault
    if fault == "main":
        command.process.kill()
    elif fault == "SIGINT":
        os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does
    elif fault == "SIGTERM":
        command.process.terminate()
    elif fault == "child" or (fault == "worker" and trial.way != "scheduler"):
        fault_trials.kill_process(command, "mmbench.runner.guardian", chance)
    elif fault == "scheduler":
        machines().scheduler.kill()
    elif fault == "disk read-only":
        change("ro")
    elif fault == "worker":
        machines().kill_worker(chance)


def _has_had_fault(fault: str, code: int, output: str) -> bool:
    """Return whether the fault came before the end of the command."""
    messages = {"disk full": "No space left", "disk read-only": "Read-only"}
    messages |= {"child": "SIGKILL", "scheduler": "must stay reachable"}
    return code == ENDS.get(fault, 1) and messages.get(fault, "") in output


def _run_again(
    trial: Trial, folder: Path, machines: Machines, expected: Expected
) -> None:
    """Run the same command again and check its results."""
    store = Store(folder / "store")
    before = fault_trials.complete_cells(store)
    code, output = fault_trials.wait_for(
        fault_trials.start_command(folder, _options(trial, machines))
    )
    assert code == 1, output
    assert "must stay reachable" not in output
    assert fault_trials.table_of(folder) == expected.table
    after = fault_trials.complete_cells(store)
    assert {key: after[key] for key in before} == before  # nothing twice
    fault_trials.assert_clean(folder)

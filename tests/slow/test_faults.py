"""The fault campaign: whatever befalls a command, the same command finishes its work.

Each trial lets a command begin, does it harm at a random moment, and runs it again.
Then the table is that of an undisturbed run to the byte, what had been stored was not
computed again, no process and no file is left over.
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

import faulty
import pytest
from faulty import Command, Elsewhere

from mmbench.store.folder import Store

WAYS = {
    "process": (),
    "child": ("--timeout", "300"),
    "workers": ("--workers", "2"),
    "workers, child": ("--workers", "2", "--timeout", "300"),
    "scheduler": (),  # its file is added
}
# Seconds of work within which a command is harmed, at first.
SPAN = 5.0
# How often each is tried: way, what befalls the command, times.
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
    ("workers, child", "worker", 2),
    ("workers, child", "child", 1),
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
ILL = (
    ("Hanging", "process", "main"),
    ("Hanging", "process", "SIGTERM"),
    ("Hanging", "workers", "worker"),
    ("Eating", "process", "main"),
    ("Eating", "workers", "worker"),
    ("Eating", "workers", "SIGINT"),
)
ENDS = {"main": -9, "SIGINT": 130, "SIGTERM": 130}  # exit codes that faults give


class Trial(NamedTuple):
    """One command and what befalls it."""

    way: str
    fault: str
    number: int
    ill: str = ""

    @property
    def name(self) -> str:
        """As pytest says it."""
        return "-".join((self.ill or "well", self.way, self.fault, str(self.number)))


ALL = [
    *(Trial(way, fault, i) for way, fault, times in TRIALS for i in range(times)),
    *(Trial(way, fault, 0, ill) for ill, way, fault in ILL),
]


class Expected(NamedTuple):
    """What comes of an undisturbed command."""

    table: bytes
    size: int  # bytes of its store


Machines = Callable[[], Elsewhere]


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Expected]:
    """The table of each suite, computed once by one process."""

    @cache
    def expected(ill: str) -> Expected:
        folder = faulty.folder_of(tmp_path_factory.mktemp("undisturbed"), ill)
        code, said = faulty.finished(faulty.started(folder, LIMITS.get(ill, ())))
        assert code == 1, said  # for some cells raise
        files = (folder / "store").iterdir()
        return Expected(faulty.table(folder), sum(one.stat().st_size for one in files))

    return expected


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A cluster that is there already; a new one after its scheduler has died."""
    running: list[Elsewhere] = []

    def cluster() -> Elsewhere:
        if running and running[-1].scheduler.poll() is not None:
            running.pop().close()
        if not running:
            running.append(Elsewhere(tmp_path_factory.mktemp("machines")))
        return running[-1]

    yield cluster
    for one in running:
        one.close()


@pytest.mark.parametrize("trial", ALL, ids=lambda one: one.name)
def test_the_same_command_finishes_the_work(
    trial: Trial,
    undisturbed: Callable[[str], Expected],
    machines: Machines,
    tmp_path: Path,
) -> None:
    """Whatever befell it; it is harmed earlier where it had ended by then."""
    chance, expected = random.Random(trial.name), undisturbed(trial.ill)
    for attempt in range(6):
        folder = faulty.folder_of(tmp_path / str(attempt), trial.ill)
        delay = chance.uniform(0, SPAN / 2**attempt)
        size = int(chance.uniform(0.1, 0.9) * expected.size)
        with _disk(trial, folder, size) as change:
            command = faulty.started(folder, _options(trial, machines))
            if faulty.at_work(command, folder / "store"):
                time.sleep(delay)
                _harm(trial.fault, command, machines, chance, change)
            code, said = faulty.finished(command)
            assert code in {1, ENDS.get(trial.fault, 1)}, said
            if _befallen(trial.fault, code, said):
                change("rw,size=64m")
                print(f"{trial.name}: after {delay:.1f} s, attempt {attempt + 1}")
                _again(trial, folder, machines, expected)
                return
    pytest.fail("The command had ended each time before anything befell it.")


def _disk(trial: Trial, folder: Path, size: int) -> Any:
    if trial.fault == "disk full":
        return faulty.small_disk(folder / "store", f"{size}")
    if trial.fault == "disk read-only":
        return faulty.small_disk(folder / "store", "64m")
    return nullcontext(lambda _: None)


def _options(trial: Trial, machines: Machines) -> list[str]:
    options = [*WAYS[trial.way], *LIMITS.get(trial.ill, ())]
    if trial.way == "scheduler":
        options += ["--scheduler", str(machines().file)]
    return options


def _harm(
    fault: str,
    command: Command,
    machines: Machines,
    chance: random.Random,
    change: Callable[[str], None],
) -> None:
    """Do to a command what is to befall it."""
    if command.process.poll() is not None:
        return
    if fault == "main":
        command.process.kill()
    elif fault == "SIGINT":
        os.killpg(command.process.pid, signal.SIGINT)  # as a terminal does
    elif fault == "SIGTERM":
        command.process.terminate()
    elif fault == "child":
        faulty.kill_one(command, "mmbench.runner.child_process", chance)
    elif fault == "scheduler":
        machines().scheduler.kill()
    elif fault == "disk read-only":
        change("ro")
    elif fault == "worker" and not faulty.kill_one(command, "spawn_main", chance):
        machines().kill_worker(chance)


def _befallen(fault: str, code: int, said: str) -> bool:
    """Whether the command had not ended before."""
    told = {"disk full": "No space left", "disk read-only": "Read-only"}
    told |= {"child": "SIGKILL", "scheduler": "must stay reachable"}
    return code == ENDS.get(fault, 1) and told.get(fault, "") in said


def _again(trial: Trial, folder: Path, machines: Machines, expected: Expected) -> None:
    """The same command again."""
    store = Store(folder / "store")
    before = faulty.sound(store)
    code, said = faulty.finished(faulty.started(folder, _options(trial, machines)))
    assert code == 1, said
    assert "must stay reachable" not in said
    assert faulty.table(folder) == expected.table
    after = faulty.sound(store)
    assert {key: after[key] for key in before} == before  # nothing twice
    faulty.assert_in_order(folder)

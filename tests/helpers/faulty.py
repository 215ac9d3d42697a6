"""A suite of cells that go wrong, commands that compute it, and what befalls these.

Every process of a trial carries a word in its environment, by which those that outlive
it are found.
"""

import contextlib
import csv
import io
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from mmbench.store.folder import Store
from mmbench.store.lease import STALE

MARK = "MMBENCH_TRIAL"
PATIENCE = 400  # seconds that a command may take on a machine that does other things
GRACE = 60  # seconds that a process may take to see that it is alone

SOURCE = '''
"""Methods that take their time, and methods that misbehave at their step 60."""
import time
from dataclasses import dataclass

import torch
from mmbench import Algorithm, Cost

HELD = []


@dataclass(frozen=True, kw_only=True)
class Slow(Algorithm):
    """Momentum with noise of its own."""

    cost = Cost(grad_x=1, grad_y=1)
    nap: float = 0.004
    at: int = 60

    def init(self, oracle, z):
        return torch.zeros_like(z), torch.zeros(len(z), dtype=torch.int64)

    def step(self, oracle, z, state):
        speed, step = state
        time.sleep(self.nap)
        if int(step[0]) == self.at:
            self.misbehave()
        speed = 0.9 * speed - 0.01 * oracle.field(z)
        return z + speed, (speed, step + 1)

    def misbehave(self):
        pass


class Failing(Slow):
    """Raises."""

    def misbehave(self):
        raise ZeroDivisionError("three")


@dataclass(frozen=True, kw_only=True)
class Nan(Slow):
    """Leaves the numbers."""

    def step(self, oracle, z, state):
        z, state = super().step(oracle, z, state)
        return torch.where((state[1] > self.at)[:, None], torch.nan * z, z), state


class Hanging(Slow):
    """Never comes back."""

    def misbehave(self):
        time.sleep(10_000)


class Eating(Slow):
    """Wants all there is."""

    def misbehave(self):
        while True:
            HELD.append(torch.ones(2_000_000))
            time.sleep(0.01)
'''

NET = "four_gaussians[hidden=4,noise=2,batch=8]"
SUITE = f"""
name = "faulty"

[[grid]]
tasks = ["{NET}"]
algorithms = ["slow = faulty_methods.py:Slow"]
metrics = ["sliced_wasserstein[samples=20]"]
seeds = 40
steps = 150
records = 5

[[grid]]
tasks = ["{NET}"]
algorithms = ["gda[direction=adam]"]
metrics = ["sliced_wasserstein[samples=20]"]
after = "slow"
keep = "all"
seeds = 40
steps = 50
records = 2

[[grid]]
tasks = ["bilinear", "dirac_gan"]
algorithms = [
    "gda",
    "cgd",
    "fails = faulty_methods.py:Failing",
    "leaves = faulty_methods.py:Nan",
]
seeds = 5
steps = 100
records = 10
"""
ILL = """
[[grid]]
tasks = ["bilinear"]
algorithms = ["ill = faulty_methods.py:{name}[nap=0.02]"]
seeds = 5
steps = 100
records = 5
"""
SHORT = f"""
name = "short"

[[grid]]
tasks = ["{NET}"]
algorithms = ["slow = faulty_methods.py:Slow", "fails = faulty_methods.py:Failing"]
metrics = ["sliced_wasserstein[samples=20]"]
seeds = 16
steps = 200
records = 4
"""


class Command(NamedTuple):
    """A user's command, at work.

    Args:
        process: of it.
        word: that it and its descendants carry.
        said: file of what it says.
    """

    process: "subprocess.Popen[bytes]"
    word: str
    said: Path


def folder_of(path: Path, ill: str = "", suite: str = SUITE) -> Path:
    """A folder with the suite, and an ill cell in it if one is named."""
    path.mkdir(exist_ok=True)
    (path / "faulty_methods.py").write_text(SOURCE)
    (path / "suite.toml").write_text(suite + (ILL.format(name=ill) if ill else ""))
    return path


def environment(word: str) -> dict[str, str]:
    """Of a command: checkpoints ten times a second."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "MMBENCH_CHECKPOINT": "0.1",
        MARK: word,
    }


def heed() -> None:
    """SIGINT is heeded, also where a shell's background job would ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(folder: Path, options: Sequence[str], store: str = "store") -> Command:
    """The suite's command, in a process group of its own as a terminal makes it."""
    word, said = uuid.uuid4().hex, folder / f"said-{uuid.uuid4().hex[:6]}.txt"
    words = ["run", "suite.toml", "--store", store, *options]
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mmbench", *words],
            cwd=folder,
            env=environment(word),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=heed,  # noqa: PLW1509  # no threads here
        )
    return Command(process, word, said)


def finished(command: Command) -> tuple[int, str]:
    """Its exit code and what it said; nothing of it may go on."""
    try:
        code = command.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        for one in family(command.word):  # a trial that hangs leaves nothing behind
            one.kill()
        raise AssertionError(command.said.read_text()) from None
    assert_alone(command.word)
    said = command.said.read_text()
    assert "Traceback" not in said, said
    return code, said


def family(word: str) -> list[psutil.Process]:
    """Living processes that carry the word."""
    found = []
    for one in psutil.process_iter():
        try:
            living = one.status() != psutil.STATUS_ZOMBIE
            if living and one.environ().get(MARK) == word:
                found.append(one)
        except psutil.Error:
            continue
    return found


def assert_alone(word: str) -> None:
    """All processes of a command end with it."""
    end = time.monotonic() + GRACE
    while (left := family(word)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left, [one.cmdline() for one in left]


def asked(folder: Path, *words: str) -> str:
    """What a verb prints."""
    return subprocess.run(
        [sys.executable, "-m", "mmbench", *words],
        cwd=folder,
        env=environment(""),
        capture_output=True,
        check=True,
    ).stdout.decode()


def table(folder: Path, store: str = "store") -> bytes:
    """`mmbench results --format csv`, without the clock."""
    words = ("results", "suite.toml", "--store", store, "--format", "csv")
    rows = list(csv.reader(io.StringIO(asked(folder, *words), newline="")))
    clock = rows[0].index("cell_seconds")
    told = io.StringIO()
    csv.writer(told).writerows(row[:clock] + row[clock + 1 :] for row in rows)
    return told.getvalue().encode()


def sound(store: Store) -> dict[str, tuple[int, ...] | None]:
    """Cells that are stored whole and without error, and when they were written."""
    if not store.folder.is_dir():
        return {}
    return {
        key: store.version(key)
        for key in store
        if not store.faults(key) and "error" not in store.footer(key)["outcomes"]
    }


def assert_in_order(folder: Path) -> None:
    """What dead work left is told and deleted, and nothing else is there."""
    store = folder / "store"
    for path in [*store.rglob("*"), store]:
        os.utime(path, (time.time() - 2 * STALE,) * 2)
    asked(folder, "store", "check", "--store", "store", "--repair")
    (line,) = asked(folder, "store", "check", "--store", "store").splitlines()
    assert line.endswith(", 0 damaged.")
    assert {path.suffix for path in store.iterdir()} <= {".parquet", ".safetensors"}


# ---- what befalls a command ----


def kill_one(command: Command, words: str, chance: random.Random) -> bool:
    """Kill one of its processes whose command line has the words, if there is one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = [
            one for one in family(command.word) if words in " ".join(one.cmdline())
        ]
        if found:
            chance.choice(found).kill()
            return True
    return False


def at_work(command: Command, store: Path) -> bool:
    """Wait until a cell is at work; whether the command goes on by then."""
    while command.process.poll() is None:
        if any(store.glob("*.lease")) or any(store.glob("parts/*/*.lease")):
            return True
        time.sleep(0.01)
    return False


# ---- machines and disks ----


class Elsewhere:
    """A scheduler and two workers of their own, started from different folders."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.word = folder, uuid.uuid4().hex
        self.file = folder / "scheduler.json"
        self.scheduler = self._started(
            "scheduler", "--scheduler-file", self.file, "--port", "0", "--no-dashboard"
        )
        self.workers = [
            self._started(
                "worker",
                "--scheduler-file",
                self.file,
                "--nthreads",
                "1",
                "--no-dashboard",
                at=name,
            )
            for name in ("one", "two")
        ]
        end = time.monotonic() + PATIENCE
        while not self.file.exists() and time.monotonic() < end:
            time.sleep(0.1)

    def _started(self, *words: object, at: str = "") -> "subprocess.Popen[bytes]":
        place = self.folder / at
        place.mkdir(parents=True, exist_ok=True)
        with (place / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *map(str, words)],
                cwd=place,
                env=environment(self.word) | {"MMBENCH_DATA": str(place)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_worker(self, chance: random.Random) -> None:
        """The process that computes; its nanny starts another one."""
        nanny = psutil.Process(chance.choice(self.workers).pid)
        for one in nanny.children():
            if "spawn_main" in " ".join(one.cmdline()):
                one.kill()

    def close(self) -> None:
        """End it all; nothing may be left."""
        for one in [*self.workers, self.scheduler]:
            if one.poll() is None:
                one.terminate()
        for one in [*self.workers, self.scheduler]:
            one.wait(GRACE)
        assert_alone(self.word)


def mounting(*words: object) -> None:
    """Run `mount` or the like; skip where that is not allowed."""
    try:
        subprocess.run([str(one) for one in words], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"{words[0]} is not permitted here: {error}")


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A disk of that size at a path; gives what changes its options."""
    path.mkdir()
    mounting("mount", "-t", "tmpfs", "-o", f"size={size}", "mmbench-tests", path)

    def change(options: str) -> None:
        for _ in range(500):  # a file being written keeps it from being read-only
            done = subprocess.run(
                ["mount", "-o", f"remount,{options}", str(path)],
                check=False,
                capture_output=True,
            )
            if done.returncode == 0:
                return
            time.sleep(0.01)
        raise OSError(done.stderr)

    try:
        yield change
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)

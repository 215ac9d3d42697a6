"""A suite with cells that misbehave, commands that compute it, and faults of these.

Every process of a trial has a token in its environment, by which processes that
outlive the trial are found.
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
from mmbench.store.lease import STALE_SECONDS

TRIAL_VARIABLE = "MMBENCH_TRIAL"
COMMAND_TIMEOUT_SECONDS = 400  # on a machine that has other work
EXIT_TIMEOUT_SECONDS = 60

SOURCE = '''
"""Slow methods, and methods that misbehave at their step 60."""
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
    """Raises an exception."""

    def misbehave(self):
        raise ZeroDivisionError("three")


@dataclass(frozen=True, kw_only=True)
class Nan(Slow):
    """Moves to NaN."""

    def step(self, oracle, z, state):
        z, state = super().step(oracle, z, state)
        return torch.where((state[1] > self.at)[:, None], torch.nan * z, z), state


class Hanging(Slow):
    """Does not return."""

    def misbehave(self):
        time.sleep(10_000)


class Eating(Slow):
    """Allocates memory until there is none."""

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
MISBEHAVING = """
[[grid]]
tasks = ["bilinear"]
algorithms = ["misbehaves = faulty_methods.py:{name}[nap=0.02]"]
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
    """A running command of a user.

    Args:
        process: the command's process.
        token: in the environment of the process and its descendants.
        output: file of its standard output and error.
    """

    process: "subprocess.Popen[bytes]"
    token: str
    output: Path


def write_suite(path: Path, misbehaving: str = "", suite: str = SUITE) -> Path:
    """Write the suite to a folder, with a misbehaving cell if one is named."""
    path.mkdir(exist_ok=True)
    (path / "faulty_methods.py").write_text(SOURCE)
    extra = MISBEHAVING.format(name=misbehaving) if misbehaving else ""
    (path / "suite.toml").write_text(suite + extra)
    return path


def environment(token: str) -> dict[str, str]:
    """Return the environment of a command that writes ten checkpoints a second."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "MMBENCH_CHECKPOINT": "0.1",
        TRIAL_VARIABLE: token,
    }


def restore_sigint() -> None:
    """Let SIGINT end the process, also in a background job, which would ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_command(
    folder: Path, options: Sequence[str], store: str = "store"
) -> Command:
    """Start the suite's command in a process group of its own, as a terminal does."""
    token, output = uuid.uuid4().hex, folder / f"output-{uuid.uuid4().hex[:6]}.txt"
    words = ["run", "suite.toml", "--store", store, *options]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mmbench", *words],
            cwd=folder,
            env=environment(token),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=restore_sigint,  # noqa: PLW1509  # no threads here
        )
    return Command(process, token, output)


def wait_for(command: Command) -> tuple[int, str]:
    """Return a command's exit code and output; none of its processes may be left."""
    try:
        code = command.process.wait(COMMAND_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        for process in processes_of(command.token):
            process.kill()
        raise AssertionError(command.output.read_text()) from None
    assert_no_process_left(command.token)
    output = command.output.read_text()
    assert "Traceback" not in output, output
    assert "leaked" not in output, output  # of a resource tracker
    return code, output


def processes_of(token: str) -> list[psutil.Process]:
    """Return running processes that have the token in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            running = process.status() != psutil.STATUS_ZOMBIE
            if running and process.environ().get(TRIAL_VARIABLE) == token:
                found.append(process)
        except psutil.Error:
            continue
    return found


def assert_no_process_left(token: str) -> None:
    """Check that all processes of a command end with it."""
    end = time.monotonic() + EXIT_TIMEOUT_SECONDS
    while (left := processes_of(token)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left, [process.cmdline() for process in left]


def output_of(folder: Path, *words: str) -> str:
    """Return what a verb of the command line prints."""
    return subprocess.run(
        [sys.executable, "-m", "mmbench", *words],
        cwd=folder,
        env=environment(""),
        capture_output=True,
        check=True,
    ).stdout.decode()


def table_of(folder: Path, store: str = "store") -> bytes:
    """Return the output of `mmbench results --format csv` without wall-clock times."""
    words = ("results", "suite.toml", "--store", store, "--format", "csv")
    rows = list(csv.reader(io.StringIO(output_of(folder, *words), newline="")))
    clock = rows[0].index("cell_seconds")
    written = io.StringIO()
    csv.writer(written).writerows(row[:clock] + row[clock + 1 :] for row in rows)
    return written.getvalue().encode()


def complete_cells(store: Store) -> dict[str, tuple[int, ...] | None]:
    """Return complete cells without errors, and the versions of their files."""
    if not store.folder.is_dir():
        return {}
    return {
        key: store.version(key)
        for key in store
        if not store.faults(key) and "error" not in store.footer(key)["outcomes"]
    }


def assert_clean(folder: Path) -> None:
    """Check that a repair deletes what ended work left, and finds nothing else."""
    store = folder / "store"
    for path in [*store.rglob("*"), store]:
        os.utime(path, (time.time() - 2 * STALE_SECONDS,) * 2)
    output_of(folder, "store", "check", "--store", "store", "--repair")
    (line,) = output_of(folder, "store", "check", "--store", "store").splitlines()
    assert line.endswith(", 0 damaged.")
    assert {path.suffix for path in store.iterdir()} <= {".parquet", ".safetensors"}


# ---- faults of a command ----


def kill_process(command: Command, words: str, chance: random.Random) -> bool:
    """Kill one process of a command by words of its command line, if there is one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        found = [
            process
            for process in processes_of(command.token)
            if words in " ".join(process.cmdline())
        ]
        if found:
            chance.choice(found).kill()
            return True
    return False


def wait_until_computing(command: Command, store: Path) -> bool:
    """Wait until a cell is computed; return False if the command ends before."""
    while command.process.poll() is None:
        if any(store.glob("*.lease")) or any(store.glob("parts/*/*.lease")):
            return True
        time.sleep(0.01)
    return False


# ---- machines and disks ----


class DaskCluster:
    """A Dask scheduler and two workers, started from different folders."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, uuid.uuid4().hex
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
        end = time.monotonic() + COMMAND_TIMEOUT_SECONDS
        while not self.file.exists() and time.monotonic() < end:
            time.sleep(0.1)

    def _started(self, *words: object, at: str = "") -> "subprocess.Popen[bytes]":
        place = self.folder / at
        place.mkdir(parents=True, exist_ok=True)
        with (place / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *map(str, words)],
                cwd=place,
                env=environment(self.token) | {"MMBENCH_DATA": str(place)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_worker(self, chance: random.Random) -> None:
        """Kill a process that computes; its nanny starts another one."""
        nanny = psutil.Process(chance.choice(self.workers).pid)
        for one in nanny.children():
            if "spawn_main" in " ".join(one.cmdline()):
                one.kill()

    def close(self) -> None:
        """End all processes, and check that none is left."""
        for one in [*self.workers, self.scheduler]:
            if one.poll() is None:
                one.terminate()
        for one in [*self.workers, self.scheduler]:
            one.wait(EXIT_TIMEOUT_SECONDS)
        assert_no_process_left(self.token)


def run_mount(*words: object) -> None:
    """Run `mount` or a similar command; skip the test where that is not allowed."""
    try:
        subprocess.run([str(one) for one in words], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"{words[0]} is not permitted here: {error}")


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount a disk of a size at a path; yield a function that changes its options."""
    path.mkdir()
    run_mount("mount", "-t", "tmpfs", "-o", f"size={size}", "mmbench-tests", path)

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

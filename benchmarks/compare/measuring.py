"""How the comparisons measure: clocks, rounds, and the rows of the report.

The arms of a comparison alternate in rounds, after uncounted calls of each, which warm
caches and compile. An arm that takes milliseconds is called several times in a row, and
a round is their mean: the first call after other work finds nothing in the caches, and
is no measure of an arm. Ratios are taken within a round, and their median over rounds
is reported, so that changes of the machine's speed between rounds affect no ratio.
"""

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

PEERS = Path(__file__).parent / "peers"

Arm = Callable[[], float]  # runs one round and returns CPU seconds for each unit
Times = dict[str, list[float]]

ROUND_SECONDS = 0.05  # of a round at least, so that its first call is a small part


class Options(NamedTuple):
    """Options of the command line.

    Args:
        rounds: rounds that are counted.
        peers: the interpreter that has what mmbench is compared with.
        small: whether sizes are reduced for a test, so that times mean nothing.
    """

    rounds: int
    peers: str
    small: bool

    def size(self, full: int, small: int) -> int:
        """Return the full size, or the small one in a test."""
        return small if self.small else full


class Row(NamedTuple):
    """One line of the report.

    Args:
        what: what is measured.
        values: one for each round; none where it could not be measured.
        unit: "x", "%", "s", "ms", "kB" or "".
        floor: the value that must be reached; None where there is no requirement.
        aim: the value that should be reached.
        higher: whether more is better.
        notes: times of the arms, or why it was not measured.
        limit: what limits it, format_time where the floor or the aim is not reached.
    """

    what: str
    values: Sequence[float]
    unit: str = "x"
    floor: float | None = None
    aim: float | None = None
    higher: bool = True
    notes: str = ""
    limit: str = ""


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this thread that some work takes."""
    before = time.thread_time()
    work()
    return time.thread_time() - before


def alternate(arms: Mapping[str, Arm], rounds: int) -> Times:
    """Return CPU seconds of every arm in every round, after uncounted calls of each."""
    counts = {}
    for name, arm in arms.items():
        arm()
        begun = time.perf_counter()
        arm()
        counts[name] = math.ceil(ROUND_SECONDS / (time.perf_counter() - begun))
    times: Times = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            calls = [arm() for _ in range(counts[name])]
            times[name].append(statistics.fmean(calls))
    return times


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def format_time(seconds: float) -> str:
    """Format a time with a fitting unit."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def medians(times: Times, unit: str) -> str:
    """Format the median of each arm."""
    parts = [f"{name} {format_time(median(values))}" for name, values in times.items()]
    return f"{', '.join(parts)} {unit}"


# ---- arms in another process ----


def pathless(sentence: str) -> str:
    """Remove paths from a sentence."""
    return " ".join(word for word in sentence.split() if "/" not in word)


class PeerError(Exception):
    """A peer is not installed, a command failed, or the machine has too few cores."""


class Peer:
    """A library in a process of its own, which runs one round for each line it reads.

    Args:
        python: its interpreter.
        script: a file of `peers/`; it prints a line of JSON when it is ready, and one
            for each round.
        words: arguments of the script.
    """

    def __init__(self, python: str, script: str, *words: object) -> None:
        self._process = subprocess.Popen(
            [python, str(PEERS / script), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self.last = self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            last = self._process.communicate()[1].strip().splitlines()
            raise PeerError(pathless(last[-1] if last else "ended without output"))
        return json.loads(line)

    def __call__(self) -> float:
        """Run one round and return the CPU seconds of the process, all threads."""
        with suppress(BrokenPipeError):  # it has ended; the answer says why
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        self.last = self._answer()
        return self.last["seconds"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Peers:
    """The peers of a comparison, and for those that are missing the reason."""

    def __init__(self, options: Options, stack: ExitStack) -> None:
        self._options, self._stack = options, stack
        self.arms: dict[str, Peer] = {}
        self.missing: dict[str, str] = {}

    def add(self, name: str, script: str, *words: object) -> None:
        """Start a peer and run a round of it, or record why one of these failed."""
        try:
            peer = Peer(self._options.peers, script, *words)
            self._stack.callback(peer.close)
            peer()
        except PeerError as error:
            self.missing[name] = str(error)
        else:
            self.arms[name] = peer

    def row(self, name: str, row: Row) -> Row:
        """Return the row, or one that states why it was not measured."""
        if name not in self.missing:
            return row
        return row._replace(values=(), notes=f"not measured: {self.missing[name]}")


@contextmanager
def peers_of(options: Options):
    """Give peers that end with the comparison."""
    with ExitStack() as stack:
        yield Peers(options, stack)


# ---- whole commands ----


class Spent(NamedTuple):
    """CPU and elapsed seconds of a command, and bytes that it printed."""

    cpu: float
    wall: float
    printed: int


def command(words: Sequence[str], folder: Path) -> Spent:
    """Run a command to its end, start-up included.

    Raises:
        PeerError: with its last line, when it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        done = subprocess.run(
            words, cwd=folder, stdout=printed, stderr=printed, check=False
        )
        wall = time.perf_counter() - begun
        printed.seek(0)
        content = printed.read()
    if done.returncode:
        last = content.decode(errors="replace").strip().splitlines()
        raise PeerError(pathless(last[-1]) if last else f"exit {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(cpu, wall, len(content))


CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}


def use_one_core() -> None:
    """Use one thread and one core, in this process and its children."""
    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(CORES)})


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Give so many cores to the children that are started within the block.

    Raises:
        PeerError: when there are fewer.
    """
    if len(CORES) < count:
        raise PeerError(f"there are fewer than {count} cores")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(CORES)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


PYTHON = sys.executable

"""Clocks, rounds, rows: how everything here is measured.

The arms of a comparison take turns, round by round, after one call each that does not
count, which warms caches and compiles. Ratios are those of a round, and the median over
rounds is what is told: a machine's mood between rounds then touches no ratio.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

PEERS = Path(__file__).parent / "peers"

Arm = Callable[[], float]  # does one round; gives CPU seconds of whatever is the unit
Times = dict[str, list[float]]


class Options(NamedTuple):
    """What the command line asks for.

    Args:
        rounds: turns that each arm takes.
        peers: the interpreter in which JAX, benchopt and CGDs are looked for.
        small: whether sizes are so small that numbers mean nothing.
    """

    rounds: int
    peers: str
    small: bool

    def size(self, full: int, small: int) -> int:
        """A size, or what stands for it where numbers do not matter."""
        return small if self.small else full


class Row(NamedTuple):
    """One line of the report.

    Args:
        what: is measured.
        values: one a round; none where it could not be measured.
        unit: "x", "%", "s", "ms", "kB" or "".
        floor: what must be reached; None where nothing is asked.
        aim: what should be.
        higher: whether more is better.
        told: the arms, in words.
        limit: what limits it, told where the floor or the aim is not reached.
    """

    what: str
    values: Sequence[float]
    unit: str = "x"
    floor: float | None = None
    aim: float | None = None
    higher: bool = True
    told: str = ""
    limit: str = ""


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this thread that the work takes."""
    before = time.thread_time()
    work()
    return time.thread_time() - before


def in_turns(arms: Mapping[str, Arm], rounds: int) -> Times:
    """CPU seconds of every arm in every round; the first call of each is left out."""
    for arm in arms.values():
        arm()
    times: Times = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            times[name].append(arm())
    return times


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, how many times the second goes into the first."""
    return [a / b for a, b in zip(above, below, strict=True)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def shown(seconds: float) -> str:
    """A time, in the unit that suits it."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def medians(times: Times, unit: str) -> str:
    """Each arm's median, in words."""
    parts = [f"{name} {shown(median(values))}" for name, values in times.items()]
    return f"{', '.join(parts)} {unit}"


# ---- arms in another process ----


def pathless(sentence: str) -> str:
    """Words that are no path."""
    return " ".join(word for word in sentence.split() if "/" not in word)


class PeerError(Exception):
    """A peer is not installed, or broke down."""


class Peer:
    """A library in a process of its own, which does one round whenever it is told to.

    Args:
        python: its interpreter.
        script: of `peers/`; it prints a line of JSON when it is ready and one a round.
        words: given to the script.
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
            raise PeerError(pathless(last[-1] if last else "ended without a word"))
        return json.loads(line)

    def __call__(self) -> float:
        """One round; CPU seconds of the whole process, all its threads."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self.last = self._answer()
        return self.last["seconds"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Peers:
    """The peers of a comparison that are there; of the others, why they are not."""

    def __init__(self, options: Options, stack: ExitStack) -> None:
        self._options, self._stack = options, stack
        self.arms: dict[str, Peer] = {}
        self.missing: dict[str, str] = {}

    def add(self, name: str, script: str, *words: object) -> None:
        """Start one, if it is there."""
        try:
            peer = Peer(self._options.peers, script, *words)
        except PeerError as error:
            self.missing[name] = str(error)
        else:
            self._stack.callback(peer.close)
            self.arms[name] = peer

    def row(self, name: str, row: Row) -> Row:
        """The row, or why it could not be measured."""
        if name not in self.missing:
            return row
        return row._replace(values=(), told=f"not measured: {self.missing[name]}")


@contextmanager
def peers_of(options: Options):
    """Peers that are ended with the comparison."""
    with ExitStack() as stack:
        yield Peers(options, stack)


# ---- whole commands ----


class Spent(NamedTuple):
    """What a command took."""

    cpu: float
    wall: float
    printed: int


def command(words: Sequence[str], folder: Path) -> Spent:
    """Run a command to its end, start-up included.

    Raises:
        PeerError: with its last words, when it fails.
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


def alone() -> None:
    """One thread and one core, for this process and all that it starts."""
    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


PYTHON = sys.executable

"""Rows of whole commands, start-up included, and of the overhead of the harness."""

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from benchmarks.compare.cells import EAGER, cell_of
from benchmarks.compare.measuring import (
    PYTHON,
    Options,
    PeerError,
    Row,
    Spent,
    command,
    cpu_seconds,
    format_time,
    median,
    on_cores,
)
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.oracle import Oracle
from mmbench.engine.chunk import Chunk
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import run_cell
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite
from mmbench.tasks._data_files import DATA_VARIABLE

PROBE = Path(__file__).parents[1] / "benchopt_probe"
MMBENCH = (PYTHON, "-m", "mmbench")
RULES = ("gda", "extragradient", "omd")
RECORDS = 11  # evenly spaced; with the powers of two before them, 19
START_UP = "start-up: loading torch, half of it"


def probe(options: Options) -> Iterator[Row]:
    """Measure 3 rules x 20 seeds x 1000 iterations on xy, benchopt against mmbench."""
    seeds = options.size(20, 2)
    ours: dict[str, list[Spent]] = {"cold": [], "cached": []}
    theirs: dict[str, list[Spent]] = {"cold": [], "cached": []}
    missing = ""
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for spent in ours.values():
                spent.append(_mmbench(Path(folder), seeds))
            if missing:
                continue
            try:
                for spent in theirs.values():
                    spent.append(_benchopt(Path(folder), seeds, options.peers))
            except PeerError as error:
                missing = str(error)
    targets = {"cold": (3.5, 5), "cached": (2.5, 4)}
    for kind, (floor, aim) in targets.items():
        pairs = list(zip(theirs[kind], ours[kind], strict=False))
        notes = f"mmbench {_medians_of(ours[kind])}"
        notes += f", benchopt {_medians_of(theirs[kind])}" if pairs else f"; {missing}"
        what = f"the benchopt probe, 3 rules x {seeds} seeds x 1000 iterations, {kind}"
        values = [a.cpu / b.cpu for a, b in pairs]
        limit = START_UP
        yield Row(f"{what}, CPU", values, "x", floor, aim, True, notes, limit)
        yield Row(f"{what}, elapsed", [a.wall / b.wall for a, b in pairs])
    runs = 3 * seeds
    values = [one.cpu for one in ours["cached"]]
    what = f"rerun of {runs} runs, all stored"
    yield Row(what, values, "s", 1.5, 1.5, False, limit=START_UP)
    values = [one.printed / 1000 for one in ours["cold"]]
    notes = f"benchopt {theirs['cold'][0].printed / 1000:.0f} kB" if not missing else ""
    what = f"log of {runs} runs, not a terminal"
    yield Row(what, values, "kB", 5, 5, False, notes)


def _medians_of(spent: list[Spent]) -> str:
    cpu, wall = (median([one[i] for one in spent]) for i in range(2))
    return f"{format_time(cpu)} of CPU in {format_time(wall)}"


def _mmbench(folder: Path, seeds: int) -> Spent:
    rules = [word for rule in RULES for word in ("-a", rule)]
    sizes = ("--seeds", seeds, "--steps", 1000, "--records", RECORDS)
    words = (*MMBENCH, "run", "-t", "bilinear", *rules, *sizes, "--store", "store")
    return command(tuple(map(str, words)), folder)


def _benchopt(folder: Path, seeds: int, python: str) -> Spent:
    if not (folder / "probe").exists():
        shutil.copytree(PROBE, folder / "probe")
    words = (python, "-m", "benchopt", "run", ".", "-r", str(seeds), "--no-plot")
    return command((*words, "--no-timeout"), folder / "probe")


def start_up(options: Options) -> Iterator[Row]:
    """Measure the shortest commands."""
    for verb in ("--version", "list"):
        values = []
        for _ in range(options.rounds + 1):
            with tempfile.TemporaryDirectory() as folder:
                values.append(command((*MMBENCH, verb), Path(folder)).cpu)
        what = f"mmbench {verb}"
        yield Row(what, values[1:], "s", 0.3, 0.3, False, limit="loading modules")


# ---- two cores against one ----

WAITING = (
    "what is done beside the cells: one core loads torch, 0.8 s, and what traces of "
    "steps need, so that the first cells begin after 1.3 s; a worker waits a hundredth "
    "of a second for each next cell; the last worker ends up to a second after the "
    "first; the command checks and tells what is stored, 0.3 s"
)
GAN_STEPS = 8  # of each run, so that the suite takes about a minute of one core


def cores(options: Options) -> Iterator[Row]:
    """Measure suites with default options in new stores, on two cores and on one."""
    of_gan = ["--steps", str(GAN_STEPS)]
    few = ["--seeds", "1", "--steps", "1"] if options.small else []
    for words, floor, aim in (
        (["run", "quick", *few], 1.7, 1.9),
        (["run", "gan", *(few or of_gan)], 1.8, 1.95),
    ):
        what = f"mmbench {' '.join(words)}, two cores against one, elapsed"
        row = Row(what, (), floor=floor, aim=aim, limit=WAITING)
        spent: dict[int, list[Spent]] = {1: [], 2: []}
        try:
            for _ in range(options.rounds + 1):
                for count, found in spent.items():
                    found.append(_run_on(count, words))
        except PeerError as error:
            yield row._replace(notes=f"not measured: {error}")
            continue
        one, two = (found[1:] for found in spent.values())
        values = [a.wall / b.wall for a, b in zip(one, two, strict=True)]
        notes = f"one core {_medians_of(one)}, two cores {_medians_of(two)}"
        yield row._replace(values=values, notes=notes)


def _run_on(count: int, words: list[str]) -> Spent:
    """Run a command of mmbench on so many cores.

    Raises:
        PeerError: when there are fewer cores, data are missing, or it fails.
    """
    if "gan" in words and DATA_VARIABLE not in os.environ:
        raise PeerError(f"{DATA_VARIABLE} is not set")
    with tempfile.TemporaryDirectory() as folder, on_cores(count):
        return command((*MMBENCH, *words, "--store", "store"), Path(folder))


# ---- what the harness adds to a run ----


@final
@dataclass(frozen=True, kw_only=True)
class Still(Algorithm):
    """An algorithm that returns its iterate, so that the harness alone is measured."""

    identity: float = 0.0

    @property
    def cost(self) -> Cost:
        """No cost."""
        return Cost()

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Return a copy of the iterate."""
        return z.clone(), state


def harness(options: Options) -> Iterator[Row]:
    """Measure 60 runs of a method that does nothing, in three cells, stored."""
    grid = Grid(
        tasks=("bilinear",),
        algorithms=tuple(Still(identity=float(number)) for number in range(3)),
        seeds=20,
        steps=1000,
        records=RECORDS,
    )
    cells = plan(Suite(name="still", grids=(grid,)))
    values = []
    for _ in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "store")
            spent = cpu_seconds(lambda store=store: execute(cells, store))
            values.append(1000 * spent / 60)
    what = f"the harness alone, a run of 1000 steps, {len(cells[0].schedule)} records"
    limit = "the loop over steps, metrics and files"
    yield Row(what, values[1:], "ms", 3, 3, False, limit=limit)


# ---- memory ----


def memory(options: Options) -> Iterator[Row]:
    """Measure the growth of peak memory with runs, of a cell and of a step."""
    runs = (128, options.size(8192, 256))
    yield _constant(
        "a cell of bilinear GDA, 51 records", _cell_peak, runs, "records of every run"
    )
    for rule in ("gda", "cgd"):
        what = f"four Gaussians h=64, a step of {rule.upper()}, runs side by side"
        limit = "the graph of a step, until its gradients are there"
        yield _constant(what, _step_peak, (8, options.size(256, 16)), limit, rule)


def _constant(
    what: str, peak: Callable, runs: tuple[int, int], limit: str, *words: str
) -> Row:
    """Return the memory of each further run; the middle shows whether it is linear."""
    few, many = runs
    middle = (few + many) // 2
    at = {one: _alone(peak, one, *words) for one in (few, middle, many)}
    each = 1000 * (at[many] - at[few]) / (many - few)
    bent = (at[middle] - at[few]) / max(at[many] - at[few], 1e-9)
    parts = ", ".join(f"{n} runs {one:.0f} MB" for n, one in at.items())
    notes = f"{parts}; halfway {bent:.0%} of the growth (a straight line has 50 %)"
    return Row(f"memory a run, {what}", [each], "kB", notes=notes, limit=limit)


def _alone(peak: Callable, *words: object) -> float:
    """Return the peak memory in MB of a process that does only this."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(peak, words)
        return pool.apply(_peak)


def _peak() -> float:
    # getrusage would report the peak of the parent process.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _cell_peak(runs: int) -> None:
    torch.set_num_threads(1)
    run_cell(cell_of("bilinear", "gda", runs=runs, steps=1000))


def _step_peak(runs: int, rule: str) -> None:
    torch.set_num_threads(1)
    of = "four_gaussians[hidden=64,noise=2,batch=128,loss=saturating]"
    cell = cell_of(of, rule, runs=runs, steps=2, records=1)
    recording = Recording(cell, cell.seeds)
    chunk = Chunk(cell, EAGER, runs, recording, None)
    z, state = chunk.z, chunk.state
    for _ in range(2):
        chunk.oracle.resample()
        z, state = cell.algorithm.step(chunk.oracle, z, state)

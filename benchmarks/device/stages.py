"""The stages of the campaign, each in a process of its own: see `campaign.sh`.

    python -m benchmarks.device.stages STAGE [--device cuda] [--seconds 60] [--tiny]

Each finding is a line of JSON in `$OUT/STAGE.jsonl` as soon as it is known, so that it
is kept when the stage's time is up.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
import torch
from spec_variants import ALGORITHM_VARIANTS, TASK_VARIANTS
from torch.profiler import profile as torch_profile

from benchmarks.compare import loops
from benchmarks.compare.cells import cell_of
from benchmarks.compare.gaussians import NOISE, gan_cell
from benchmarks.device.pretended import CUDA
from benchmarks.device.recorded import recorded_graphs
from benchmarks.images import Batched, PlainLoop, seconds
from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import needs_of
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.run_batch import RunBatch
from mmbench.engine.run_cell import arithmetic, run_cell
from mmbench.runner.plan import plan
from mmbench.runner.provenance import provenance
from mmbench.suites import SUITES
from mmbench.tasks import TASKS, _cifar10_data

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-9  # of float64 iterates after four steps; more is no rounding
COUNTED = ("grad_x", "grad_y", "hvps", "values", "samples")
SETTINGS = ("WGAN-NOREG + Adam", "WGAN-NOREG + ACGD", "WGAN-GP + Adam")
TOYS = {
    "bilinear": "gda",
    "quadratic": "acgd",
    "four_gaussians": "gda[direction=adam,step_size=0.001]",
}
# On images, methods that ask different things of the game.
ON_IMAGES = (
    *("gda[direction=adam]", "alternating_gda[first=y,k=2]", "unrolled[k=1]"),
    *("extragradient[minibatch=fresh]", "acgd[step_size=0.0001,iterations=5]"),
)
ON_GAUSSIANS = (
    *("gda", "extragradient[direction=adam]", "alternating_gda[direction=adam,k=2]"),
    *("unrolled", "acgd[iterations=2]", "accept_reject"),
    *("acgd", "stackelberg[iterations=9]"),  # captured in pieces
)
SMALL_IMAGES = "channels=2,noise=4,batch=4,images=50"


class Stage(NamedTuple):
    """What a stage is given.

    Args:
        name: name of the stage.
        device: device that is measured.
        limit: seconds that the stage may take.
        tiny: whether sizes are reduced for a test.
    """

    name: str
    device: torch.device
    limit: float
    tiny: bool

    def size(self, full: int, tiny: int) -> int:
        """Return the full size, or the small one in a test."""
        return tiny if self.tiny else full

    def note(self, **row: Any) -> None:
        """Write a finding."""
        out = Path(os.environ.get("OUT", "out"))
        out.mkdir(parents=True, exist_ok=True)
        line = json.dumps(row, default=str)
        with (out / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)

    @contextmanager
    def noting_errors(self, **row: Any) -> Iterator[None]:
        """Write an error as a finding, so that the others are made."""
        try:
            yield
        except Exception as error:
            self.note(**row, error=repr(error)[:300])

    def timed(self, step: Callable[[], Any], steps: int) -> float:
        """Return the median milliseconds of a step, after a warm-up."""
        step()
        rounds = self.size(3, 1)
        found = [seconds(step, steps, self.device) for _ in range(rounds)]
        return 1e3 * statistics.median(found)


def use_files_that_are_there() -> bool:
    """Let CIFAR10 consist of the files in MMBENCH_DATA; return whether they do.

    At least one file of each split has to be there. Checksums are checked as ever.
    """
    folder = Path(os.environ.get("MMBENCH_DATA", os.devnull)) / "cifar-10-batches-bin"
    there = {
        split: tuple(file for file in files if (folder / file.name).is_file())
        for split, files in _cifar10_data._FILES.items()  # noqa: SLF001
    }
    if not all(there.values()):
        return False
    _cifar10_data._FILES = there  # noqa: SLF001
    return True


def image_cells(stage: Stage) -> Iterator[Cell]:
    """Yield cells of the suite `icr_cifar10`, if its images are there."""
    if not use_files_that_are_there():
        stage.note(missing="CIFAR10")
        return
    small = {"channels": 4, "batch": 8, "images": 200} if stage.tiny else {}
    for cell in plan(SUITES["icr_cifar10"]):
        if cell.label in SETTINGS[stage.size(0, 2) :]:
            yield replace(cell, task=replace(cell.task, **small), metrics=())


# ---- stages ----


def environment(stage: Stage) -> None:
    """Note versions and what the device gives at most."""
    stage.note(**provenance(str(stage.device)))
    side, device = stage.size(8192, 64), stage.device
    for dtype in (torch.float32, torch.float64):
        a = torch.randn(side, side, device=device, dtype=dtype)
        ms = stage.timed(lambda a=a: a @ a, 2)
        stage.note(product=dtype, tflops=2e-9 * side**3 / ms)
    x = torch.zeros(16, device=device)
    many = stage.size(1000, 10)
    stage.note(operation_us=1e3 * stage.timed(lambda: x.add(1), many))
    stage.note(look_us=1e3 * stage.timed(lambda: bool(x[0] > 0), many))
    on_host = torch.empty(stage.size(2**26, 2**10))
    ms = stage.timed(lambda: on_host.to(device, copy=True), 2)
    stage.note(copy_gb_s=on_host.nbytes / ms / 1e6)


def tests(stage: Stage) -> None:
    """Run the tests that need a CUDA device."""
    use_files_that_are_there()
    out = Path(os.environ.get("OUT", "out")) / "tests.xml"
    words = [f"--junitxml={out}", "-q", "--maxfail=20", "-p", "no:cacheprovider"]
    words += ["-o", "filterwarnings=default"]  # other versions may warn
    code = pytest.main([str(ROOT / "tests" / "test_cuda.py"), *words])
    stage.note(exit=int(code))
    if code:
        sys.exit(int(code))


def parity(stage: Stage) -> None:
    """Compare short runs in float64 with those of the CPU, every task and method."""
    pairs = [(task, one) for task in TASK_VARIANTS for one in methods()]
    pairs = pairs[:: stage.size(1, len(pairs) // 4)]
    if use_files_that_are_there():
        pairs += [
            (f"cifar10[{SMALL_IMAGES}{more}]", one)
            for more in ("", ",penalty=10,shared=false", ",spectral=true")
            for one in ON_IMAGES[: stage.size(len(ON_IMAGES), 1)]
        ]
    worst, compared = 0.0, 0
    for task, method in pairs:
        if not needs_of(ALGORITHMS.build(method)) <= TASKS.build(task).gives:
            continue
        with stage.noting_errors(task=task, method=method):
            gap = gap_to_cpu(stage, task, method)
            worst, compared = max(worst, gap), compared + 1
    stage.note(compared=compared, worst_gap=worst)


def methods() -> list[str]:
    """Return specs of every algorithm but the one with 500 ascents in a step."""
    every = (*ALGORITHMS, *ALGORITHM_VARIANTS)
    return [one for one in every if not one.startswith("accept_reject_search")]


def gap_to_cpu(stage: Stage, task: str, method: str) -> float:
    """Return the relative distance of the device's last iterates; note a large one."""
    metrics = ("losses[minibatches=1]",) if task.startswith("cifar10") else ()
    cell = cell_of(task, method, runs=3, steps=4, records=1, metrics=metrics)
    cell = replace(cell, dtype="float64", keep="last")
    places = (torch.device("cpu"), stage.device)
    cpu, there = (run_cell(cell, Placement(one)) for one in places)
    if cpu.reason or there.reason:
        raise RuntimeError(cpu.reason or there.reason)
    z, other = cpu.iterates["z"], there.iterates["z"]
    gap = float(np.linalg.norm(z - other) / max(1e-300, np.linalg.norm(z)))
    same_counts = all(
        np.array_equal(cpu.counts[name], there.counts[name]) for name in COUNTED
    )
    if not gap <= TOLERANCE or not same_counts or cpu.status != there.status:
        stage.note(task=task, method=method, gap=gap, same_counts=same_counts)
    return gap


def neighbours(stage: Stage) -> None:
    """Note whether a run's bits depend on other runs, their number or the attempt."""
    runs = stage.size(8, 4)
    seeds = tuple(range(runs))
    cells = [cell_of(*one, runs=runs, steps=10) for one in TOYS.items()]
    for whole in (*cells, *image_cells(stage)):
        cell = replace(whole, steps=stage.size(10, 2), records=1, keep="last")
        last = partial(last_iterates, stage.device, cell)
        names = {"task": cell.task, "method": cell.label}
        with stage.noting_errors(**names):
            z = last(seeds, runs)
            stage.note(
                **names,
                same_again=np.array_equal(z, last(seeds, runs)),
                same_reversed=np.array_equal(z, last(seeds[::-1], runs)[::-1]),
                same_padded=np.array_equal(z[:1], last(seeds[:1], runs)),
                same_alone=np.array_equal(z[:1], last(seeds[:1], 1)),
                same_in_twice_the_width=np.array_equal(z, last(seeds, 2 * runs)),
            )


def last_iterates(
    device: torch.device, cell: Cell, seeds: tuple[int, ...], width: int
) -> np.ndarray:
    """Return the last iterates of some runs of a cell, computed at a width."""
    with mock.patch("mmbench.engine.run_cell.width_of", return_value=width):
        found = run_cell(replace(cell, seeds=seeds), Placement(device))
    if found.reason:
        raise RuntimeError(found.reason)
    return found.iterates["z"][-1]


def graphs(stage: Stage) -> None:
    """Compare captured steps with eager ones: bits, counts, endings and time.

    On a CPU a recorder takes the place of the graphs, and no time is noted.
    """
    runs, steps = stage.size(128, 3), stage.size(500, 5)
    pairs = [*TOYS.items(), *(("four_gaussians", one) for one in ON_GAUSSIANS)]
    cells = [cell_of(*one, runs=runs, steps=steps, records=2) for one in pairs]
    cells += [cell_of("bilinear", "gda[step_size=2.0]", runs=runs, steps=99, records=2)]
    cells = cells[:: stage.size(1, 4)]
    on_images = [
        replace(cell, seeds=tuple(range(stage.size(8, 1))), steps=stage.size(20, 2))
        for cell in image_cells(stage)
    ]
    for cell in (*cells, *(replace(one, records=1) for one in on_images)):
        with stage.noting_errors(task=cell.task, method=cell.label):
            stage.note(**eager_and_captured(stage, replace(cell, keep="all")))


def eager_and_captured(stage: Stage, cell: Cell) -> dict[str, Any]:
    """Return what differs between eager and captured steps of a cell."""
    on_gpu = stage.device.type == "cuda"
    place = Placement(stage.device if on_gpu else CUDA, width=len(cell.seeds))
    with nullcontext() if on_gpu else recorded_graphs():
        eager, captured = (
            run_cell(cell, place._replace(compiled=one)) for one in (False, True)
        )
    if eager.reason or captured.reason:
        raise RuntimeError(eager.reason or captured.reason)
    row = {
        "task": cell.task,
        "method": cell.label,
        "runs": len(cell.seeds),
        "backend": captured.backend,
        "same": np.array_equal(eager.iterates["z"], captured.iterates["z"]),
        "same_counts": all(
            np.array_equal(eager.counts[one], captured.counts[one]) for one in COUNTED
        ),
        "same_endings": eager.status == captured.status
        and np.array_equal(eager.stopped_at, captured.stopped_at),
    }
    if on_gpu:
        ms = (
            1e3 * float(one.seconds[-1].max()) / cell.steps for one in (eager, captured)
        )
        row |= zip(("eager_ms", "captured_ms"), ms, strict=True)
    return row


def gaussians(stage: Stage) -> None:
    """Time the GAN on four Gaussians beside the plain loop of one seed."""
    device, steps = stage.device, stage.size(50, 2)
    moved = {name: getattr(loops, name).to(device) for name in ("MODES", "WEIGHTS")}
    with arithmetic(device), device, mock.patch.multiple(loops, **moved):
        plain = loops.Gaussians("adam", 64, NOISE[64])
        stage.note(loop="plain, one seed", ms=stage.timed(plain.step, steps))
    for runs in (stage.size(128, 4), stage.size(1024, 8)):
        cell = gan_cell(64, "Adam", runs, steps)
        with arithmetic(device):
            batched = Batched(cell, device, runs)
            draws = stage.timed(batched.oracle.resample, stage.size(64, 2))
            ms = stage.timed(batched.step, steps)
        stage.note(runs=runs, ms_a_step=ms, ms_a_run=ms / runs, draws_ms=draws)
        for compiled in (False, True)[: stage.size(2, 1)]:
            found = run_cell(cell, Placement(device, compiled=compiled))
            ms = 1e3 * float(found.seconds[-1].max()) / steps
            stage.note(runs=runs, backend=found.backend, whole_ms_a_step=ms)


def images(stage: Stage) -> None:
    """Time steps on CIFAR10 beside the plain loop of the same networks."""
    steps = stage.size(10, 1)
    for cell in image_cells(stage):
        with stage.noting_errors(setting=cell.label), arithmetic(stage.device):
            theirs = stage.timed(PlainLoop(cell, stage.device).step, steps)
            for runs in (1, stage.size(8, 2)):
                batched = Batched(cell, stage.device, runs)
                ms = stage.timed(batched.step, steps)
                draws = stage.timed(batched.oracle.resample, stage.size(64, 2))
                row = {"setting": cell.label, "runs": runs, "ms_a_step": ms}
                stage.note(**row, ratio=theirs * runs / ms, draws_ms=draws)


def training(stage: Stage) -> None:
    """Train on CIFAR10 until the time is up, and note scores on the way."""
    cells = [one for one in image_cells(stage) if one.label in SETTINGS[1:]]
    for cell in cells:
        words = ("frechet_distance", "classifier_score")
        count = stage.size(5000, 20)
        metrics = cell_of(
            str(cell.task),
            str(cell.algorithm),
            runs=1,
            steps=1,
            metrics=tuple(f"{one}[count={count}]" for one in words),
        ).metrics
        runs = stage.size(2, 1)
        with stage.noting_errors(setting=cell.label), arithmetic(stage.device):
            batch = RunBatch(
                cell, Placement(stage.device), tuple(range(runs)), runs, None
            )
            batched = Batched(cell, stage.device, runs)
            end = time.monotonic() + (stage.limit - 10) / len(cells)
            made, spent, due = 0, 0.0, 0.0
            while time.monotonic() < end and made < stage.size(10**9, 2):
                if spent >= due:
                    found = batch.measure(batched.z, metrics)
                    scores = {name: found[name].tolist() for name in found}
                    row = {"setting": cell.label, "step": made, "seconds": spent}
                    stage.note(**row, scores=scores)
                    due = max(3.0, 1.5 * spent)
                begun, some = time.perf_counter(), stage.size(25, 1)
                seconds(batched.step, some, stage.device)
                made, spent = made + some, spent + time.perf_counter() - begun


def device_ms(event: Any) -> float:
    """Return the milliseconds of the device itself in an event of the profiler."""
    return event.self_device_time_total / 1e3


def profile(stage: Stage) -> None:
    """Note launches, copies and looks of a step, and the longest kernels."""
    steps = stage.size(16, 2)
    cells = [cell_of(*one, runs=128, steps=steps) for one in TOYS.items()]
    for cell in (*cells, *image_cells(stage)):
        runs = stage.size(128 if cell in cells else 8, 2)
        with stage.noting_errors(method=cell.label), arithmetic(stage.device):
            batched = Batched(cell, stage.device, runs)
            ms = stage.timed(batched.step, steps)
            with torch_profile() as seen:
                seconds(batched.step, steps, stage.device)
            events = seen.key_averages()
            # Operations of the host have the times of their kernels, too.
            kernels = [one for one in events if "CUDA" in str(one.device_type)]
            kernels.sort(key=device_ms, reverse=True)
            stage.note(
                task=cell.task,
                method=cell.label,
                runs=runs,
                ms_a_step=ms,
                busy_ms=sum(one.self_device_time_total for one in kernels)
                / steps
                / 1e3,
                calls={
                    name: sum(one.count for one in events if name in one.key) / steps
                    for name in ("LaunchKernel", "Memcpy", "Synchronize", "aten::item")
                },
                longest={one.key[:90]: device_ms(one) / steps for one in kernels[:10]},
            )


STAGES: dict[str, Callable[[Stage], None]] = {
    one.__name__: one
    for one in (
        *(environment, tests, parity, neighbours, graphs),
        *(gaussians, images, training, profile),
    )
}


def main(words: list[str]) -> None:
    """Run a stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    stage = Stage(given.stage, given.device, given.seconds, given.tiny)
    STAGES[given.stage](stage)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Chunk: runs computed side by side, from their start to their end.

The loop of every cell; step maps, which keep no records, have a short one of their own.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.checkpoint import restore_structure
from mmbench.core.errors import DescriptionError
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.precision import rounding
from mmbench.core.status import Status
from mmbench.core.streams import generator
from mmbench.core.vectors import keep, largest
from mmbench.engine.cell import Cell
from mmbench.engine.compiled.block import DIVERGED, NONFINITE, STOPPED, Block, block
from mmbench.engine.recording import SHOWN, Recording, check_shape
from mmbench.metrics.base import IterateMetric, Metric, Point

PATH_POINTS = 500
ENDS = {
    DIVERGED: Status.DIVERGED,
    NONFINITE: Status.NONFINITE,
    STOPPED: Status.STOPPED,
}
GLANCE = 1.0  # seconds between two reports of progress

# Told of so many more run-steps, and of what has been recorded of the chunk at work.
Progress = Callable[[int, Recording | None], None]


class Chunk:
    """Runs computed side by side; the last run is repeated up to the width.

    Args:
        cell: that they belong to.
        placement: where they are computed.
        width: how many.
        recording: of them; its seeds say which.
        given: where they start, (runs, dim); None asks the task.
    """

    every = math.inf  # seconds between two calls of `save`

    def __init__(
        self,
        cell: Cell,
        placement: Placement,
        width: int,
        recording: Recording,
        given: Tensor | None,
    ) -> None:
        self.cell, self.placement, self.recording = cell, placement, recording
        self.runs = len(recording.seeds)
        self.seeds = recording.seeds + recording.seeds[-1:] * (width - self.runs)
        self.game = cell.task.build(placement)

        self.start = self.z = self.game.project(self._first(given))
        if not bool(torch.isfinite(self.z).all()):
            raise DescriptionError(
                f"{cell.task} must start at finite points; it did not."
            )
        # Minibatches of its own for each stage of a chain of cells.
        purpose = f"data/{cell.stage}" if cell.stage else "data"
        memory = self.game.memory(self.z)
        self.oracle_state = OracleState(self.game, self.seeds, purpose, memory)
        self.oracle = Oracle(self.oracle_state)
        self.state = cell.algorithm.init(self.oracle, self.z)
        check_state(cell.algorithm, self.state, width)
        self.everyone = True  # lives
        self.path = _Path(Capability.PLANE in cell.task.gives, cell.steps)
        self.block, self.recording.backend = self._compiled()
        self.step, self.seconds = 0, 0.0

    def _compiled(self) -> tuple[Block | None, str]:
        """The compiled steps, if they are wanted and can be; and what computes."""
        if not self.placement.compiled:
            return None, "eager"
        cell, runs = self.cell, len(self.seeds)
        made = block(cell.algorithm, cell.task, self.placement, runs, cell.precision)
        if isinstance(made, str):
            return None, f"eager, for compiling failed: {made}"
        return made, "compiled"

    def snapshot(self) -> dict[str, Any]:
        """Everything that the next steps depend on."""
        return {
            "z": self.z,
            "state": self.state,
            "oracle": self.oracle_state.snapshot(),
            "path": self.path.snapshot(),
            "step": self.step,
            "seconds": self.seconds,
            **self._sheet(self.z),  # for whoever looks at the work
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go to where a snapshot stood."""
        self.z = saved["z"].to(self.z.device)
        self.state = restore_structure(self.state, saved["state"])
        self.oracle_state.restore(saved["oracle"])
        self.path.restore(saved["path"], self.z.device)
        self.step, self.seconds = saved["step"], saved["seconds"]
        self.everyone = bool(self.oracle_state.alive.all())

    def compute(self, progress: Progress, save: Callable[[], None] | None) -> None:
        """Run to the end.

        Args:
            progress: told of steps made.
            save: called now and then, between two steps.
        """
        cell, z, state = self.cell, self.z, self.state
        due = iter([one for one in cell.schedule if one not in self.recording.steps])
        next_record, report = next(due, -1), _Report(progress, self)
        clock, saved = self._clock(), time.monotonic()
        step = self.step
        while True:
            report.visit(step)
            if save and time.monotonic() - saved >= self.every:
                self.seconds += self._clock() - clock
                self.z, self.state, self.step = z, state, step
                save()
                clock, saved = self._clock(), time.monotonic()
            self.path.visit(step, z, self.runs)
            if step == next_record:
                self.seconds += self._clock() - clock
                self._record(step, z, self.seconds)
                report.tell(step)
                next_record = next(due, -1)
                clock = self._clock()
            if step == cell.steps:
                break
            made = 1
            if not self.everyone and not bool(self.oracle_state.alive.any()):
                pass  # nobody moves any more; the records repeat
            elif self.block:
                until = next_record if next_record > step else cell.steps
                made = min(self.block.length, until - step)
                z, state = self._leap(self.block, step, made, z, state)
            else:
                z, state = self._move(step, z, state)
            step += made
        self.recording.conclude()
        if cell.keep == "last":
            self.recording.keep(cell.steps, z[: self.runs])
        self.recording.arrays = self.path.arrays() | self._sheet(z)

    def _move(self, step: int, z: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step of all runs; those that break down keep what they had."""
        cell, oracle_state = self.cell, self.oracle_state
        oracle_state.resample()
        writes = _writes(z)
        with self._rounding():
            moved, new_state = cell.algorithm.step(self.oracle, z, state)
        sound = moved.shape == z.shape and moved.dtype == z.dtype
        if not sound or _writes(z) != writes:
            raise _misstep(cell, z, moved)
        stopped = cell.algorithm.done(new_state)
        usual = self.everyone and stopped is None
        if usual and _within(moved, cell.task.limit):
            oracle_state.advance(moved)
            return moved, new_state
        alive = self._survivors(step, moved, oracle_state.alive)
        z, state = keep(alive, moved, z), keep(alive, new_state, state)
        oracle_state.end_runs(alive)
        oracle_state.advance(z)  # of those that stop now too, whose last step is taken
        if stopped is not None:
            self._mark(alive & stopped, Status.STOPPED, step + 1)
            alive = alive & ~stopped
            oracle_state.end_runs(alive)
        self.everyone = bool(alive.all())
        return z, state

    def _leap(
        self, block: Block, step: int, count: int, z: Tensor, state: Any
    ) -> tuple[Tensor, Any]:
        """`count` compiled steps of all runs."""
        oracle_state = self.oracle_state
        draws = range(count if block.draws else 0)
        drawn = [[oracle_state.draw(what) for what in block.draws] for _ in draws]
        with self._rounding():
            after, path = block(
                z, state, oracle_state.memory, oracle_state.alive, drawn, step, count
            )
        self.path.passed(step, path, self.runs)
        self.everyone = bool(after.alive.all())
        if self.everyone and not after.own:  # all are charged the same
            for name, amount in block.same.items():
                oracle_state.charge(name, count * amount)
        else:
            oracle_state.book(block.charges(after))
            oracle_state.end_runs(after.alive)
        oracle_state.memory = after.memory
        for at in [] if self.everyone else after.ended.unique().tolist():
            for how, status in ENDS.items():
                ending = (after.ended == at) & (after.how == how)
                self._mark(ending, status, step + at + 1)
        return after.z, after.state

    def _rounding(self) -> AbstractContextManager:
        """Products within a step; metrics are never rounded."""
        return rounding(self.cell.precision, self.placement.device)

    def _survivors(self, step: int, moved: Tensor, alive: Tensor) -> Tensor:
        """Those of the living runs whose next iterate stays within the task's limit."""
        size = largest(moved)
        dying = alive & ~(size <= self.cell.task.limit)
        self._mark(dying & torch.isfinite(size), Status.DIVERGED, step + 1)
        self._mark(dying & ~torch.isfinite(size), Status.NONFINITE, step + 1)
        return alive & ~dying

    def _first(self, given: Tensor | None) -> Tensor:
        """First iterates of all runs, those of the padding included."""
        cell, game = self.cell, self.game
        own = {  # the padding repeats a seed
            seed: cell.task.start(game, generator(seed, "start"))
            for seed in dict.fromkeys(self.seeds)
        }
        z = torch.stack([own[seed] for seed in self.seeds]).to(game.device)
        if given is None:
            return z
        if given.shape[1] != game.dim:
            raise DescriptionError(
                f"{cell.task} must go on from a game of {game.dim} variables; got "
                f"{given.shape[1]}."
            )
        padded = self.padded(given)
        split = game.dim_x
        x = z if cell.inherit == "y" else padded
        y = z if cell.inherit == "x" else padded
        return torch.cat((x[:, :split], y[:, split:]), dim=1)

    def _clock(self) -> float:
        if self.placement.device.type == "cuda":
            torch.cuda.synchronize(self.placement.device)
        return time.perf_counter()

    def _record(self, step: int, z: Tensor, seconds: float) -> None:
        if self.cell.keep == "all":
            self.recording.keep(step, z[: self.runs])
        columns = self.measure(z, self.cell.metrics)
        counts = {
            name: counted[: self.runs].cpu().numpy().copy()
            for name, counted in self.oracle_state.counts.items()
        }
        self.recording.add(step, seconds, counts, columns)

    def measure(self, z: Tensor, metrics: Sequence[Metric]) -> dict[str, np.ndarray]:
        """Columns of these metrics at z, for the runs that are no padding.

        Raises:
            DescriptionError: when a metric writes into z or gives another shape.
        """
        point = Point(self.game, z, self.seeds, self.start)
        columns: dict[str, np.ndarray] = {}
        for metric in metrics:
            if isinstance(metric, IterateMetric):
                writes = _writes(z)
                measured = metric.measure(point)
                if _writes(z) != writes:
                    raise DescriptionError(f"{metric} must not write into z; it did.")
                for column in metric.columns:
                    values = measured[column.name]
                    check_shape(metric, column.name, values.shape, len(self.seeds))
                    columns[column.name] = values[: self.runs].double().cpu().numpy()
        return columns

    def padded(self, rows: Tensor) -> Tensor:
        """Rows of the runs, the last one repeated for the padding, on the device."""
        rows = rows.to(self.game.device, self.game.dtype)
        return torch.cat((rows, rows[-1:].expand(len(self.seeds) - len(rows), -1)))

    def _mark(self, which: Tensor, status: Status, step: int) -> None:
        self.recording.mark(which.nonzero()[:, 0].tolist(), status, step)

    def _sheet(self, z: Tensor) -> dict[str, np.ndarray]:
        sheet = self.game.sheet(z[:SHOWN], self.seeds[:SHOWN])
        return {} if sheet is None else {"sheet": sheet[: self.runs].cpu().numpy()}


class _Report:
    """Tells of steps made: at records, and about once a second between them."""

    def __init__(self, progress: Progress, chunk: Chunk) -> None:
        self._progress, self._chunk = progress, chunk
        self._step, self._at = chunk.step, time.monotonic()
        progress(chunk.step * chunk.runs, None)
        if chunk.step:  # what a checkpoint had is told, or a limit would lose it
            progress(0, chunk.recording)

    def visit(self, step: int) -> None:
        """Tell if it is time."""
        if time.monotonic() - self._at >= GLANCE:
            self.tell(step)

    def tell(self, step: int) -> None:
        """Tell of the steps since the last time."""
        made = (step - self._step) * self._chunk.runs
        self._progress(made, self._chunk.recording)
        self._step, self._at = step, time.monotonic()


def _writes(z: Tensor) -> int:
    """How often a tensor has been written in place, as torch counts it."""
    return z._version  # noqa: SLF001  # torch has no public name for it


def _misstep(cell: Cell, z: Tensor, moved: Tensor) -> DescriptionError:
    same = moved.shape == z.shape and moved.dtype == z.dtype
    got = f"shape {tuple(moved.shape)}, {moved.dtype}"
    return DescriptionError(
        f"{cell.algorithm}.step must return a new z of shape {tuple(z.shape)}, "
        f"{z.dtype}; got {'the old one, written in place' if same else got}."
    )


def check_state(algorithm: Algorithm, state: Any, runs: int) -> None:
    """Raise unless a state is tensors with a leading `runs` axis, nested in tuples.

    Raises:
        DescriptionError: naming the algorithm and what was found.
    """
    if isinstance(state, tuple):
        for part in state:
            check_state(algorithm, part, runs)
    elif not isinstance(state, Tensor) or state.shape[:1] != (runs,):
        got = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
        raise DescriptionError(
            f"{algorithm}.init must give tensors with a leading axis of {runs} runs, "
            f"in tuples; got {got}."
        )


def _within(z: Tensor, limit: float) -> bool:
    """Whether all entries of all runs are; NaN never is."""
    least, most = torch.aminmax(z)  # many times faster than the largest absolute value
    return float(most) <= limit and float(least) >= -limit


class _Path:
    """Positions of the first few runs of a game of two variables."""

    def __init__(self, plane: bool, steps: int) -> None:
        self._every = -(-steps // PATH_POINTS) if plane else 0
        self._steps: list[int] = []
        self._points: list[Tensor] = []

    def passed(self, step: int, path: Tensor | None, runs: int) -> None:
        """Note where the runs were after a step, given from it on, (count, runs, 2)."""
        if self._every and path is not None:
            first = step + 1 + -(step + 1) % self._every
            self._steps += range(first, step + len(path), self._every)
            self._points += path[first - step :: self._every, :runs].clone().unbind(0)

    def visit(self, step: int, z: Tensor, runs: int) -> None:
        """Note where the runs are, at every so many steps."""
        if self._every and step % self._every == 0:
            self._steps.append(step)
            self._points.append(z[: min(runs, SHOWN)])

    def snapshot(self) -> dict[str, Any]:
        """What has been noted so far."""
        return {"steps": self._steps, "points": self._points}

    def restore(self, saved: dict[str, Any], device: torch.device) -> None:
        """Go on from what had been noted."""
        self._steps = saved["steps"]
        self._points = [one.to(device) for one in saved["points"]]

    def arrays(self) -> dict[str, np.ndarray]:
        """The paths, for a trajectory."""
        if not self._points:
            return {}
        points = torch.stack(self._points, dim=1).float().cpu().numpy()
        return {"path": points, "path_steps": np.array(self._steps)}

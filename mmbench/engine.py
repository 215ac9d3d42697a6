"""Engine: one cell to one trajectory; the only loop in the house."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.oracle import Oracle
from mmbench.core.place import Place
from mmbench.core.status import Status
from mmbench.core.streams import generator
from mmbench.core.vectors import keep
from mmbench.metrics.base import IterateMetric, Point
from mmbench.plan import Cell
from mmbench.trajectory import SHOWN, Recording, Trajectory, check_shape, joined

# Runs side by side on a GPU, which small networks do not fill.
GPU_WIDTH = 128
PATH_POINTS = 500

Progress = Callable[[int], None]


def run_cell(
    cell: Cell, place: Place = Place(), progress: Progress | None = None
) -> Trajectory:
    """Compute a cell.

    An exception of the task, the algorithm or a metric ends the cell, not the program:
    what was recorded until then is kept, with status "error" and the reason.

    Args:
        cell: what to compute.
        place: where; its dtype is the cell's.
        progress: told how many run-steps have been made, now and then.
    """
    place = place._replace(dtype=getattr(torch, cell.dtype))
    width = GPU_WIDTH if place.device.type == "cuda" else cell.task.width
    recordings = []
    with _OneThread():
        for first in range(0, len(cell.seeds), width):
            recording = Recording(cell, cell.seeds[first : first + width])
            recordings.append(recording)
            try:
                _Chunk(cell, place, width, recording).compute(progress or _silent)
            except (Exception, SystemExit) as error:  # an outside class may raise both
                recording.fail(error)
    return joined(cell, recordings, width)


def _silent(run_steps: int) -> None:
    """Progress that nobody watches."""


class _OneThread:
    """One intra-op thread: a run's bits depend on their number."""

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)


class _Chunk:
    """Runs computed side by side; the last run is repeated up to the width."""

    def __init__(
        self, cell: Cell, place: Place, width: int, recording: Recording
    ) -> None:
        self.cell, self.place, self.recording = cell, place, recording
        self.runs = len(recording.seeds)
        self.seeds = recording.seeds + recording.seeds[-1:] * (width - self.runs)
        self.game = cell.task.build(place)
        self.oracle = Oracle(self.game, self.seeds)

    def compute(self, progress: Progress) -> None:
        """Run to the end."""
        cell, game, oracle = self.cell, self.game, self.oracle
        limit = cell.task.limit
        starts = [cell.task.start(game, generator(one, "start")) for one in self.seeds]
        z = game.project(torch.stack(starts).to(game.device))
        if not bool(torch.isfinite(z).all()):
            raise DescriptionError(
                f"{cell.task} must start at finite points; it did not."
            )
        state = cell.algorithm.init(oracle, z)
        check_state(cell.algorithm, state, len(z))
        alive = torch.ones(len(z), dtype=torch.bool, device=game.device)
        everyone = True
        due = iter(cell.schedule)
        next_record, reported = next(due), 0
        path = _Path(Capability.PLANE in cell.task.gives, cell.steps)
        seconds, clock = 0.0, self._clock()
        for step in range(cell.steps + 1):
            path.visit(step, z[: self.runs])
            if step == next_record:
                seconds += self._clock() - clock
                self._record(step, z, seconds)
                progress((step - reported) * self.runs)
                reported, next_record = step, next(due, -1)
                clock = self._clock()
            if step == cell.steps:
                break
            if not everyone and not bool(alive.any()):
                continue  # nobody moves any more; the records repeat
            oracle.resample()
            writes = _writes(z)
            moved, new_state = cell.algorithm.step(oracle, z, state)
            sound = moved.shape == z.shape and moved.dtype == z.dtype
            if not sound or _writes(z) != writes:
                raise _misstep(cell, z, moved)
            stopped = cell.algorithm.done(new_state)
            # One number for all runs decides the usual case; NaN compares false.
            if everyone and stopped is None and float(_largest(moved)) <= limit:
                z, state = moved, new_state
                continue
            size = _largest(moved, dim=1)
            dying = alive & ~(size <= limit)
            self._mark(dying & torch.isfinite(size), Status.DIVERGED, step + 1)
            self._mark(dying & ~torch.isfinite(size), Status.NONFINITE, step + 1)
            alive = alive & ~dying
            z, state = keep(alive, moved, z), keep(alive, new_state, state)
            if stopped is not None:
                self._mark(alive & stopped, Status.STOPPED, step + 1)
                alive = alive & ~stopped
            everyone = bool(alive.all())
            oracle.bury(alive)
        self.recording.conclude()
        self.recording.arrays = path.arrays() | self._sheet(z)

    def _clock(self) -> float:
        if self.place.device.type == "cuda":
            torch.cuda.synchronize(self.place.device)
        return time.perf_counter()

    def _record(self, step: int, z: Tensor, seconds: float) -> None:
        point = Point(self.game, z, self.seeds)
        columns: dict[str, np.ndarray] = {}
        for metric in self.cell.metrics:
            if isinstance(metric, IterateMetric):
                writes = _writes(z)
                measured = metric.measure(point)
                if _writes(z) != writes:
                    raise DescriptionError(f"{metric} must not write into z; it did.")
                for column in metric.columns:
                    values = measured[column.name]
                    check_shape(metric, column.name, values.shape, len(self.seeds))
                    columns[column.name] = values[: self.runs].double().cpu().numpy()
        counts = {
            name: counted[: self.runs].cpu().numpy().copy()
            for name, counted in self.oracle.counts.items()
        }
        self.recording.add(step, seconds, counts, columns)

    def _mark(self, which: Tensor, status: Status, step: int) -> None:
        self.recording.mark(which.nonzero()[:, 0].tolist(), status, step)

    def _sheet(self, z: Tensor) -> dict[str, np.ndarray]:
        sheet = self.game.sheet(z[:SHOWN], self.seeds[:SHOWN])
        return {} if sheet is None else {"sheet": sheet[: self.runs].cpu().numpy()}


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


def _largest(z: Tensor, dim: int | None = None) -> Tensor:
    """Largest absolute entry, of all runs or of each; NaN where there is one."""
    return torch.linalg.vector_norm(z, ord=torch.inf, dim=dim)


class _Path:
    """Positions of the first few runs of a game of two variables."""

    def __init__(self, plane: bool, steps: int) -> None:
        self._every = -(-steps // PATH_POINTS) if plane else 0
        self._steps: list[int] = []
        self._points: list[Tensor] = []

    def visit(self, step: int, z: Tensor) -> None:
        """Note where the runs are, at every so many steps."""
        if self._every and step % self._every == 0:
            self._steps.append(step)
            self._points.append(z[:SHOWN])

    def arrays(self) -> dict[str, np.ndarray]:
        """The paths, for a trajectory."""
        if not self._points:
            return {}
        points = torch.stack(self._points, dim=1).float().cpu().numpy()
        return {"path": points, "path_steps": np.array(self._steps)}

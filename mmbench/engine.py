"""Engine: one cell to one trajectory; the only loop in the house."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle import COUNTED, Oracle
from mmbench.core.place import Place
from mmbench.core.status import Status
from mmbench.core.streams import generator
from mmbench.core.vectors import keep
from mmbench.metrics.base import IterateMetric, Metric, Point, TrajectoryMetric
from mmbench.plan import Cell
from mmbench.trajectory import Trajectory

# Runs side by side on a GPU, which small networks do not fill.
GPU_WIDTH = 128
STREAK = 3  # records in a row at which the target must hold
SHOWN = 8  # runs whose path or sheet is kept
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
    chunks = [
        cell.seeds[first : first + width] for first in range(0, len(cell.seeds), width)
    ]
    with _OneThread():
        parts = [_Chunk(cell, place, seeds, width) for seeds in chunks]
        for part in parts:
            part.compute(progress or (lambda _: None))
    return _joined(cell, parts, width)


def _largest(z: Tensor, dim: int | None = None) -> Tensor:
    """Largest absolute entry, of all runs or of each; NaN where there is one."""
    return torch.linalg.vector_norm(z, ord=torch.inf, dim=dim)


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
        self, cell: Cell, place: Place, seeds: tuple[int, ...], width: int
    ) -> None:
        self.cell, self.place, self.seeds = cell, place, seeds
        self.padded = seeds + seeds[-1:] * (width - len(seeds))
        self.steps: list[int] = []
        self.counts: dict[str, list[np.ndarray]] = {name: [] for name in COUNTED}
        self.seconds: list[float] = []
        self.columns: list[dict[str, np.ndarray]] = []
        self.status = [Status.FINISHED] * len(seeds)
        self.stopped_at = np.full(len(seeds), cell.steps)
        self.reason = ""
        self.arrays: dict[str, np.ndarray] = {}
        self.streak = np.zeros(len(seeds), dtype=int)
        self.streak_from = np.zeros(len(seeds), dtype=int)

    def compute(self, progress: Progress) -> None:
        """Run to the end, or to an exception."""
        try:
            self._loop(progress)
        except Exception as error:  # an outside class may raise anything
            self.reason = f"{type(error).__name__}: {error}"
            at = self.steps[-1] if self.steps else 0
            for run, status in enumerate(self.status):
                if not status.dead:
                    self.status[run], self.stopped_at[run] = Status.ERROR, at

    # ---- the loop ----

    def _loop(self, progress: Progress) -> None:
        cell, task = self.cell, self.cell.task
        game = task.build(self.place)
        oracle = Oracle(game, self.padded)
        starts = [task.start(game, generator(seed, "start")) for seed in self.padded]
        z = game.project(torch.stack(starts).to(game.device))
        state = cell.algorithm.init(oracle, z)
        alive = torch.ones(len(self.padded), dtype=torch.bool, device=game.device)
        everyone = True
        due = iter(cell.schedule)
        next_record = next(due)
        path = _Path(game, task.gives, cell.steps, len(self.seeds))
        seconds, reported = 0.0, 0
        clock = self._clock()
        for step in range(cell.steps + 1):
            path.visit(step, z)
            if step == next_record:
                seconds += self._clock() - clock
                self._record(step, game, oracle, z, seconds)
                progress((step - reported) * len(self.seeds))
                reported, next_record = step, next(due, -1)
                clock = self._clock()
            if step == cell.steps:
                break
            if not everyone and not bool(alive.any()):
                continue  # nobody moves any more; the records repeat
            oracle.resample()
            moved, new_state = cell.algorithm.step(oracle, z, state)
            stopped = cell.algorithm.done(new_state)
            # One number for all runs decides the usual case; NaN compares false.
            if everyone and stopped is None and float(_largest(moved)) <= task.limit:
                z, state = moved, new_state
                continue
            size = _largest(moved, dim=1)
            sound = size <= task.limit
            self._bury(step, alive & ~sound, size)
            z = keep(alive & sound, moved, z)
            state = keep(alive & sound, new_state, state)
            alive = alive & sound
            if stopped is not None:
                self._mark(alive & stopped, Status.STOPPED, step + 1)
                alive = alive & ~stopped
            everyone = bool(alive.all())
            oracle.bury(alive)
        self._conclude()
        self.arrays = path.arrays()
        sheet = game.sheet(z[:SHOWN], self.padded[:SHOWN])
        if sheet is not None:
            self.arrays["sheet"] = sheet[: len(self.seeds)].cpu().numpy()

    def _clock(self) -> float:
        if self.place.device.type == "cuda":
            torch.cuda.synchronize(self.place.device)
        return time.perf_counter()

    # ---- records ----

    def _record(
        self, step: int, game: Game, oracle: Oracle, z: Tensor, seconds: float
    ) -> None:
        point = Point(game, z, self.padded)
        runs = len(self.seeds)
        columns: dict[str, np.ndarray] = {}
        for metric in self.cell.metrics:
            if isinstance(metric, IterateMetric):
                measured = metric.measure(point)
                for column in metric.columns:
                    values = measured[column.name]
                    if values.shape != (len(self.padded),):
                        shape = tuple(values.shape)
                        raise _misshapen(metric, column.name, len(self.padded), shape)
                    columns[column.name] = values[:runs].double().cpu().numpy()
        self.steps.append(step)
        self.columns.append(columns)
        self.seconds.append(seconds)
        for name, counted in oracle.counts.items():
            self.counts[name].append(counted[:runs].cpu().numpy().copy())
        if self.cell.task.target:
            held = self.cell.task.target.holds(columns)
            self.streak_from = np.where(self.streak == 0, step, self.streak_from)
            self.streak = np.where(held, self.streak + 1, 0)

    # ---- endings ----

    def _bury(self, step: int, dying: Tensor, size: Tensor) -> None:
        finite = torch.isfinite(size)
        self._mark(dying & finite, Status.DIVERGED, step + 1)
        self._mark(dying & ~finite, Status.NONFINITE, step + 1)

    def _mark(self, which: Tensor, status: Status, step: int) -> None:
        for run in which.nonzero()[:, 0].tolist():
            if run < len(self.seeds):
                self.status[run], self.stopped_at[run] = status, step

    def _conclude(self) -> None:
        """Runs whose target held to the end, three records or more, converged."""
        for run, streak in enumerate(self.streak):
            if streak >= STREAK and not self.status[run].dead:
                self.status[run] = Status.CONVERGED
                self.stopped_at[run] = self.streak_from[run]


class _Path:
    """Positions of the first few runs of a game of two variables."""

    def __init__(
        self, game: Game, gives: frozenset[Capability], steps: int, runs: int
    ) -> None:
        self._every = -(-steps // PATH_POINTS) if Capability.PLANE in gives else 0
        self._runs = min(runs, SHOWN)
        self._steps: list[int] = []
        self._points: list[Tensor] = []

    def visit(self, step: int, z: Tensor) -> None:
        """Note where the runs are, at every so many steps."""
        if self._every and step % self._every == 0:
            self._steps.append(step)
            self._points.append(z[: self._runs])

    def arrays(self) -> dict[str, np.ndarray]:
        """The paths, for a trajectory."""
        if not self._points:
            return {}
        points = torch.stack(self._points, dim=1).float().cpu().numpy()
        return {"path": points, "path_steps": np.array(self._steps)}


def _joined(cell: Cell, parts: list[_Chunk], width: int) -> Trajectory:
    """The trajectory of all chunks; records a failed chunk lacks hold NaN."""
    steps = max((part.steps for part in parts), key=len) or [0]
    names = [
        column.name
        for metric in cell.metrics
        if isinstance(metric, IterateMetric)
        for column in metric.columns
    ]

    def column(part: _Chunk, values: list[Any], fill: Any) -> np.ndarray:
        runs = len(part.seeds)
        rows = [np.broadcast_to(one, runs) for one in values]
        last = rows[-1] if rows and fill == "last" else None
        blank = last if last is not None else np.zeros(runs) if fill == "last" else fill
        rows += [np.broadcast_to(blank, runs)] * (len(steps) - len(rows))
        return np.stack(rows)

    def beside(make: Callable[[_Chunk], np.ndarray]) -> np.ndarray:
        return np.concatenate([make(part) for part in parts], axis=1)

    columns = {
        name: beside(
            lambda part, name=name: column(
                part, [row.get(name, np.nan) for row in part.columns], np.nan
            )
        )
        for name in names
    }
    reason = next((part.reason for part in parts if part.reason), "")
    status = [one for part in parts for one in part.status]
    for metric in cell.metrics:
        if isinstance(metric, TrajectoryMetric):
            try:
                summary = _summary(metric, steps, columns[metric.of])
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                status = [Status.ERROR] * len(status)
                blank = np.full(len(status), np.nan)
                summary = {one.name: blank for one in metric.columns}
            for name, values in summary.items():
                columns[name] = np.tile(values, (len(steps), 1))
    return Trajectory(
        seeds=cell.seeds,
        steps=tuple(steps),
        counts={
            name: beside(
                lambda part, name=name: column(part, part.counts[name], "last")
            ).astype(np.int64)
            for name in COUNTED
        },
        seconds=beside(lambda part: column(part, part.seconds, "last")),
        columns=columns,
        status=status,
        stopped_at=np.concatenate([part.stopped_at for part in parts]),
        reason=reason,
        arrays=_joined_arrays(parts),
        width=width,
    )


def _summary(
    metric: TrajectoryMetric, steps: list[int], values: np.ndarray
) -> dict[str, np.ndarray]:
    """What a metric of whole runs gives, checked."""
    given = metric.summarise(steps, values)
    runs = values.shape[1]
    for column in metric.columns:
        if np.shape(given[column.name]) != (runs,):
            raise _misshapen(metric, column.name, runs, np.shape(given[column.name]))
    return {column.name: given[column.name] for column in metric.columns}


def _misshapen(
    metric: Metric, column: str, runs: int, shape: tuple[int, ...]
) -> DescriptionError:
    return DescriptionError(
        f"{metric} must give one number for each of {runs} runs as {column}; got shape "
        f"{shape}."
    )


def _joined_arrays(parts: list[_Chunk]) -> dict[str, np.ndarray]:
    """Arrays of the first few runs of all chunks that came to their end."""
    ended = [part.arrays for part in parts if part.arrays]
    return {
        name: array
        if name == "path_steps"  # the same for all runs
        else np.concatenate([one[name] for one in ended])[:SHOWN]
        for name, array in (ended[0] if ended else {}).items()
    }

"""A batch of runs: their game, where they start, and what is measured of them."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.placement import Placement
from mmbench.core.streams import generator
from mmbench.core.user_code import defined_at, describe_value
from mmbench.core.vectors import Joint, is_within
from mmbench.engine.cell import Cell
from mmbench.engine.compiled.c_starts import draw_starts
from mmbench.engine.declarations import check_signatures
from mmbench.engine.recording import SHEET_DTYPES, SHOWN, check_values
from mmbench.metrics.base import IterateMetric, Metric, Point
from mmbench.tasks.base import DrawnStartTask


class RunBatch:
    """Runs of a cell that are computed side by side.

    The batch is padded: the last run is repeated until the batch has its width.

    Args:
        cell: the cell that the runs belong to.
        placement: the device and the dtype of the computation.
        seeds: one for each run.
        width: runs of the batch, the padding included.
        starts: where the runs start, shape (runs, dim); None asks the task.

    Attributes:
        game: the game of the cell, on the device.
        runs: the number of runs without the padding.
        seeds: one for each run, the padding included.
        start: first iterates, shape (width, dim).

    Raises:
        DescriptionError: when the game is not zero-sum although the task says so, or
            the runs do not start at finite points.
    """

    def __init__(
        self,
        cell: Cell,
        placement: Placement,
        seeds: tuple[int, ...],
        width: int,
        starts: Tensor | None,
    ) -> None:
        self.game = cell.task.build(placement)
        _check_game(cell, self.game)
        if Capability.ZERO_SUM in cell.task.gives and not self.game.zero_sum:
            raise DescriptionError(
                f"{cell.task} must build a zero-sum game, since it gives "
                f"Capability.ZERO_SUM; got a {type(self.game).__name__} that is not."
            )
        self.runs, self.seeds = len(seeds), seeds + seeds[-1:] * (width - len(seeds))
        first = self._first_iterates(cell, placement, starts)
        self.start: Joint = self.game.project(first)
        if not is_within(self.start, sys.float_info.max):
            raise DescriptionError(
                f"{cell.task} must start at finite points; it did not."
            )

    def pad(self, rows: Float[Tensor, "rows dim"]) -> Joint:
        """Return rows of the runs on the device, the last one repeated as padding."""
        rows = rows.to(self.game.device, self.game.dtype)
        if len(rows) == len(self.seeds):
            return rows
        return torch.cat((rows, rows[-1:].expand(len(self.seeds) - len(rows), -1)))

    def measure(
        self, z: Joint, metrics: Sequence[Metric], state: Any = ()
    ) -> dict[str, np.ndarray]:
        """Return columns of metrics at z, shape (runs,), without the padding.

        Args:
            z: iterates of all runs.
            metrics: what is measured.
            state: state of the method, for metrics that read it.

        Raises:
            DescriptionError: when a metric writes into z or gives another shape.
        """
        columns = _measured(Point(self.game, z, self.seeds, self.start, state), metrics)
        if not columns:
            return {}
        values = [column[: self.runs] for column in columns.values()]
        copied = torch.stack(values).cpu().numpy()  # all at once
        return dict(zip(columns, copied, strict=True))

    def measure_together(
        self, points: Float[Tensor, "records runs dim"], metrics: Sequence[Metric]
    ) -> dict[str, np.ndarray]:
        """Return what `measure` gives at several points, computed at once.

        That is done for metrics of the iterate alone, on games of the plane without
        data: where a game multiplies matrices, rounding may depend on their size.

        Args:
            points: iterates of all runs at each of several records.
            metrics: what is measured.

        Returns:
            The columns, shape (records, runs); none where they cannot be computed at
            once with the same bits, as the last record shows.
        """
        game = self.game
        measured = [one for one in metrics if isinstance(one, IterateMetric)]
        is_plane = game.dim == 2 and not game.batch_size and not game.terms
        if not is_plane or not measured or not all(one.by_iterate for one in measured):
            return {}
        point = Point(game, points.flatten(0, 1), self.seeds * len(points))
        shape = len(points), len(self.seeds)
        found = {
            name: column.reshape(shape)[:, : self.runs].cpu().numpy()
            for name, column in _measured(point, measured).items()
        }
        alone = self.measure(points[-1], measured)
        is_same = all(
            alone[name].tobytes() == rows[-1].tobytes() for name, rows in found.items()
        )
        return found if is_same else {}

    def sample_sheet(self, z: Joint) -> dict[str, np.ndarray]:
        """Return what the players of the first few runs make at z, if the game can.

        Returns:
            "sheet", shape (runs, count, ...); nothing for games without samples.

        Raises:
            DescriptionError: when the game gives anything else.
        """
        sheet = self.game.sheet(z[:SHOWN], self.seeds[:SHOWN])
        if sheet is None:
            return {}
        _check_sheet(self.game, sheet, len(z[:SHOWN]))
        return {"sheet": sheet[: self.runs].cpu().numpy()}

    def _first_iterates(
        self, cell: Cell, placement: Placement, starts: Tensor | None
    ) -> Joint:
        """Return first iterates of all runs, those of the padding included."""
        game = self.game
        z = self.pad(_starts(cell, game, self.seeds[: self.runs], placement))
        if starts is None:
            return z
        if starts.shape[1] != game.dim:
            raise DescriptionError(
                f"{cell.task} must go on from a game of {game.dim} variables; got "
                f"{starts.shape[1]}."
            )
        inherited = self.pad(starts)
        x = z if cell.inherit == "y" else inherited
        y = z if cell.inherit == "x" else inherited
        return torch.cat((x[:, : game.dim_x], y[:, game.dim_x :]), dim=1)


def _check_game(cell: Cell, game: Any) -> None:
    """Check that a task has built a game.

    Raises:
        DescriptionError: naming what the task or the game must have.
    """

    def who() -> str:
        return f"{cell.task}.build{defined_at(type(cell.task), 'build')}"

    if not isinstance(game, Game):
        raise DescriptionError(
            f"{who()} must return a Game; got {describe_value(game)}."
        )
    check_signatures(game)
    for name in ("dim_x", "dim_y"):
        length = getattr(game, name, None)
        if not isinstance(length, int) or length < 1:
            raise DescriptionError(
                f"{type(game).__name__}.{name} must be a whole number of at least 1; "
                f"{who()} returned a game with {length!r}."
            )


def _check_sheet(game: Game, sheet: Any, runs: int) -> None:
    """Check that a game gave samples of each run, in a form that can be stored.

    Raises:
        DescriptionError: naming the game and what it gave.
    """
    if (
        not isinstance(sheet, Tensor)
        or sheet.ndim < 3
        or len(sheet) != runs
        or not sheet.numel()
        or str(sheet.dtype).removeprefix("torch.") not in SHEET_DTYPES
    ):
        cls = type(game)
        raise DescriptionError(
            f"{cls.__name__}.sheet{defined_at(cls, 'sheet')} must return samples of "
            f"shape ({runs}, count, ...) in {', '.join(SHEET_DTYPES)}, or None; got "
            f"{describe_value(sheet)}."
        )


def _measured(point: Point, metrics: Sequence[Metric]) -> dict[str, Tensor]:
    """Return columns of metrics at a point, each of shape (runs,), in float64.

    Raises:
        DescriptionError: when a metric writes into z or gives another shape.
    """
    z = point.z
    columns: dict[str, Tensor] = {}
    for metric in metrics:
        if isinstance(metric, IterateMetric):
            writes = count_writes(z)
            measured = metric.measure(point)
            if count_writes(z) != writes:
                raise DescriptionError(f"{metric} must not write into z; it did.")
            check_values(metric, "measure", measured, Tensor, len(z))
            for column in metric.columns:
                columns[column.name] = measured[column.name].detach().double()
    return columns


def _starts(
    cell: Cell, game: Game, seeds: Sequence[int], placement: Placement
) -> Float[Tensor, "seeds dim"]:
    """Return where the runs of some seeds start.

    Raises:
        DescriptionError: when the task gives anything but points of the game.
    """
    task = cell.task
    if isinstance(task, DrawnStartTask) and type(task).start is DrawnStartTask.start:
        drawn = draw_starts(seeds, task.drawn(game), placement.compiled)
        if drawn is not None:
            z = task.starts(game, drawn)
            _check_starts(cell, "starts", z, (len(seeds), game.dim), game.dtype)
            return z
    rows = [task.start(game, generator(seed, "start")) for seed in seeds]
    for z in rows:
        _check_starts(cell, "start", z, (game.dim,), game.dtype)
    return torch.stack(rows)


def _check_starts(
    cell: Cell, method: str, z: Any, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """Check that a task gave points of the game.

    Raises:
        DescriptionError: naming the task and what it gave.
    """
    if not isinstance(z, Tensor) or z.shape != shape or z.dtype != dtype:
        raise DescriptionError(
            f"{cell.task}.{method}{defined_at(type(cell.task), method)} must return a "
            f"tensor of shape {shape}, {dtype}; got {describe_value(z)}."
        )


def count_writes(z: Tensor) -> int:
    """Return how often a tensor has been written in place, as torch counts it."""
    return z._version  # noqa: SLF001  # torch has no public name for it

"""Trials of a method: runs of a cell with other hyperparameters, side by side.

Trials that differ in their step sizes alone are one batch of runs, each with step sizes
of its own. The others are cells of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.core.cost import spent
from mmbench.core.errors import CodeError, MisfitError
from mmbench.core.placement import Placement
from mmbench.core.precision import check_precision
from mmbench.core.priors import STEP_SIZES
from mmbench.engine.budget_chunk import BudgetChunk
from mmbench.engine.cell import Cell
from mmbench.engine.recording import Recording
from mmbench.engine.run_cell import arithmetic, run_cell, width_of
from mmbench.engine.trajectory import Trajectory, join_recordings

# The names of step sizes; "step_size" is one for both players, or for the one it moves.
_SIZES = (*STEP_SIZES, "step_size")

Hyperparameters = Mapping[str, Any]


class Tried(NamedTuple):
    """Trials of a cell.

    Args:
        cell: the cell, which has a budget; the values of the hyperparameters in its
            algorithm are not used.
        trials: the hyperparameters of each, by their names in the search space.
    """

    cell: Cell
    trials: Sequence[Hyperparameters]


def run_trials(
    batch: Sequence[Tried], placement: Placement = Placement()
) -> list[pd.DataFrame]:
    """Compute the runs of cells with each of some hyperparameters.

    A run has the numbers that it has in the cell of its method: the same bits where the
    method multiplies by its step sizes alone, and equal to rounding where it computes
    with them. Nothing is stored.

    Args:
        batch: cells that are equal but for their seeds, with their trials; all are
            computed side by side.
        placement: where the runs are computed; the dtype is the cells'.

    Returns:
        For each cell, one row for each trial and seed, trials varying slowest: trial
        (its number), seed, status, stopped_at (what the run had spent when it ended, or
        where it reached the target for good), cost (what it has spent) and the columns
        of the metrics at the end.

    Raises:
        CodeError: when external code has changed meanwhile.
        DeviceError: when the device has not the cell's precision.
    """
    cell = batch[0].cell
    placement = placement._replace(dtype=getattr(torch, cell.dtype))
    check_precision(cell.precision, placement.device)
    ends: dict[tuple[int, int], pd.DataFrame] = {}
    for group in _groups(batch):
        ends.update(_compute(batch, group, placement))
    return [
        pd.concat(
            [ends[at, number] for number in range(len(one.trials))], ignore_index=True
        )
        for at, one in enumerate(batch)
    ]


# A trial is the place of its cell in the batch, and its number among that cell's.
_Trial = tuple[int, int]


def _compute(
    batch: Sequence[Tried], group: Sequence[_Trial], placement: Placement
) -> Iterator[tuple[_Trial, pd.DataFrame]]:
    """Yield the ends of the runs of trials, which are computed side by side.

    An exception counts for the runs of its own trial alone: the halves of a group with
    one are computed apart.
    """
    if len(group) == 1:
        at, number = group[0]
        cell = _with_trial(*batch[at], number)
        yield (at, number), _ends(cell, cell.seeds, run_cell(cell, placement), [number])
        return
    found = _run_swept(batch, group, placement)
    if found is None:
        half = len(group) // 2
        yield from _compute(batch, group[:half], placement)
        yield from _compute(batch, group[half:], placement)
        return
    first = 0
    for at, number in group:
        last = first + len(batch[at].cell.seeds)
        yield (at, number), found.iloc[first:last]
        first = last


def _with_trial(cell: Cell, trials: Sequence[Hyperparameters], number: int) -> Cell:
    return replace(cell, algorithm=cell.algorithm.with_hyperparameters(trials[number]))


def _groups(batch: Sequence[Tried]) -> Iterator[list[_Trial]]:
    """Yield the trials that can be computed side by side: of equal other values.

    Methods whose step sizes cannot differ from run to run have groups of one trial.
    """
    every = [
        (at, number)
        for at, one in enumerate(batch)
        for number in range(len(one.trials))
    ]
    if not _has_swept_steps(*batch[0]):
        yield from ([one] for one in every)
        return
    groups: dict[Any, list[_Trial]] = {}
    for at, number in every:
        values = batch[at].trials[number]
        others = tuple((k, v) for k, v in values.items() if k not in _SIZES)
        groups.setdefault(others, []).append((at, number))
    yield from groups.values()


def _has_swept_steps(cell: Cell, trials: Sequence[Hyperparameters]) -> bool:
    """Return whether trials have step sizes that may differ from run to run."""
    if not trials or not set(_SIZES) & set(trials[0]):
        return False
    try:
        cell.algorithm.with_step_sizes(1.0, 1.0)
    except MisfitError:
        return False
    return True


def _run_swept(
    batch: Sequence[Tried], group: Sequence[_Trial], placement: Placement
) -> pd.DataFrame | None:
    """Compute trials side by side; None where an exception ended a run."""
    at, number = group[0]
    cell = _with_trial(*batch[at], number)
    seeds: list[int] = []
    numbers: list[int] = []
    pairs: list[tuple[float, float]] = []
    for at, number in group:
        one = batch[at].cell.seeds
        seeds += one
        numbers += [number] * len(one)
        pairs += [_size_pair(batch[at].trials[number])] * len(one)
    sizes = torch.tensor(pairs, dtype=torch.float64)
    width = width_of(cell, placement)
    recordings = []
    with arithmetic(placement.device):
        for first in range(0, len(seeds), width):
            recording = Recording(cell, tuple(seeds[first : first + width]))
            at_x, at_y = _columns(sizes[first : first + width])
            try:
                BudgetChunk(
                    cell, placement, width, recording, None, sizes=(at_x, at_y)
                ).compute(_ignore)
            except CodeError:
                raise
            except (Exception, SystemExit):  # an external class may raise both
                return None
            recordings.append(recording)
    return _ends(cell, seeds, join_recordings(cell, recordings, width), numbers)


def _size_pair(trial: Hyperparameters) -> tuple[float, float]:
    """Return the step sizes of x and y."""
    if "step_size" in trial:
        return trial["step_size"], trial["step_size"]
    at_x, at_y = (trial[name] for name in STEP_SIZES)
    return at_x, at_y


def _columns(sizes: Float[Tensor, "runs 2"]) -> tuple[Tensor, Tensor]:
    at_x, at_y = sizes.split(1, dim=1)
    return at_x, at_y


def _ends(
    cell: Cell, seeds: Sequence[int], trajectory: Trajectory, trials: Sequence[int]
) -> pd.DataFrame:
    """Return how the runs of a trajectory have ended, a row for each.

    Args:
        cell: the cell that they have in common.
        seeds: the seed of each.
        trajectory: all that was recorded.
        trials: the number of each run's trial, or one for all.
    """
    counts = {name: values[-1] for name, values in trajectory.counts.items()}
    return pd.DataFrame(
        {
            "trial": np.broadcast_to(trials, len(seeds)),
            "seed": np.asarray(seeds, dtype=np.int64),
            "status": [str(status) for status in trajectory.status],
            "stopped_at": trajectory.stopped_at,
            "cost": spent(counts, cell.unit),
            **{name: values[-1] for name, values in trajectory.columns.items()},
        }
    )


def _ignore(run_steps: int, recording: Recording | None) -> None:
    """Ignore a report of progress."""

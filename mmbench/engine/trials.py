"""Trials of a method: runs of a cell with other hyperparameters, side by side.

Trials that differ in their step sizes alone are one batch of runs, each with step sizes
of its own. The others are cells of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms.base import Algorithm
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


def run_trials(
    cell: Cell,
    trials: Sequence[Hyperparameters],
    placement: Placement = Placement(),
) -> pd.DataFrame:
    """Compute the runs of a cell with each of some hyperparameters.

    A run has the numbers that it has in the cell of its method: the same bits where the
    method multiplies by its step sizes alone, and equal to rounding where it computes
    with them. Nothing is stored.

    Args:
        cell: the cell, which has a budget; the values of the hyperparameters in its
            algorithm are not used.
        trials: the hyperparameters of each, by their names in the search space.
        placement: where the runs are computed; the dtype is the cell's.

    Returns:
        One row for each trial and seed, trials varying slowest: trial (its number),
        seed, status, stopped_at (what the run had spent when it ended, or where it
        reached the target for good), cost (what it has spent) and the columns of the
        metrics at the end.

    Raises:
        CodeError: when external code has changed meanwhile.
        DeviceError: when the device has not the cell's precision.
    """
    placement = placement._replace(dtype=getattr(torch, cell.dtype))
    check_precision(cell.precision, placement.device)
    ends: dict[int, pd.DataFrame] = {}
    for group in _groups(cell.algorithm, trials):
        found = _run_swept(cell, trials, group, placement) if len(group) > 1 else None
        for position, trial in enumerate(group):
            if found is None:
                method = cell.algorithm.with_hyperparameters(trials[trial])
                alone = replace(cell, algorithm=method)
                ends[trial] = _ends(alone, trial, run_cell(alone, placement))
            else:
                first = position * len(cell.seeds)
                ends[trial] = found.iloc[first : first + len(cell.seeds)]
    return pd.concat([ends[trial] for trial in sorted(ends)], ignore_index=True)


def _groups(
    algorithm: Algorithm, trials: Sequence[Hyperparameters]
) -> Iterator[list[int]]:
    """Yield the numbers of trials that can be one batch: of equal other values.

    Methods whose step sizes cannot differ from run to run have groups of one trial.
    """
    if not _has_swept_steps(algorithm, trials):
        yield from ([number] for number in range(len(trials)))
        return
    groups: dict[Any, list[int]] = {}
    for number, trial in enumerate(trials):
        others = tuple((k, v) for k, v in trial.items() if k not in _SIZES)
        groups.setdefault(others, []).append(number)
    yield from groups.values()


def _has_swept_steps(algorithm: Algorithm, trials: Sequence[Hyperparameters]) -> bool:
    """Return whether trials have step sizes that may differ from run to run."""
    if not trials or not set(_SIZES) & set(trials[0]):
        return False
    try:
        algorithm.with_step_sizes(1.0, 1.0)
    except MisfitError:
        return False
    return True


def _run_swept(
    cell: Cell,
    trials: Sequence[Hyperparameters],
    group: Sequence[int],
    placement: Placement,
) -> pd.DataFrame | None:
    """Compute trials side by side; None where an exception ended a run.

    It then counts for the runs of its own trial alone, which is computed alone.
    """
    method = cell.algorithm.with_hyperparameters(trials[group[0]])
    cell = replace(cell, algorithm=method)
    seeds = cell.seeds * len(group)
    pairs = [_size_pair(trials[trial]) for trial in group]
    sizes = torch.tensor(pairs, dtype=torch.float64)
    sizes = sizes.repeat_interleave(len(cell.seeds), dim=0)
    width = width_of(cell, placement)
    recordings = []
    with arithmetic(placement.device):
        for first in range(0, len(seeds), width):
            recording = Recording(cell, seeds[first : first + width])
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
    found = _ends(cell, 0, join_recordings(cell, recordings, width), seeds)
    return found.assign(trial=np.repeat(group, len(cell.seeds)))


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
    cell: Cell, trial: int, trajectory: Trajectory, seeds: Sequence[int] = ()
) -> pd.DataFrame:
    """Return how the runs of a trajectory have ended, a row for each."""
    counts = {name: values[-1] for name, values in trajectory.counts.items()}
    return pd.DataFrame(
        {
            "trial": trial,
            "seed": np.asarray(seeds or trajectory.seeds, dtype=np.int64),
            "status": [str(status) for status in trajectory.status],
            "stopped_at": trajectory.stopped_at,
            "cost": spent(counts, cell.unit),
            **{name: values[-1] for name, values in trajectory.columns.items()},
        }
    )


def _ignore(run_steps: int, recording: Recording | None) -> None:
    """Ignore a report of progress."""

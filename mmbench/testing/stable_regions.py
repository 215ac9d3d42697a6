"""Stable step sizes on a linear game, by theory and by runs.

The radii are those of `mmbench.testing.theory`, which share nothing with the code of
the methods; the runs are those of `mmbench.step_map`.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.engine.step_size_map import step_map
from mmbench.studies import stability
from mmbench.testing.theory import PREDICTIONS, Planar

COLUMNS = ["method", "step_size_x", "step_size_y", "radius", "converged"]


def stable_regions(
    points: int = stability.POINTS, steps: int = stability.STEPS
) -> pd.DataFrame:
    """Compute where each method with a linear step is stable on the ICR game.

    Args:
        points: number of step sizes of each player.
        steps: steps of each run.

    Returns:
        One row for each method and pair of step sizes: method, step_size_x,
        step_size_y, radius (the spectral radius of a step; of the methods that make
        several steps before they return, its root), and converged, whether the run
        ended within `stability.REACHED` of the solution, relative to its start.
    """
    at = np.geomspace(stability.LOW, stability.HIGH, points)
    placement = Placement(dtype=torch.float64, compiled=True)
    tables = []
    for name in ALGORITHMS:
        if name in stability.NOT_LINEAR:
            continue
        prediction = PREDICTIONS[name]
        multipliers: Any = prediction.multipliers  # the options here have some
        method: Any = replace(ALGORITHMS.build(name), **dict(prediction.case))
        table = step_map(
            stability.TASK, method, at, at, steps=steps, placement=placement
        )
        pairs = zip(table["step_size_x"], table["step_size_y"], strict=True)
        each = method.k if prediction.steps == "k" else prediction.steps
        found = [
            max(map(abs, multipliers(method, Planar(*stability.SECOND, *pair))))
            for pair in pairs
        ]
        ended = table["status"] == Status.FINISHED
        tables.append(
            table[["step_size_x", "step_size_y"]].assign(
                method=str(method),
                radius=np.asarray(found, float) ** (1 / each),
                converged=ended & (table["distance"] <= stability.REACHED),
            )
        )
    joined = pd.concat(tables, ignore_index=True)
    return joined[COLUMNS]

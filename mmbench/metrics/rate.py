"""The linear rate of convergence, estimated from a trajectory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from mmbench.core.literature import SEN_1968
from mmbench.metrics.base import Column, TrajectoryMetric

# Relative to the first value: past the transient, before rounding shows.
WINDOW = (1e-12, 1e-2)
MIN_RECORDS = 4


@final
@dataclass(frozen=True, kw_only=True)
class Rate(TrajectoryMetric):
    """Factor by which a distance shrinks (below 1) or grows (above 1) in one step.

    The column is named after `of`, `distance_rate` by default; lower is better. The
    rate is the exponential of the Theil-Sen slope of the logarithm, over the records
    with values between 1e-12 and 1e-2 of the first; over the second half of the run if
    fewer than four records are in this range. It is NaN if fewer than two values are
    positive.

    Args:
        of: name of the column with the distance.

    Source: Sen 1968, Estimates of the Regression Coefficient Based on Kendall's Tau.
    """

    sources = (SEN_1968,)

    of: str = "distance"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column(f"{self.of}_rate", f"factor of {self.of} in one step"),)

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """Return the values of each column, one for each run."""
        rates = [estimate_rate(np.asarray(steps), run) for run in values.T]
        return {f"{self.of}_rate": np.array(rates)}


def estimate_rate(steps: np.ndarray, values: np.ndarray) -> float:
    """Return a run's factor in one step; NaN for fewer than two positive values.

    Args:
        steps: step of each record, shape (records,).
        values: distance at each record, shape (records,).
    """
    last = len(values)
    while last > 1 and values[last - 1] == values[last - 2]:
        last -= 1  # the last value repeats after a run has ended
    steps, values = steps[:last], values[:last]
    positive = np.isfinite(values) & (values > 0)
    if not positive[0]:
        return float("nan")
    relative = np.where(positive, values / values[0], 0.0)
    window = positive & (relative > WINDOW[0]) & (relative < WINDOW[1])
    if window.sum() < MIN_RECORDS:
        window = positive & (steps >= steps[-1] / 2)
    if window.sum() < 2:
        return float("nan")
    return float(np.exp(median_slope(steps[window], np.log(values[window]))))


def median_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the Theil-Sen estimate: the median slope over all pairs of points."""
    first, second = _pairs(len(x))
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


@lru_cache(maxsize=1)  # most runs of a cell have as many records in the window
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of both points of each pair of different ones."""
    return np.triu_indices(count, k=1)

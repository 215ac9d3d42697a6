"""Measured linear rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from mmbench.metrics.base import Column, TrajectoryMetric

# Where a run has settled and rounding does not yet show, relative to its start.
WINDOW = (1e-12, 1e-2)
FEWEST = 4


@final
@dataclass(frozen=True, kw_only=True)
class Rate(TrajectoryMetric):
    """Factor by which a distance shrinks (below 1) or grows in one step.

    Theil-Sen slope of its logarithm, over the records between 1e-12 and 1e-2 of the
    first value; over the second half of the run where fewer than four lie there.

    Args:
        of: the column.

    Source: Sen 1968.
    """

    of: str = "distance"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (Column(f"{self.of}_rate", f"factor of {self.of} in one step"),)

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """One number for each column and run."""
        rates = [fitted_rate(np.asarray(steps), one) for one in values.T]
        return {f"{self.of}_rate": np.array(rates)}


def fitted_rate(steps: np.ndarray, values: np.ndarray) -> float:
    """Factor in one step of one run; NaN where fewer than two values are positive."""
    last = len(values)
    while last > 1 and values[last - 1] == values[last - 2]:
        last -= 1  # the records of a run that has ended repeat
    steps, values = steps[:last], values[:last]
    positive = np.isfinite(values) & (values > 0)
    if not positive[0]:
        return float("nan")
    relative = np.where(positive, values / values[0], 0.0)
    window = positive & (relative > WINDOW[0]) & (relative < WINDOW[1])
    if window.sum() < FEWEST:
        window = positive & (steps >= steps[-1] / 2)
    if window.sum() < 2:
        return float("nan")
    return float(np.exp(median_slope(steps[window], np.log(values[window]))))


def median_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Theil-Sen estimate: the median of the slopes of all pairs of points."""
    first, second = np.triu_indices(len(x), k=1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))

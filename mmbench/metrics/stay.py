"""How long a column stays near a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from mmbench.core.domains import Finite, Positive
from mmbench.metrics.base import Column, TrajectoryMetric


@final
@dataclass(frozen=True, kw_only=True)
class Stay(TrajectoryMetric):
    """Number of steps for which a column is near a value, at longest and in all.

    The columns are named after `of` and `within`, with the default values:

        theta_1_longest_within_0.05: points in the longest stay without interruption
        theta_1_steps_within_0.05:   points in all stays together

    Both count the points after each step, the first point included, at which the
    column differs from `at` by less than `within`; 0 if there is none, and NaN where
    the column was never finite. They only describe; neither direction is better.

    They are exact if every step is recorded, so choose as many records as steps.
    Otherwise the points between two neighbouring records are counted if the column is
    near the value at both: an interruption between records is not seen, nor is a stay.
    After a run has ended its records repeat the last point, and count.

    Args:
        of: name of the original column.
        at: the value, in the unit of the original column.
        within: distance from the value below which the column is near it.
    """

    of: str = "theta_1"
    at: Finite = 2.0
    within: Positive = 0.05

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        near = f"{self.of} is within {self.within:g} of {self.at:g}"
        return (
            Column(self._longest, f"steps in a row that {near}", "neither"),
            Column(self._total, f"steps that {near}", "neither"),
        )

    @property
    def _longest(self) -> str:
        """The name of the column of the longest stay."""
        return f"{self.of}_longest_within_{self.within:g}"

    @property
    def _total(self) -> str:
        """The name of the column of all stays together."""
        return f"{self.of}_steps_within_{self.within:g}"

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """Return the values of each column, one for each run."""
        current, longest, total = np.zeros((3, values.shape[1]))
        near = np.abs(values - self.at) < self.within
        for is_near, gap in zip(near, np.diff(steps, prepend=0), strict=True):
            added = np.where(current > 0, gap, 1)
            current = np.where(is_near, current + added, 0)
            longest = np.maximum(longest, current)
            total += np.where(is_near, added, 0)
        known = np.isfinite(values).any(axis=0)
        return {
            self._longest: np.where(known, longest, np.nan),
            self._total: np.where(known, total, np.nan),
        }

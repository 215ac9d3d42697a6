"""The number of times that a run loses modes or digits it had covered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from mmbench.metrics.base import Column, TrajectoryMetric


@final
@dataclass(frozen=True, kw_only=True)
class Forgetting(TrajectoryMetric):
    """Number of records at which a count (of modes, of digits) is below the previous.

    The column is named after `of`: `modes_forgotten` by default. It is a whole
    number from 0 to the number of records less one, and lower is better; NaN where the
    count was never finite. It shows cycling, which the value at the end of a run does
    not. It grows with the number of records.

    Args:
        of: name of the column that counts.
    """

    of: str = "modes"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column(f"{self.of}_forgotten", f"times {self.of} were lost"),)

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """Return the values of each column, one for each run."""
        lost = (np.diff(values, axis=0) < 0).sum(axis=0)
        known = np.isfinite(values).any(axis=0)
        return {f"{self.of}_forgotten": np.where(known, lost, np.nan)}

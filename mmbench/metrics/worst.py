"""The largest value of a column over the last tenth of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from mmbench.metrics.base import Column, TrajectoryMetric


@final
@dataclass(frozen=True, kw_only=True)
class Worst(TrajectoryMetric):
    """Largest value of a column over the records in the last tenth of the steps.

    The column is named after `of`, `distance_worst` by default, and is in the unit of
    the original column; lower is better. A cycling run passes close to solutions
    without staying there, so a single record can be misleadingly good.

    Args:
        of: name of the original column.
    """

    of: str = "distance"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        title = f"worst {self.of} of the last tenth"
        return (Column(f"{self.of}_worst", title, scale="log"),)

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """Return the values of each column, one for each run."""
        tail = np.asarray(steps) >= 0.9 * steps[-1]
        return {f"{self.of}_worst": values[tail].max(axis=0)}

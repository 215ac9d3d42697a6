"""Worst value over the last tenth of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from mmbench.metrics.base import Column, TrajectoryMetric


@final
@dataclass(frozen=True, kw_only=True)
class Worst(TrajectoryMetric):
    """Largest value over the records of the last tenth of the steps.

    A cycling run passes close to solutions it does not stay at; one record can flatter
    it, the worst of a stretch cannot.

    Args:
        of: the column.
    """

    of: str = "distance"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        title = f"worst {self.of} of the last tenth"
        return (Column(f"{self.of}_worst", title, scale="log"),)

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """One number for each column and run."""
        tail = np.asarray(steps) >= 0.9 * steps[-1]
        return {f"{self.of}_worst": values[tail].max(axis=0)}

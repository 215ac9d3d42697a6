"""Forgetting events: how often what was learned is lost again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from mmbench.metrics.base import Column, TrajectoryMetric


@final
@dataclass(frozen=True, kw_only=True)
class Forgetting(TrajectoryMetric):
    """Number of records at which a count (of modes, of digits) is lower than before.

    Cycling is a matter of time; a snapshot at the end does not measure it.

    Args:
        of: the column.
    """

    of: str = "modes"

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (Column(f"{self.of}_forgotten", f"times {self.of} were lost"),)

    def summarise(
        self, steps: Sequence[int], values: np.ndarray
    ) -> Mapping[str, np.ndarray]:
        """One number for each column and run."""
        lost = (np.diff(values, axis=0) < 0).sum(axis=0)
        known = np.isfinite(values).any(axis=0)
        return {f"{self.of}_forgotten": np.where(known, lost, np.nan)}

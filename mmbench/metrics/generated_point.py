"""The point that a generator without noise makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class GeneratedPoint(IterateMetric):
    """Coordinates of the only point that a generator without noise makes.

    The columns `theta_1` and `theta_2`, in units of the data, only describe; neither
    direction is better.
    """

    needs = frozenset({Capability.ONE_POINT})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (
            Column("theta_1", "first coordinate of the generated point", "neither"),
            Column("theta_2", "second coordinate of the generated point", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        theta = at.samples(1)[:, 0]
        return {"theta_1": theta[:, 0], "theta_2": theta[:, 1]}

"""Restricted primal-dual gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Positive
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Gap(IterateMetric):
    """Restricted primal-dual gap: what the players could still gain within a ball.

        max over |y'| ≤ R of f(x, y') − min over |x'| ≤ R of f(x', y)

    On a box the players deviate within the box. Without a restriction the gap of a
    bilinear game is infinite everywhere but at the solution.

    Args:
        radius: R, in units of z, around the solution.

    Source: Nesterov 2007.
    """

    radius: Positive = 10.0  # above twice the norm of all but a few standard starts

    needs = frozenset({Capability.SADDLE_GAP})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (Column("gap", "restricted primal-dual gap", scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """One number for each column and run."""
        return {"gap": at.game.gap(at.z, self.radius)}

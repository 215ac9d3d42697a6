"""The restricted primal-dual gap."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from mmbench.core.capability import Capability
from mmbench.core.domains import Positive
from mmbench.core.literature import NESTEROV_2007
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class Gap(IterateMetric):
    """Restricted primal-dual gap: what the players can still gain within a ball.

        max over |y'| ≤ R of f(x, y') − min over |x'| ≤ R of f(x', y)

    The ball lies around the solution; on a box the players deviate within the box, and
    among all mixed strategies where these are played, whatever R. The column `gap` is
    in units of the payoff f; it is zero at a saddle point, and lower is better. Without
    a restriction the gap of a bilinear game is infinite everywhere except at the
    solution.

    Args:
        radius: R, in units of z.

    Source: Nesterov 2007, Dual Extrapolation and Its Applications to Solving
        Variational Inequalities and Related Problems.
    """

    by_iterate = True
    sources = (NESTEROV_2007,)

    radius: Positive = 10.0  # more than twice the norm of nearly all starts

    needs = frozenset({Capability.SADDLE_GAP})

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        return (Column("gap", "restricted primal-dual gap", scale="log"),)

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        return {"gap": at.game.gap(at.z, self.radius)}

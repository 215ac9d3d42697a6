"""What each player gains by training alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.nn.functional import pad

from mmbench.core.domains import Count, StepSize
from mmbench.core.literature import SCHAEFER_2020
from mmbench.metrics._jacobian import pair_of
from mmbench.metrics.base import Column, IterateMetric, Point


@final
@dataclass(frozen=True, kw_only=True)
class GainAlone(IterateMetric):
    """How much each player's loss falls in some gradient steps while the other stays.

        y' = k steps y ← y − ηᵧ ∇ᵧ loss_y(x, y);   gain_y = loss_y(x, y) − loss_y(x, y')

    The columns `gain_x` (the same for x) and `gain_y`, in units of the losses, only
    describe. Both are about 0 at a local Nash equilibrium. A gain that is large where
    joint training stays shows implicit competitive regularization: a player could
    escape at once, and the answers of the other keep it. In zero-sum games the sum of
    two gains of 0 or above is a lower bound of the primal-dual gap.

    On games with data each step takes a fresh minibatch, and the losses before and
    after are those of one minibatch, without dropout.

    Args:
        steps: k, the budget; values of different budgets do not compare.
        step_size: η, a number or a pair (x, y).

    Source: Schäfer, Zheng and Anandkumar 2020, Section 3.
    """

    steps: Count = 100
    step_size: StepSize = 0.01

    sources = (SCHAEFER_2020.at("Section 3"),)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns that the metric fills."""
        budget = f"in {self.steps} steps alone"
        return (
            Column("gain_x", f"gain of x {budget}", "neither"),
            Column("gain_y", f"gain of y {budget}", "neither"),
        )

    def measure(self, at: Point) -> Mapping[str, Tensor]:
        """Return the values of each column, one for each run."""
        game = at.game
        sizes = pair_of(self.step_size)
        padding = (0, game.dim_y), (game.dim_x, 0)
        before = at.oracle_with_data().losses(at.z, train=False)
        gains = []
        for player in (0, 1):
            oracle, z = at.oracle_with_data(), at.z
            gradient = (oracle.grad_x, oracle.grad_y)[player]
            for _ in range(self.steps):
                z = game.project(z - sizes[player] * pad(gradient(z), padding[player]))
                if not game.terms:
                    oracle.resample()
            after = at.oracle_with_data().losses(z, train=False)
            gains.append(before[player] - after[player])
        return {"gain_x": gains[0], "gain_y": gains[1]}

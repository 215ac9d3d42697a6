"""BCSEG+: bias-corrected stochastic extragradient."""

from dataclasses import dataclass
from typing import NamedTuple, final

from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._schedules import Power, Schedule
from mmbench.algorithms._wrapper import count_from_zero
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.algorithms.extragradient import Ratio
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import PETHICK_2023
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class BCSEGState(NamedTuple):
    """The state of bias-corrected stochastic extragradient.

    Args:
        previous: iterate before the last step; the first iterate before the first.
        ahead: point of the last look-ahead; the first iterate before the first.
        time: number of steps.
    """

    previous: Joint
    ahead: Joint
    time: Float[Tensor, "runs 1"]


@final
@dataclass(frozen=True, kw_only=True)
class BCSEG(Algorithm):
    """BCSEG+: stochastic extragradient that averages the noise of its look-ahead.

        z̃ = z − η F(z; ξ) + (1 − α) (z̃⁻ − z⁻ + η F(z⁻; ξ))
        z⁺ = z − α η F(z̃; ξ̃),   α = ρ s(t),   with fresh minibatches ξ and ξ̃

    With α = 1 in the first line this is `extragradient` with the same decay (SEG+),
    whose look-ahead keeps the noise of one minibatch. Here its noise falls with α,
    while η stays: so weak Minty problems, in which a small η fails, are solved without
    growing minibatches.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        ratio: ρ, the second step size relative to the first, at the first step.
        decay: s(t), the factor of ρ at step t, counted from 0. The authors' code
            lets α fall as 1/t.

    State: the iterate before, the last look-ahead, number of steps.
    Cost: 3 gradients of each player and 2 minibatches for each step.
    Differs from the source: where a game has constraints, both points are projected;
        the authors' method for constraints is another.
    Source: Pethick, Fercoq, Latafat, Patrinos and Cevher 2023; the authors' code.
    """

    step_size: StepSize = 0.1
    ratio: Ratio = 1.0
    decay: Schedule = Power(offset=100.0)

    source = PETHICK_2023
    cost = Cost(grad_x=3, grad_y=3, minibatches=2)

    def init(self, oracle: Oracle, z: Iterate) -> BCSEGState:
        """Return the state before the first step."""
        return BCSEGState(z, z, count_from_zero(z))

    def step(
        self, oracle: Oracle, z: Iterate, state: BCSEGState
    ) -> tuple[Iterate, BCSEGState]:
        """Make one step of every run."""
        alpha = self.ratio * self.decay.factor(state.time)
        here = oracle.scale(self.step_size, oracle.field(z))
        before = oracle.scale(self.step_size, oracle.field(state.previous))
        bias = state.ahead - state.previous + before
        ahead = oracle.project(z - here + (1 - alpha) * bias)
        oracle.resample()
        there = oracle.scale(self.step_size, oracle.field(ahead))
        moved = oracle.project(z - alpha * there)
        return moved, BCSEGState(z, ahead, state.time + 1)

"""EAG: extra anchored gradient."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from mmbench.algorithms._anchor import AnchorState, init_anchor
from mmbench.algorithms._directions import Directions, Plain, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Domain, StepSize
from mmbench.core.literature import YOON_2021
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class EAG(Algorithm):
    """Extra anchored gradient: extragradient whose steps also lead back to the start.

        z̃ = z + β (z₀ − z) − η F(z)
        z⁺ = z + β (z₀ − z) − η F(z̃),   β = 1/(k + 2) at step k = 0, 1, …
        η⁺ = η (1 − (ηR)² / ((1 − (ηR)²) (k + 1) (k + 3)))

    Where F is monotone and R-Lipschitz, ‖F(z)‖² falls as 1/k² at the last iterate, the
    best possible rate; that of extragradient falls as 1/k. With `lipschitz_step=0` the
    step size stays (EAG-C, for which the authors prove the rate if η ≤ 1/(8R)); with
    0.618 this is their EAG-V.

    Args:
        step_size: η at the first step, a number or a pair (x, y), in units of z per
            unit of F.
        lipschitz_step: ηR at the first step, without unit.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        minibatch: whether the second half-step uses the "same" minibatch as the first
            or a "fresh" one.

    State: the first iterate, number of steps, step size relative to the first, moments
        of the directions.
    Cost: 2 gradients of each player for each step.
    Poor use: games with constant noise, whose effect grows with the number of steps.
    Source: Yoon and Ryu 2021.
    """

    step_size: StepSize = 0.1
    lipschitz_step: Annotated[float, Domain(low=0, high=0.75, open_high=True)] = 0.0
    direction: Directions = Plain()
    minibatch: Literal["same", "fresh"] = "same"

    source = YOON_2021

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(
            grad_x=2, grad_y=2, minibatches=2 if self.minibatch == "fresh" else 1
        )

    def init(self, oracle: Oracle, z: Iterate) -> AnchorState:
        """Return the state before the first step."""
        return init_anchor(self.direction, oracle, z)

    def step(
        self, oracle: Oracle, z: Iterate, state: AnchorState
    ) -> tuple[Iterate, AnchorState]:
        """Make one step of every run."""
        time, share, moments = state.time, state.share, state.moments
        drawn = z + (state.anchor - z) / (time + 2)
        d, moments = step_joint(self.direction, oracle, oracle.field(z), moments)
        ahead = oracle.project(drawn - oracle.scale(self.step_size, share * d))
        if self.minibatch == "fresh":
            oracle.resample()
        d, moments = step_joint(self.direction, oracle, oracle.field(ahead), moments)
        z = oracle.project(drawn - oracle.scale(self.step_size, share * d))
        square = (self.lipschitz_step * share) ** 2
        share = share * (1 - square / ((1 - square) * (time + 1) * (time + 3)))
        return z, AnchorState(state.anchor, time + 1, share, moments)

"""The extragradient method."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms._schedules import Schedule
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Domain, StepSize
from mmbench.core.literature import KORPELEVICH_1976
from mmbench.core.oracle import Oracle

Ratio = Annotated[float, Domain(low=0, high=1, open_low=True)]


class TimedState(NamedTuple):
    """Moments of the directions, number of steps."""

    moments: Any
    time: Float[Tensor, "runs 1"]


@final
@dataclass(frozen=True, kw_only=True)
class Extragradient(Algorithm):
    """Extragradient: look ahead, then step from the old point with the new field.

        z̃ = z − η F(z)
        z⁺ = z − ρ η F(z̃)

    Last iterates converge on bilinear games for η < 1, at twice the price of GDA. With
    `direction=adam[epsilon_at=raw]` this is ExtraAdam as in its authors' code, which
    updates the moments at both half-steps; `direction=adam` adds ε where Adam's paper
    and torch do.

    With ρ < 1 this is EG+ of Diakonikolas, Daskalakis and Jordan 2021, who take 1/2.
    With ρ s(t) in the place of ρ and fresh minibatches it is DSEG of Hsieh, Iutzeler,
    Malick and Mertikopoulos 2020, which explores aggressively and updates
    conservatively: on noisy games the last iterate converges where s falls to 0.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        minibatch: whether the second half-step uses the "same" minibatch as the first
            or a "fresh" one; on noisy games convergence depends on it.
        ratio: ρ, the second step size relative to the first.
        decay: s(t), a factor of ρ at step t, counted from 0; none is 1. DSEG has
            `power`, whose η may fall as well by `scheduled`, but more slowly.

    State: moments of the directions; with a decay, number of steps.
    Cost: 2 gradients of each player for each step.
    Source: Korpelevich 1976; ExtraAdam: Gidel et al. 2019.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    minibatch: Literal["same", "fresh"] = "same"
    ratio: Ratio = field(default=1.0, metadata={"identity": "unless default"})
    decay: Schedule | None = field(
        default=None, metadata={"identity": "unless default"}
    )

    source = KORPELEVICH_1976

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(
            grad_x=2, grad_y=2, minibatches=2 if self.minibatch == "fresh" else 1
        )

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        moments = init_joint(self.direction, oracle, z)
        return (
            moments
            if self.decay is None
            else TimedState(moments, torch.zeros_like(z[:, :1]))
        )

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        if self.decay is not None:
            ratio = self.ratio * self.decay.factor(state.time)
            z, moments = self._step(oracle, z, state.moments, ratio)
            return z, TimedState(moments, state.time + 1)
        return self._step(oracle, z, state, self.ratio)

    def _step(
        self, oracle: Oracle, z: Iterate, state: Any, ratio: Any
    ) -> tuple[Iterate, Any]:
        """Make one step with a ratio, given the moments of the directions."""
        d, state = step_joint(self.direction, oracle, oracle.field(z), state)
        ahead = oracle.project(z - oracle.scale(self.step_size, d))
        if self.minibatch == "fresh":
            oracle.resample()
        d, state = step_joint(self.direction, oracle, oracle.field(ahead), state)
        if self.decay is not None or self.ratio != 1:
            d = ratio * d
        return oracle.project(z - oracle.scale(self.step_size, d)), state

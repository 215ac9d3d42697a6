"""OMD: optimistic mirror descent, Euclidean; also known as OGDA."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, StepSize
from mmbench.core.literature import DASKALAKIS_2018
from mmbench.core.oracle import Oracle


class OMDState(NamedTuple):
    """The state of optimistic mirror descent.

    Args:
        moments: moments of the directions.
        previous: direction of the step before.
        time: number of steps.
    """

    moments: Any
    previous: Float[Tensor, "runs dim"]
    time: Float[Tensor, "runs 1"]


@final
@dataclass(frozen=True, kw_only=True)
class OMD(Algorithm):
    """Optimistic mirror descent: step, and correct by the change of the field.

        z⁺ = z − η (1 + ω) d(z) + η ω d(z⁻),   d = F where the direction is plain

    With ω = 1, last iterates converge on bilinear games for η < 1/√3 at the price of
    GDA. With `direction=adam` this is OptimisticAdam, and with another ω the
    generalised OGDA of Mokhtari, Ozdaglar and Pattathil 2020.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        first: direction assumed before the first step: "same" takes that of the first
            step, which is then a step of GDA; "zero" takes zero, which doubles it.
        optimism: ω, weight of the correction; 0 is GDA.

    State: moments of the directions, the direction of the step before.
    Cost: 1 gradient of each player for each step.
    Source: Daskalakis, Ilyas, Syrgkanis and Zeng 2018.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    first: Literal["same", "zero"] = "same"
    optimism: NonNegative = field(default=1.0, metadata={"identity": "unless default"})

    source = DASKALAKIS_2018
    cost = Cost(grad_x=1, grad_y=1)

    def init(self, oracle: Oracle, z: Iterate) -> OMDState:
        """Return the state before the first step."""
        moments = init_joint(self.direction, oracle, z)
        return OMDState(moments, torch.zeros_like(z), torch.zeros_like(z[:, :1]))

    def step(
        self, oracle: Oracle, z: Iterate, state: OMDState
    ) -> tuple[Iterate, OMDState]:
        """Make one step of every run."""
        d, moments = step_joint(self.direction, oracle, oracle.field(z), state.moments)
        previous = state.previous
        if self.first == "same":
            previous = torch.where(state.time > 0, previous, d)
        moves = (1 + self.optimism) * d - self.optimism * previous
        z = oracle.project(z - oracle.scale(self.step_size, moves))
        return z, OMDState(moments, d, state.time + 1)

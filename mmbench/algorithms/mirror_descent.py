"""Entropic mirror descent, also known as multiplicative weights or Hedge."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, StepSize
from mmbench.core.literature import BECK_2003
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class MirrorDescentState(NamedTuple):
    """The field of the step before, and the number of steps."""

    previous: Joint
    time: Float[Tensor, "runs 1"]


@final
@dataclass(frozen=True, kw_only=True)
class MirrorDescent(Algorithm):
    """Entropic mirror descent: both players reweight their actions at the same time.

        z⁺ ∝ z exp(−η ((1 + ω) F(z) − ω F(z⁻))),   F(z⁻) = F(z) at the first step

    On each simplex the entries are divided by their sum. With ω = 0 this is
    multiplicative weights: on zero-sum games the averages converge at the rate 1/√t
    where η is chosen for the horizon, while the iterates leave an interior equilibrium
    for the boundary. With ω = 1 it is optimistic multiplicative weights, whose last
    iterates converge to an equilibrium that is unique, for small η. The Euclidean form
    is `omd`.

    Args:
        step_size: η, a number or a pair (x, y), in units of 1 per unit of F.
        optimism: ω, weight of the correction by the change of the field.

    State: the field of the step before, number of steps.
    Cost: 1 gradient of each player for each step.
    Poor use: without optimism, where the last iterate is the result.
    Source: Beck and Teboulle 2003; optimistic: Rakhlin and Sridharan 2013.
    """

    step_size: StepSize = 0.1
    optimism: NonNegative = 0.0

    source = BECK_2003
    needs = frozenset({Capability.SIMPLEX})

    cost = Cost(grad_x=1, grad_y=1)

    def init(self, oracle: Oracle, z: Iterate) -> MirrorDescentState:
        """Return the state before the first step."""
        return MirrorDescentState(torch.zeros_like(z), torch.zeros_like(z[:, :1]))

    def step(
        self, oracle: Oracle, z: Iterate, state: MirrorDescentState
    ) -> tuple[Iterate, MirrorDescentState]:
        """Make one step of every run."""
        field = oracle.field(z)
        previous = torch.where(state.time > 0, state.previous, field)
        moves = (1 + self.optimism) * field - self.optimism * previous
        z = oracle.mirror(z, -oracle.scale(self.step_size, moves))
        return z, MirrorDescentState(field, state.time + 1)

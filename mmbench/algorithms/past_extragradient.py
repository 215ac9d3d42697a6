"""Past extragradient: look ahead with the field of the look-ahead before."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.oracle import Oracle
from mmbench.core.source import Source


class PastState(NamedTuple):
    """Moments, and the direction at the last look-ahead (zero before the first)."""

    moments: Any
    previous: Float[Tensor, "runs dim"]


@final
@dataclass(frozen=True, kw_only=True)
class PastExtragradient(Algorithm):
    """Past extragradient: look ahead with the field of the look-ahead before.

        z̃⁺ = z − η F(z̃)
        z⁺ = z − η F(z̃⁺)

    Half the price of extragradient; unconstrained, z̃ follows optimistic descent.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: what each player makes of its gradient; one, or a pair (x, y).

    State: moments of the directions, the direction at the last look-ahead.
    Cost: 1 gradient of each player a step.
    Source: Popov 1980.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()

    source = Source(
        authors="Popov",
        year=1980,
        title="A modification of the Arrow-Hurwicz method for search of saddle points",
    )

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_x=1, grad_y=1)

    def init(self, oracle: Oracle, z: Iterate) -> PastState:
        """No look-ahead yet."""
        return PastState(init_joint(self.direction, oracle, z), torch.zeros_like(z))

    def step(
        self, oracle: Oracle, z: Iterate, state: PastState
    ) -> tuple[Iterate, PastState]:
        """One step of every run."""
        ahead = oracle.project(z - oracle.scale(self.step_size, state.previous))
        d, moments = step_joint(
            self.direction, oracle, oracle.field(ahead), state.moments
        )
        z = oracle.project(z - oracle.scale(self.step_size, d))
        return z, PastState(moments, d)

"""Popov's past extragradient method."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import POPOV_1980
from mmbench.core.oracle import Oracle


class PastState(NamedTuple):
    """The state of past extragradient.

    Args:
        moments: moments of the directions.
        previous: direction at the last look-ahead; zero before the first.
    """

    moments: Any
    previous: Float[Tensor, "runs dim"]


@final
@dataclass(frozen=True, kw_only=True)
class PastExtragradient(Algorithm):
    """Past extragradient: look ahead with the field of the last look-ahead.

        z̃⁺ = z − η F(z̃)
        z⁺ = z − η F(z̃⁺)

    It has half the price of extragradient; without constraints, z̃ follows optimistic
    descent.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).

    State: moments of the directions, the direction at the last look-ahead.
    Cost: 1 gradient of each player for each step.
    Source: Popov 1980.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()

    source = POPOV_1980
    cost = Cost(grad_x=1, grad_y=1)

    def init(self, oracle: Oracle, z: Iterate) -> PastState:
        """Return the state before the first look-ahead."""
        return PastState(init_joint(self.direction, oracle, z), torch.zeros_like(z))

    def step(
        self, oracle: Oracle, z: Iterate, state: PastState
    ) -> tuple[Iterate, PastState]:
        """Make one step of every run."""
        ahead = oracle.project(z - oracle.scale(self.step_size, state.previous))
        d, moments = step_joint(
            self.direction, oracle, oracle.field(ahead), state.moments
        )
        z = oracle.project(z - oracle.scale(self.step_size, d))
        return z, PastState(moments, d)

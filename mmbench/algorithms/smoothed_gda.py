"""Smoothed gradient descent ascent."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from mmbench.algorithms._directions import Directions, Plain, init_players, move
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Fraction, NonNegative, StepSize
from mmbench.core.literature import ZHANG_2020
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class SmoothedState(NamedTuple):
    """The averages (u, v), moments of each player's direction."""

    centre: Joint
    moments: Any


@final
@dataclass(frozen=True, kw_only=True)
class SmoothedGDA(Algorithm):
    """Smoothed GDA: alternating steps, held near averages of the iterates.

        x⁺ = x − ηₓ (∇ₓ loss_x(x, y) + pₓ (x − u))
        y⁺ = y − ηᵧ (∇ᵧ loss_y(x⁺, y) + pᵧ (y − v))
        u⁺ = u + βₓ (x⁺ − u),   v⁺ = v + βᵧ (y⁺ − v)

    The averages start at the first iterate. With pᵧ = 0 this is smoothed GDA, made for
    games that are concave in y and nonconvex in x, where x's penalised loss is convex
    if pₓ exceeds its smoothness. With pᵧ > 0 it is doubly smoothed GDA, for games that
    are neither.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        penalty: (pₓ, pᵧ), weights of the penalties, in units of second derivatives.
        averaging: (βₓ, βᵧ), by which the averages approach the iterates. The authors
            recommend βₓ and pₓ from 0.5 to 1 for robust training.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).

    State: the averages, moments of each player's direction.
    Cost: 1 gradient of each player for each step, each on a fresh minibatch.
    Source: Zhang, Xiao, Sun and Luo 2020; doubly smoothed: Zheng, Zhu, So, Blanchet and
        Li 2023.
    """

    step_size: StepSize = 0.1
    penalty: tuple[NonNegative, NonNegative] = (1.0, 0.0)
    averaging: tuple[Fraction, Fraction] = (0.5, 0.5)
    direction: Directions = Plain()

    source = ZHANG_2020
    cost = Cost(grad_x=1, grad_y=1, minibatches=2)

    def init(self, oracle: Oracle, z: Iterate) -> SmoothedState:
        """Return the state before the first step."""
        return SmoothedState(z, init_players(self.direction, oracle, z))

    def step(
        self, oracle: Oracle, z: Iterate, state: SmoothedState
    ) -> tuple[Iterate, SmoothedState]:
        """Make one step of every run."""
        centre, moments = state
        pull_x, pull_y = oracle.split(oracle.row(*self.penalty) * (z - centre))
        gradient = oracle.grad_x(z) + pull_x
        z, moments = move("x", self, oracle, z, moments, gradient)
        oracle.resample()
        gradient = oracle.grad_y(z) + pull_y
        z, moments = move("y", self, oracle, z, moments, gradient)
        centre = centre + oracle.row(*self.averaging) * (z - centre)
        return z, SmoothedState(centre, moments)

"""Unrolled gradient descent ascent."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from mmbench.algorithms._directions import (
    Directions,
    Plain,
    direction_pair,
    init_players,
    move,
    step_size_pair,
)
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, StepSize
from mmbench.core.literature import METZ_2017
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace


@final
@dataclass(frozen=True, kw_only=True)
class Unrolled(Algorithm):
    """Unrolled descent: x differentiates its loss through the next k steps of y.

        yᵢ₊₁ = yᵢ − η d(∇ᵧ loss_y(x, yᵢ)),   y₀ = y,   i < k
        x⁺ = x − η d(∇ₓ loss_x(x, y_k(x))),   y⁺ = y₁

    Player x anticipates the steps of y; memory use grows with k.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
            The unrolled steps use y's, and its moments are differentiated as well.
        k: number of unrolled steps of y.

    State: moments of each player's direction.
    Cost: 1 gradient of x, k gradients of y and k Hessian products for each step, on one
        minibatch; y's own step is the first unrolled one.
    Differs from the source: unrolled steps of y are not projected.
    Source: Metz, Poole, Pfau and Sohl-Dickstein 2017.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    k: Count = 5

    source = METZ_2017
    tuned: ClassVar[SearchSpace] = {
        "k": Choice(
            (1, 2, 5, 10),
            "From one step, the least that looks ahead, to ten, as published.",
        )
    }

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(grad_x=1, grad_y=self.k, hvps=self.k)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of each player's direction."""
        return init_players(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        direction = direction_pair(self.direction)[1]
        step_size = step_size_pair(self.step_size)[1]

        def answer(y: Any, gradient: Any, moments: Any) -> tuple[Any, Any]:
            d, moments = direction.step(gradient, moments)
            return y - step_size * d, moments

        unrolled = oracle.unroll(z, self.k, answer, state[1])
        z, state = move("x", self, oracle, z, state, unrolled.grad_x)
        return move("y", self, oracle, z, state, unrolled.first_grad_y)

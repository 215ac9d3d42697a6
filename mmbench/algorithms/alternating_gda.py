"""Alternating gradient descent ascent."""

from dataclasses import dataclass
from typing import Any, Literal, final

from mmbench.algorithms._directions import (
    Directions,
    Plain,
    init_players,
    move,
)
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, StepSize
from mmbench.core.literature import BAILEY_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class AlternatingGDA(Algorithm):
    """Alternating gradient descent ascent: one player steps after the other.

        x⁺ = x − η ∇ₓ loss_x(x, y)
        y⁺ = y − η ∇ᵧ loss_y(x⁺, y),   k times

    On bilinear games its iterates stay on closed orbits, where simultaneous steps
    diverge.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        k: number of steps of y for each step of x.
        first: player that moves first; with "both", y's first step is simultaneous with
            x's and its other k−1 follow, as in the four-Gaussian code of Mangoubi et
            al.

    State: moments of each player's direction.
    Cost: 1 gradient of x and k of y for each step; each move after the first draws a
        fresh minibatch.
    Source: Bailey, Gidel and Piliouras 2020.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    k: Count = 1
    first: Literal["x", "y", "both"] = "x"

    source = BAILEY_2020

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        shared = 1 if self.first == "both" else 0
        return Cost(grad_x=1, grad_y=self.k, minibatches=1 + self.k - shared)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of each player's direction."""
        return init_players(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        if self.first == "both":
            at_x, at_y = oracle.split(oracle.field(z))
            z, state = move("x", self, oracle, z, state, at_x)
            z, state = move("y", self, oracle, z, state, at_y)
            return self._answers(oracle, z, state, self.k - 1)
        if self.first == "x":
            z, state = move("x", self, oracle, z, state, oracle.grad_x(z))
            return self._answers(oracle, z, state, self.k)
        z, state = move("y", self, oracle, z, state, oracle.grad_y(z))
        z, state = self._answers(oracle, z, state, self.k - 1)
        oracle.resample()
        return move("x", self, oracle, z, state, oracle.grad_x(z))

    def _answers(
        self, oracle: Oracle, z: Iterate, state: Any, times: int
    ) -> tuple[Iterate, Any]:
        """Make steps of y, each on a fresh minibatch."""
        for _ in range(times):
            oracle.resample()
            z, state = move("y", self, oracle, z, state, oracle.grad_y(z))
        return z, state

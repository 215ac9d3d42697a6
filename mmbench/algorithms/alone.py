"""Gradient descent of one player alone."""

from dataclasses import dataclass
from typing import Any, Literal, final

from mmbench.algorithms._directions import Direction, Plain, init_players, move
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Positive
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle, Size


@final
@dataclass(frozen=True, kw_only=True)
class Alone(Algorithm):
    """Gradient descent of one player while the other stays fixed.

        y⁺ = y − η ∇ᵧ loss_y(x, y)        (player = y; the same for x)

    It solves no game but measures one: how much a player gains when the other does not
    answer, as when the discriminator of a GAN is trained on from a checkpoint.

    Args:
        player: player that moves.
        step_size: η, in units of the player per unit of its gradient.
        direction: how its gradient becomes a direction.

    State: moments of the direction.
    Cost: 1 gradient of the player for each step.
    Source: Schäfer, Zheng and Anandkumar 2020, Section 3.
    """

    player: Literal["x", "y"] = "y"
    step_size: Positive = 0.1
    direction: Direction = Plain()

    source = SCHAEFER_2020.at("Section 3")

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(grad_x=self.player == "x", grad_y=self.player == "y")

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of both players; only one player's change."""
        return init_players(self.direction, oracle, z)

    def with_step_sizes(self, at_x: Size, at_y: Size) -> Algorithm:
        """Return this method with the step size of its player."""
        return self._with_step_size(at_x if self.player == "x" else at_y)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        gradient = oracle.grad_x(z) if self.player == "x" else oracle.grad_y(z)
        return move(self.player, self, oracle, z, state, gradient)

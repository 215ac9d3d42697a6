"""Alone: one player descends while the other stands still."""

from dataclasses import dataclass
from typing import Any, Literal, final

from mmbench.algorithms._directions import Direction, Plain, move_x, move_y
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Positive
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class Alone(Algorithm):
    """One player descends its own loss while the other stands still.

        y⁺ = y − η ∇ᵧ loss_y(x, y)        (player = y; the same for x)

    No method for games but a probe of them: what one player gains when the other does
    not answer, as when a discriminator is trained beyond a checkpoint of a GAN.

    Args:
        player: who moves.
        step_size: η, in units of the player per unit of its gradient.
        direction: what the player makes of its gradient.

    State: moments of the direction.
    Cost: 1 gradient of the player a step.
    Source: Schäfer, Zheng and Anandkumar 2020, Section 3.
    """

    player: Literal["x", "y"] = "y"
    step_size: Positive = 0.1
    direction: Direction = Plain()

    source = SCHAEFER_2020.at("Section 3")

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_x=self.player == "x", grad_y=self.player == "y")

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Moments of the direction, for both players; one's never change."""
        x, y = oracle.split(z)
        return self.direction.init(x), self.direction.init(y)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """One step of every run."""
        if self.player == "x":
            return move_x(self, oracle, z, state, oracle.grad_x(z))
        return move_y(self, oracle, z, state, oracle.grad_y(z))

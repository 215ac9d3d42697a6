"""GDA: simultaneous gradient descent ascent."""

from dataclasses import dataclass
from typing import Any, final

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import ARROW_1958
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class GDA(Algorithm):
    """Gradient descent ascent: both players step at the same time.

        z⁺ = z − η F(z)

    It diverges on bilinear games, and is the baseline of every comparison.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F. The
            default 0.1 is below 1/L on games scaled to L = 1.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).

    State: moments of the directions.
    Cost: 1 gradient of each player for each step.
    Source: Arrow, Hurwicz and Uzawa 1958.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()

    source = ARROW_1958
    cost = Cost(grad_x=1, grad_y=1)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        return init_joint(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        d, state = step_joint(self.direction, oracle, oracle.field(z), state)
        return oracle.project(z - oracle.scale(self.step_size, d)), state

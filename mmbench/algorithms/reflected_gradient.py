"""The projected reflected gradient method."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import MALITSKY_2015
from mmbench.core.oracle import Oracle


class ReflectedState(NamedTuple):
    """The state of the reflected gradient method.

    Args:
        moments: moments of the directions.
        previous: iterate before the last step; the first iterate before the first.
    """

    moments: Any
    previous: Float[Tensor, "runs dim"]


@final
@dataclass(frozen=True, kw_only=True)
class ReflectedGradient(Algorithm):
    """Projected reflected gradient: the field at the last move made once more.

        z⁺ = P(z − η F(2z − z⁻)),   z⁻ = z before the first step

    P is the projection onto the allowed points, of which a step needs one alone. The
    method converges on monotone games for η < (√2 − 1)/L. Without constraints the
    points 2z − z⁻ are those of optimistic descent.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).

    State: moments of the directions, the iterate before.
    Cost: 1 gradient of each player for each step.
    Poor use: games whose losses are not defined at points that are not allowed, which
        2z − z⁻ may be.
    Source: Malitsky 2015, Algorithm 3.1.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()

    source = MALITSKY_2015
    cost = Cost(grad_x=1, grad_y=1)

    def init(self, oracle: Oracle, z: Iterate) -> ReflectedState:
        """Return the state before the first step."""
        return ReflectedState(init_joint(self.direction, oracle, z), z)

    def step(
        self, oracle: Oracle, z: Iterate, state: ReflectedState
    ) -> tuple[Iterate, ReflectedState]:
        """Make one step of every run."""
        field = oracle.field(2 * z - state.previous)
        d, moments = step_joint(self.direction, oracle, field, state.moments)
        moved = oracle.project(z - oracle.scale(self.step_size, d))
        return moved, ReflectedState(moments, z)

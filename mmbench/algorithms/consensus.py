"""Consensus optimisation."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms._hamiltonian import field_and_descent
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, StepSize
from mmbench.core.literature import MESCHEDER_2017
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace


@final
@dataclass(frozen=True, kw_only=True)
class Consensus(Algorithm):
    """Consensus optimisation: descend on ½‖F‖² as well, which damps rotation.

        z⁺ = z − η (F + γ Jᵀ F)

    J is the Jacobian of F, so that Jᵀ F is the gradient of ½‖F‖². On minibatches that
    gradient is biased where one minibatch stands in both factors. `hamiltonian` leaves
    out F.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        gamma: γ, weight of the gradient of ½‖F‖². The authors use 0.1, and 10 on a
            mixture of eight Gaussians.
        direction: how the sum becomes a direction; one for both, or a pair (x, y). The
            authors use RMSProp.
        minibatch: whether both factors are of the "same" minibatch, or the second is of
            a "fresh" one, so that the gradient is unbiased (Loizou, Berard,
            Jolicoeur-Martineau, Vincent, Lacoste-Julien and Mitliagkas 2020).

    State: moments of the directions.
    Cost: 1 gradient of each player and 2 Hessian products for each step; with a fresh
        minibatch 2 and 4.
    Poor use: a large γ makes every stationary point attractive, also points that are
        worst for a player.
    Source: Mescheder, Nowozin and Geiger 2017, Algorithm 1.
    """

    step_size: StepSize = 0.1
    gamma: NonNegative = 0.1
    direction: Directions = Plain()
    minibatch: Literal["same", "fresh"] = field(
        default="same", metadata={"identity": "unless default"}
    )

    source = MESCHEDER_2017
    tuned: ClassVar[SearchSpace] = {
        "gamma": Choice(
            (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
            "It weighs the descent on half the squared norm of the field against "
            "the field; half decades around 1, where both have their own length.",
        )
    }

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        count = 2 if self.minibatch == "fresh" else 1
        return Cost(grad_x=count, grad_y=count, hvps=2 * count, minibatches=count)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        return init_joint(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        f, descent = field_and_descent(oracle, z, self.minibatch)
        d, state = step_joint(self.direction, oracle, f + self.gamma * descent, state)
        return oracle.project(z - oracle.scale(self.step_size, d)), state

"""Hamiltonian gradient descent, and its stochastic form."""

from dataclasses import dataclass
from typing import Any, Literal, final

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms._hamiltonian import field_and_descent
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import LOIZOU_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class Hamiltonian(Algorithm):
    """Hamiltonian gradient descent: descend on ½‖F‖², whatever the players want.

        z⁺ = z − η Jᵀ F                               (minibatch = same)
        z⁺ = z − η (Jᵢᵀ Fⱼ + Jⱼᵀ Fᵢ)/2                (minibatch = fresh)

    J is the Jacobian of F. On bilinear games ½‖F‖² is convex, so that each step size
    below 2/‖J‖² converges. With two independent minibatches i and j the step is that of
    stochastic Hamiltonian gradient descent, whose direction is unbiased; with one in
    both factors it is biased. `consensus` descends on both F and ½‖F‖².

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of Jᵀ F.
        minibatch: whether both factors are of the "same" minibatch, or the second is of
            a "fresh" one.
        direction: how Jᵀ F becomes a direction; one for both, or a pair (x, y).

    State: moments of the directions.
    Cost: 1 gradient of each player and 2 Hessian products for each step; with a fresh
        minibatch 2 and 4.
    Poor use: it converges to every stationary point with a regular J, also to those
        that are worst for both players.
    Source: deterministic: Balduzzi, Racanière, Martens, Foerster, Tuyls and Graepel
        2018; stochastic: Loizou, Berard, Jolicoeur-Martineau, Vincent, Lacoste-Julien
        and Mitliagkas 2020.
    """

    step_size: StepSize = 0.1
    minibatch: Literal["same", "fresh"] = "same"
    direction: Directions = Plain()

    source = LOIZOU_2020

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
        descent = field_and_descent(oracle, z, self.minibatch)[1]
        d, state = step_joint(self.direction, oracle, descent, state)
        return oracle.project(z - oracle.scale(self.step_size, d)), state

"""GDA whose generator also lowers the discriminator's gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, StepSize
from mmbench.core.literature import NAGARAJAN_2017
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace


@final
@dataclass(frozen=True, kw_only=True)
class GradientRegularised(Algorithm):
    """Gradient-regularised descent: x also descends on the squared gradient of y.

        x⁺ = x − η (∇ₓ f + 2ρ g_xy ∇ᵧ g),   y⁺ = y − η ∇ᵧ g

    f and g are the losses of x and y, and 2 g_xy ∇ᵧ g is the gradient of ‖∇ᵧ g‖² in x:
    x moves to where y has less to gain. The regulariser makes equilibria of Wasserstein
    GANs stable, too: on xy the method converges for η/2 < ρ < 1. `runge_kutta` has the
    penalty of ODE-GAN, in which y descends on x's squared gradient, and `consensus` has
    both.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        penalty: ρ, weight of ‖∇ᵧ g‖². The authors' script has 0.5.
        direction: how gradients become directions; one for both, or a pair (x, y). The
            authors use Adam.

    State: moments of the directions.
    Cost: 1 gradient of each player and 1 Hessian product for each step.
    Differs from the source: the analysis is of simultaneous steps, as here; in the
        authors' script y steps first.
    Source: Nagarajan and Kolter 2017.
    """

    step_size: StepSize = 0.1
    penalty: NonNegative = 0.5
    direction: Directions = Plain()

    source = NAGARAJAN_2017
    tuned: ClassVar[SearchSpace] = {
        "penalty": Choice(
            (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
            "It weighs the squared gradient of y against the loss of x; half "
            "decades around the published values, from 0.1 to 1.",
        )
    }
    cost = Cost(grad_x=1, grad_y=1, hvps=1)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        return init_joint(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        at = oracle.linearise(z)
        slope = 2 * self.penalty * at.through_y(at.grad_y)[0]
        field = oracle.join(at.grad_x + slope, at.grad_y)
        d, state = step_joint(self.direction, oracle, field, state)
        return oracle.project(z - oracle.scale(self.step_size, d)), state

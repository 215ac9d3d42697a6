"""LOLA and linearised competitive gradient descent: learning with the other's step."""

from dataclasses import dataclass
from typing import Any, Literal, final

from mmbench.algorithms._directions import (
    Directions,
    Plain,
    init_joint,
    step_joint,
    step_size_pair,
)
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import FOERSTER_2018
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class LOLA(Algorithm):
    """Opponent shaping: each player counts on the gradient step of the other.

        x⁺ = x − η (∇ₓ f − α s_x),   y⁺ = y − η (∇ᵧ g − α s_y)

    f and g are the losses of x and y. The other player's step is −α ∇ᵧ g; x feels how
    its own move changes that step, s_x = g_xy f_y ("opponent", LOLA), or how the step
    changes its gradient, s_x = f_xy g_y ("own", LookAhead and linearised CGD), or both
    ("both", which differentiates f(x, y − α ∇ᵧ g) through both factors).

    In a zero-sum game the first two are one method: s_x = −f_xy f_y, the first order of
    CGD where α is the step size, and `sga` without alignment where α = λ.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        alpha: α, the step size that each counts on, a number or a pair (of x, of y);
            None takes the step sizes themselves, as linearised CGD does.
        shaping: which of the terms is taken.
        direction: how the sum becomes a direction; one for both, or a pair (x, y).

    State: moments of the directions.
    Cost: 1 gradient of each player and 2 Hessian products for each step. In games that
        are not zero-sum 2 gradients, and 4 products with both terms.
    Source: Foerster, Chen, Al-Shedivat, Whiteson, Abbeel and Mordatch 2018, equation
        4.3; LookAhead: Zhang and Lesser 2010; LCGD: Schäfer and Anandkumar 2019.
    """

    step_size: StepSize = 0.1
    alpha: StepSize | None = None
    shaping: Literal["opponent", "own", "both"] = "opponent"
    direction: Directions = Plain()

    source = FOERSTER_2018

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        products = 4 if self.shaping == "both" else 2
        general = Cost(grad_x=2, grad_y=2, hvps=products)
        return Cost(grad_x=1, grad_y=1, hvps=2, general_sum=general)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        return init_joint(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        if self.shaping == "own":
            s_x = at.through_cross_x(at.grad_y)[0]
            s_y = at.through_cross_y(at.grad_x)[1]
        else:
            s_x, s_y = at.through_y(at.cross_x)[0], at.through_x(at.cross_y)[1]
        if self.shaping == "both" and oracle.zero_sum:  # both terms are equal
            s_x, s_y = 2 * s_x, 2 * s_y
        elif self.shaping == "both":
            s_x = s_x + at.through_cross_x(at.grad_y)[0]
            s_y = s_y + at.through_cross_y(at.grad_x)[1]
        of_x, of_y = step_size_pair(
            self.step_size if self.alpha is None else self.alpha
        )
        field = oracle.join(at.grad_x - of_y * s_x, at.grad_y - of_x * s_y)
        d, state = step_joint(self.direction, oracle, field, state)
        return oracle.project(z - oracle.scale(self.step_size, d)), state

"""Runge-Kutta methods on the flow of the field, and ODE-GAN."""

from dataclasses import dataclass
from typing import Literal, final

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, StepSize
from mmbench.core.literature import QIN_2020
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class RungeKutta(Algorithm):
    """Runge-Kutta steps along the flow ż = −F(z), of order 2 (Heun) or 4.

        order 4:  z⁺ = z − h (k₁ + 2 k₂ + 2 k₃ + k₄)/6
                  k₁ = F(z), k₂ = F(z − h k₁/2), k₃ = F(z − h k₂/2), k₄ = F(z − h k₃)
        order 2:  z⁺ = z − h (k₁ + k₂)/2,   k₁ = F(z), k₂ = F(z − h k₁)

    They follow the flow far more closely than GDA, which spirals outwards: on xy the
    flow is a circle, from which order 4 departs by h⁶/144 in a step. With a penalty the
    step is that of ODE-GAN, whose y also descends on ρ ‖∇ₓ loss_x‖².

    Args:
        step_size: h, a number or a pair (x, y), in units of z per unit of F.
        order: order of the method.
        penalty: ρ, weight of x's squared gradient in y's descent; 0 leaves it out. The
            authors' notebook uses 0.07 with h = 0.1.
        minibatch: whether all evaluations of a step use the "same" minibatch, or each
            a "fresh" one.

    Cost: as many gradients of each player as the order for each step, and with a
        penalty 1 Hessian product.
    State: none.
    Source: Qin, Wu, Springenberg, Brock, Donahue, Lillicrap and Kohli 2020.
    """

    step_size: StepSize = 0.1
    order: Literal[2, 4] = 4
    penalty: NonNegative = 0.0
    minibatch: Literal["same", "fresh"] = "same"

    source = QIN_2020

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(
            grad_x=self.order,
            grad_y=self.order,
            hvps=1 if self.penalty else 0,
            minibatches=self.order if self.minibatch == "fresh" else 1,
        )

    def step(self, oracle: Oracle, z: Iterate, state: tuple) -> tuple[Iterate, tuple]:
        """Make one step of every run."""

        def field_ahead(k: Iterate, share: float) -> Iterate:
            if self.minibatch == "fresh":
                oracle.resample()
            ahead = z - oracle.scale(self.step_size, share * k)
            return oracle.field(oracle.project(ahead))

        if self.penalty:
            at = oracle.linearise(z)
            first = oracle.join(at.grad_x, at.grad_y)
            slope = 2 * self.penalty * at.through_x(at.grad_x)[1]
        else:
            first = oracle.field(z)
        if self.order == 2:
            mean = (first + field_ahead(first, 1.0)) / 2
        else:
            second = field_ahead(first, 0.5)
            third = field_ahead(second, 0.5)
            fourth = field_ahead(third, 1.0)
            mean = (first + 2 * second + 2 * third + fourth) / 6
        if self.penalty:
            x, y = oracle.split(mean)
            mean = oracle.join(x, y + slope)
        return oracle.project(z - oracle.scale(self.step_size, mean)), state

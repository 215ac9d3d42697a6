"""Regularisation of the discretisation drift of simultaneous gradient descent."""

from dataclasses import dataclass
from typing import final

from mmbench.algorithms._directions import step_size_pair
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Finite, StepSize
from mmbench.core.oracle import Oracle
from mmbench.core.source import Source

# A number for both players, or a pair (x, y).
Multiplier = Finite | tuple[Finite, Finite]


@final
@dataclass(frozen=True, kw_only=True)
class DiscretisationDrift(Algorithm):
    """GDA with regularisers that cancel or strengthen what it adds to its flow.

        x⁺ = x − ηₓ (∇ₓ f + (ηₓ/2)(sₓ f_xx ∇ₓ f + cₓ f_xy ∇ᵧ g))
        y⁺ = y − ηᵧ (∇ᵧ g + (ηᵧ/2)(sᵧ g_yy ∇ᵧ g + cᵧ g_yx ∇ₓ f))

    f and g are the losses of x and y. GDA follows, to second order in η, the flow of
    its field and of these terms with all multipliers 1: the drift of a player's own
    loss, which is the gradient of (ηₓ/4)‖∇ₓ f‖², and that of the interaction. A
    multiplier of −1 cancels a term, 1 doubles it and 0 leaves it.

    With s = 0 and c = −1 the method is `lola[shaping=own]`, which counts on half of its
    own step size; with s = c = −1 and one step size it is, in quadratic games, Heun's
    method, `runge_kutta[order=2]`.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        interaction: c, multiplier of the interaction, a number or a pair (x, y).
        own: s, multiplier of the drift of a player's own loss, a number or a pair.

    State: none.
    Cost: 1 gradient of each player and 2 Hessian products for each step; 2 and 4 in
        games that are not zero-sum.
    Differs from the source: the authors split a minibatch in halves to estimate the
        products of two gradients without bias.
    Source: Rosca, Wu, Dherin and Barrett 2021.
    """

    step_size: StepSize = 0.1
    interaction: Multiplier = -1.0
    own: Multiplier = 0.0

    source = Source(
        authors="Rosca, Wu, Dherin and Barrett",
        year=2021,
        title="Discretization Drift in Two-Player Games",
        link="https://arxiv.org/abs/2105.13922",
    )

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        general = Cost(grad_x=2, grad_y=2, hvps=4)
        return Cost(grad_x=1, grad_y=1, hvps=2, general_sum=general)

    def step(self, oracle: Oracle, z: Iterate, state: tuple) -> tuple[Iterate, tuple]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        of_x, of_y = at.through_x(at.grad_x), at.through_y(at.grad_y)
        if oracle.zero_sum:  # f_xy = −g_xy, so both terms come from one product
            mixed_x, mixed_y = -of_y[0], -of_x[1]
        else:
            mixed_x, mixed_y = at.mixed_x(at.grad_y), at.mixed_y(at.grad_x)
        s_x, s_y = step_size_pair(self.own)
        c_x, c_y = step_size_pair(self.interaction)
        drift = oracle.join(
            s_x * of_x[0] + c_x * mixed_x, s_y * of_y[1] + c_y * mixed_y
        )
        field = oracle.join(at.grad_x, at.grad_y)
        moves = field + oracle.scale(self.step_size, drift) / 2
        return oracle.project(z - oracle.scale(self.step_size, moves)), state

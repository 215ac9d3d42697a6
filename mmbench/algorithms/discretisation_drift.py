"""Regularisation of the discretisation drift of gradient descent."""

from dataclasses import dataclass
from typing import Literal, final

from mmbench.algorithms._directions import step_size_pair
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Finite, StepSize
from mmbench.core.literature import ROSCA_2021
from mmbench.core.oracle import Oracle, Size

# A number for both players, or a pair (x, y).
Multiplier = Finite | tuple[Finite, Finite]


@final
@dataclass(frozen=True, kw_only=True)
class DiscretisationDrift(Algorithm):
    """GDA with regularisers that cancel or strengthen what it adds to its flow.

        x⁺ = x − ηₓ (∇ₓ f + (ηₓ/2)(sₓ f_xx ∇ₓ f + cₓ f_xy ∇ᵧ g))
        y⁺ = y − ηᵧ (∇ᵧ g + (ηᵧ/2)(sᵧ g_yy ∇ᵧ g + cᵧ g_yx ∇ₓ f))

    f and g are the losses of x and y. With one step size for both, GDA follows, to
    second order in η, the flow of its field and of these terms with all multipliers 1:
    the drift of a player's own loss, which is the gradient of (ηₓ/4)‖∇ₓ f‖², and that
    of the interaction. A multiplier of −1 cancels a term, 1 doubles it, 0 leaves it.

    Where one player steps first, the other's gradients are those after that step, and
    its interaction has the factor −(2ηₓ/ηᵧ − 1), if x is first, since alternating GDA
    drifts the other way there.

    With s = 0 and c = −1 the method is `lola[shaping=own]`, which counts on half of its
    own step size; with s = c = −1 and one step size it is, in quadratic games, Heun's
    method, `runge_kutta[order=2]`.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of gradient.
        interaction: c, multiplier of the interaction, a number or a pair (x, y).
        own: s, multiplier of the drift of a player's own loss, a number or a pair.
        first: player that steps first; "both" step at once.

    State: none.
    Cost: 1 gradient of each player and 2 Hessian products for each step; 2 and 4 in
        games that are not zero-sum; twice that where the players step in turn.
    Differs from the source: the authors split a minibatch in halves to estimate the
        products of two gradients without bias.
    Source: Rosca, Wu, Dherin and Barrett 2021.
    """

    step_size: StepSize = 0.1
    interaction: Multiplier = -1.0
    own: Multiplier = 0.0
    first: Literal["both", "x", "y"] = "both"

    source = ROSCA_2021

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        n = 1 if self.first == "both" else 2
        general = Cost(grad_x=2 * n, grad_y=2 * n, hvps=4 * n)
        return Cost(grad_x=n, grad_y=n, hvps=2 * n, general_sum=general)

    def step(self, oracle: Oracle, z: Iterate, state: tuple) -> tuple[Iterate, tuple]:
        """Make one step of every run."""
        eta_x, eta_y = step_size_pair(self.step_size)
        if self.first == "both":
            moves = oracle.scale(self.step_size, self._moves(oracle, z, (eta_x, eta_y)))
            return oracle.project(z - moves), state
        turns: list[tuple[Size, Size]] = [(eta_x, 0.0), (0.0, eta_y)]
        if self.first == "x":
            rates = eta_x, eta_y - 2 * eta_x
        else:
            rates = eta_x - 2 * eta_y, eta_y
            turns.reverse()
        for sizes in turns:
            moves = oracle.row(*sizes) * self._moves(oracle, z, rates)
            z = oracle.project(z - moves)
        return z, state

    def _moves(self, oracle: Oracle, z: Iterate, rates: tuple[Size, Size]) -> Iterate:
        """Return the gradient of each player's regularised loss.

        Args:
            oracle: oracle of the game.
            z: current iterates.
            rates: step size that the interaction of each player is multiplied by.
        """
        at = oracle.linearise(z, cross=True)
        of_x, of_y = at.through_x(at.grad_x), at.through_y(at.grad_y)
        if oracle.zero_sum:  # f_xy = −g_xy, so both terms come from one product
            mixed_x, mixed_y = -of_y[0], -of_x[1]
        else:
            mixed_x, mixed_y = at.mixed_x(at.grad_y), at.mixed_y(at.grad_x)
        eta_x, eta_y = step_size_pair(self.step_size)
        (s_x, s_y), (c_x, c_y) = map(step_size_pair, (self.own, self.interaction))
        drift = oracle.join(
            eta_x * (s_x * of_x[0]) + rates[0] * (c_x * mixed_x),
            eta_y * (s_y * of_y[1]) + rates[1] * (c_y * mixed_y),
        )
        return oracle.join(at.grad_x, at.grad_y) + drift / 2

"""ACGD: adaptive competitive gradient descent."""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.algorithms._competitive import solver_of
from mmbench.algorithms._directions import bias_correction
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Decay, Positive, Scale, StepSize
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle
from mmbench.core.priors import UNIT_STEPS


class ACGDState(NamedTuple):
    """The state of ACGD.

    Args:
        second: mean square of the field.
        warm: last moves in scaled coordinates, from which the next solve starts.
        time: number of steps.
        iterations: number of iterations of the inner solver.
    """

    second: Float[Tensor, "runs dim"]
    warm: Float[Tensor, "runs dim"]
    time: Int[Tensor, " runs"]
    iterations: Int[Tensor, " runs"]


@final
@dataclass(frozen=True, kw_only=True)
class ACGD(Algorithm):
    """Adaptive competitive gradient descent: CGD with a step size for each entry.

        v⁺ = β v + (1−β) F²,   A = diag(η √(1−βᵗ) / (√v⁺ + ε))
        Δx = −A_x^½ (I − A_x^½ f_xy A_y g_yx A_x^½)⁻¹ A_x^½ (∇ₓ f − f_xy A_y ∇ᵧ g)
        Δy = −A_y (∇ᵧ g + g_yx Δx)

    f and g are the losses of x and y, g = −f in a zero-sum game. The systems of the two
    players are solved in alternate steps, y's first; each solve starts from the last
    move. The paper's results on CIFAR10 without a regulariser are of this method.

    Args:
        step_size: η, a number or a pair (x, y), in units of z.
        beta: β, decay of the mean square.
        epsilon: ε, in units of F.
        tolerance: residual of the solver relative to the right-hand side: conjugate
            gradients in zero-sum games, GMRES in others. The authors test squared norms
            against 1e-12, which is 1e-6 here.
        floor: absolute residual that always suffices, in units of the scaled field.
        iterations: largest number of solver iterations in a step.

    State: mean square of the field, last moves in scaled coordinates, number of steps
        and of inner iterations.
    Cost: 1 gradient of each player and 4 Hessian products for each step, and 2 for each
        inner iteration; 2 gradients in games that are not zero-sum.
    Differs from the source: Algorithm 1 writes the corrected v back into v; here, as in
        the authors' code, it does not. Their code for general-sum games solves the
        system of both players at once, and starts from zero.
    Source: Schäfer, Zheng and Anandkumar 2020, Algorithm 1.
    """

    step_size: StepSize = 1e-3
    beta: Decay = 0.99
    epsilon: Positive = 1e-5
    tolerance: Positive = 1e-6
    floor: Scale = 1e-10
    iterations: Count = 1000

    source = SCHAEFER_2020.at("Algorithm 1")
    step_prior = UNIT_STEPS

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        cost = Cost(grad_x=1, grad_y=1, hvps=4, hvps_per_iteration=2)
        return replace(cost, general_sum=replace(cost, grad_x=2, grad_y=2))

    def init(self, oracle: Oracle, z: Iterate) -> ACGDState:
        """Return the state before the first step."""
        zeros = torch.zeros_like(z)
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return ACGDState(zeros, zeros, none, none)

    def step(
        self, oracle: Oracle, z: Iterate, state: ACGDState
    ) -> tuple[Iterate, ACGDState]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        time = state.time + 1
        field = oracle.join(at.grad_x, at.grad_y)
        second = self.beta * state.second + (1 - self.beta) * field * field
        correction = bias_correction(self.beta, time[:, None].to(z.dtype)).sqrt()
        a = oracle.scale(self.step_size, correction / (second.sqrt() + self.epsilon))
        (a_x, a_y), (root_x, root_y) = oracle.split(a), oracle.split(a.sqrt())
        warm_x, warm_y = oracle.split(state.warm)
        solve = partial(
            solver_of(oracle),
            tolerance=self.tolerance,
            floor=self.floor,
            limit=self.iterations,
        )
        if oracle.turn(time, of=2) == 0:
            solved = solve(
                lambda v, on: (
                    v - root_x * at.mixed_x(a_y * at.mixed_y(root_x * v, on=on), on=on)
                ),
                root_x * (at.grad_x - at.mixed_x(a_y * at.grad_y)),
                start=-warm_x,
            )
            warm_x = -solved.x
            dx = root_x * warm_x
            dy = -a_y * (at.grad_y + at.mixed_y(dx))
            warm_y = _divided(dy, root_y)
        else:
            solved = solve(
                lambda v, on: (
                    v - root_y * at.mixed_y(a_x * at.mixed_x(root_y * v, on=on), on=on)
                ),
                root_y * (at.grad_y - at.mixed_y(a_x * at.grad_x)),
                start=-warm_y,
            )
            warm_y = -solved.x
            dy = root_y * warm_y
            dx = -a_x * (at.grad_x + at.mixed_x(dy))
            warm_x = _divided(dx, root_x)
        z = oracle.project(z + oracle.join(dx, dy))
        warm = oracle.join(warm_x, warm_y)
        iterations = state.iterations + solved.iterations
        return z, ACGDState(second, warm, time, iterations)


def _divided(step: Tensor, root: Tensor) -> Tensor:
    """Return the scaled coordinates of a step; 0 where its step size is 0."""
    return torch.where(root > 0, step / root, 0.0)

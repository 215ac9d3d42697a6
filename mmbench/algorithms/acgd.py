"""ACGD: adaptive competitive gradient descent."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.algorithms._directions import bias_correction
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.conjugate_gradient import conjugate_gradient
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Decay, Positive, Scale, StepSize
from mmbench.core.literature import SCHAEFER_2020
from mmbench.core.oracle import Oracle


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
        Δx = −A_x^½ (I + A_x^½ f_xy A_y f_yx A_x^½)⁻¹ A_x^½ (f_x + f_xy A_y f_y)
        Δy =  A_y (f_y + f_yx Δx)

    The systems of the two players are solved in alternate steps, y's first; each solve
    starts from the last move. The paper's results on CIFAR10 without a regulariser are
    of this method.

    Args:
        step_size: η, a number or a pair (x, y), in units of z.
        beta: β, decay of the mean square.
        epsilon: ε, in units of F.
        tolerance: residual of the conjugate gradients relative to the right-hand side.
            The authors test squared norms against 1e-12, which is 1e-6 here.
        floor: absolute residual that always suffices, in units of the scaled field.
        iterations: largest number of conjugate-gradient iterations in a step.

    State: mean square of the field, last moves in scaled coordinates, number of steps
        and of inner iterations.
    Cost: 1 gradient of each player and 4 Hessian products for each step, and 2 for each
        inner iteration.
    Differs from the source: Algorithm 1 writes the corrected v back into v; here, as in
        the authors' code, it does not.
    Source: Schäfer, Zheng and Anandkumar 2020, Algorithm 1.
    """

    step_size: StepSize = 1e-3
    beta: Decay = 0.99
    epsilon: Positive = 1e-5
    tolerance: Positive = 1e-6
    floor: Scale = 1e-10
    iterations: Count = 1000

    source = SCHAEFER_2020.at("Algorithm 1")
    needs = frozenset({Capability.ZERO_SUM})

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(grad_x=1, grad_y=1, hvps=4, hvps_per_iteration=2)

    def init(self, oracle: Oracle, z: Iterate) -> ACGDState:
        """Return the state before the first step."""
        zeros = torch.zeros_like(z)
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return ACGDState(zeros, zeros, none, none)

    def step(
        self, oracle: Oracle, z: Iterate, state: ACGDState
    ) -> tuple[Iterate, ACGDState]:
        """Make one step of every run."""
        f = oracle.linearise(z)
        f_x, f_y = f.grad_x, -f.grad_y
        time = state.time + 1
        field = oracle.join(f_x, f_y)
        second = self.beta * state.second + (1 - self.beta) * field * field
        correction = bias_correction(self.beta, time[:, None].to(z.dtype)).sqrt()
        a = oracle.scale(self.step_size, correction / (second.sqrt() + self.epsilon))
        (a_x, a_y), (root_x, root_y) = oracle.split(a), oracle.split(a.sqrt())
        warm_x, warm_y = oracle.split(state.warm)
        solve = partial(
            conjugate_gradient,
            tolerance=self.tolerance,
            floor=self.floor,
            limit=self.iterations,
        )
        if oracle.turn(time, of=2) == 0:
            solved = solve(
                lambda v, on: v + root_x * f.xy(a_y * f.yx(root_x * v, on=on), on=on),
                root_x * (f_x + f.xy(a_y * f_y)),
                start=-warm_x,
            )
            warm_x = -solved.x
            dx = root_x * warm_x
            dy = a_y * (f_y + f.yx(dx))
            warm_y = dy / root_y
        else:
            solved = solve(
                lambda v, on: v + root_y * f.yx(a_x * f.xy(root_y * v, on=on), on=on),
                root_y * (f_y - f.yx(a_x * f_x)),
                start=warm_y,
            )
            warm_y = solved.x
            dy = root_y * warm_y
            dx = -a_x * (f_x + f.xy(dy))
            warm_x = dx / root_x
        z = oracle.project(z + oracle.join(dx, dy))
        warm = oracle.join(warm_x, warm_y)
        iterations = state.iterations + solved.iterations
        return z, ACGDState(second, warm, time, iterations)

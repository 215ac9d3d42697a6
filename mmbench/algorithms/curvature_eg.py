"""CurvatureEG+: extragradient with a step size from the local curvature."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Count, Domain, Positive
from mmbench.core.linearisation import Linearisation
from mmbench.core.literature import PETHICK_2022
from mmbench.core.oracle import Oracle
from mmbench.core.repetition import is_over
from mmbench.core.vectors import Joint, dot, keep

Open = Annotated[float, Domain(low=0, high=1, open_low=True, open_high=True)]


class CurvatureState(NamedTuple):
    """The state of CurvatureEG+.

    Args:
        vector: approximate first right singular vector of the Jacobian.
        iterations: number of reductions of γ.
    """

    vector: Joint
    iterations: Int[Tensor, " runs"]


@final
@dataclass(frozen=True, kw_only=True)
class CurvatureEG(Algorithm):
    """CurvatureEG+: the largest look-ahead that curvature allows, then a projection.

        γ = ν/‖J(z)‖, multiplied by τ until γ ‖F(z̃) − F(z)‖ ≤ ν ‖z̃ − z‖
        z̃ = P(z − γ F(z)),   h = z̃ − z − γ (F(z̃) − F(z))
        z⁺ = z + λ α h,   α = c + ⟨z̃ − z, h⟩/‖h‖²

    On weak Minty problems, ⟨F(z), z − z*⟩ ≥ ρ ‖F(z)‖² with ρ < 0, only a large γ
    escapes the cycles around z*, and the second step, which projects onto a half-space
    that holds z*, must be the smaller for it. `extragradient[ratio=]` is EG+, the
    method with fixed steps.

    Args:
        nu: ν, share of the largest admissible γ.
        tau: τ, factor by which γ is reduced.
        shift: c = δ/γ, where δ above −γ/2 is the least ρ that is admitted.
        relaxation: λ.
        power: number of power iterations from the vector of the step before, which
            estimate ‖J(z)‖ from below.
        reductions: largest number of reductions of γ in a step.
        largest: largest γ, in units of z per unit of F, for where J(z) vanishes.

    State: singular vector of the Jacobian, number of reductions.
    Cost: 2 gradients of each player for each step and 4 Hessian products for each power
        iteration, in games that are not zero-sum 3 gradients and 6 products; 1 gradient
        of each player for each reduction.
    Differs from the source: z⁺ is projected, so that it is allowed; the authors' code
        takes the exact norm of J(z).
    Source: Pethick, Latafat, Patrinos, Fercoq and Cevher 2022; the authors' code, whose
        values the defaults are.
    """

    nu: Open = 0.99
    tau: Open = 0.5
    shift: Annotated[float, Domain(low=-0.5, high=0, open_low=True)] = -0.495
    relaxation: Annotated[
        float, Domain(low=0, high=2, open_low=True, open_high=True)
    ] = 1.0
    power: Count = 2
    reductions: Count = 20
    largest: Positive = 100.0

    source = PETHICK_2022

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        general = Cost(
            grad_x=3,
            grad_y=3,
            hvps=6 * self.power,
            grads_x_per_iteration=1,
            grads_y_per_iteration=1,
        )
        return Cost(
            grad_x=2,
            grad_y=2,
            hvps=4 * self.power,
            grads_x_per_iteration=1,
            grads_y_per_iteration=1,
            general_sum=general,
        )

    def init(self, oracle: Oracle, z: Iterate) -> CurvatureState:
        """Return the state before the first step."""
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return CurvatureState(torch.ones_like(z) / z.shape[1] ** 0.5, none)

    def step(
        self, oracle: Oracle, z: Iterate, state: CurvatureState
    ) -> tuple[Iterate, CurvatureState]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        field = oracle.join(at.grad_x, at.grad_y)
        norm, vector = self._norm(oracle, at, state.vector)
        gamma, on = (self.nu / norm).clamp_max(self.largest), oracle.alive
        ahead, there, made = z, field, state.iterations
        for i in range(self.reductions + 1):
            if i:
                gamma, made = keep(on, self.tau * gamma, gamma), made + on
            proposal = oracle.project(z - gamma * field)
            asked = oracle.field(proposal, on=on)
            ahead, there = keep(on, (proposal, asked), (ahead, there))
            bend = gamma[:, 0] * (there - field).norm(dim=1)
            on = on & (bend > self.nu * (ahead - z).norm(dim=1))
            if is_over(on, i + 1, self.reductions):
                break
        h = ahead - z - gamma * (there - field)
        square = dot(h, h)
        square = torch.where(square > 0, square, torch.ones_like(square))
        alpha = self.shift + dot(ahead - z, h) / square
        z = oracle.project(z + self.relaxation * alpha[:, None] * h)
        return z, CurvatureState(vector, made)

    def _norm(
        self, oracle: Oracle, at: Linearisation, vector: Joint
    ) -> tuple[Float[Tensor, "runs 1"], Joint]:
        """Return an estimate of ‖J(z)‖ and the singular vector that it belongs to."""
        square = torch.zeros_like(vector[:, :1])
        for _ in range(self.power):
            product = at.jacobian(*oracle.split(vector))
            image = oracle.join(*at.transposed(*product))
            square = image.norm(dim=1, keepdim=True)
            vector = keep(square[:, 0] > 0, image / square, vector)
        return square.sqrt(), vector

"""LSS: local symplectic surgery."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, Positive, StepSize
from mmbench.core.literature import MAZUMDAR_2019
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace
from mmbench.core.vectors import dot


class LSSState(NamedTuple):
    """The state of LSS.

    Args:
        solution: v, which follows (JᵀJ + λ)⁻¹ Jᵀ F.
    """

    solution: Float[Tensor, "runs dim"]


@final
@dataclass(frozen=True, kw_only=True)
class LSS(Algorithm):
    """Local symplectic surgery: take the rotation out of the field near its zeros.

        z⁺ = z − (η/2)(F + Jᵀ v)
        v⁺ = v − b (Jᵀ(J v − F) + λ v),   λ = δ (1 − exp(−‖F‖²))

    J is the Jacobian of F. Where η is far smaller than b, v is J⁻¹ F on a regular J,
    and the step is −(η/2)(J + Jᵀ)(z − z*) around a zero z* of F. Its stable points are
    exactly the strict local Nash equilibria, without rotation around them; it leaves
    those where one player could gain alone.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        solution_step_size: b, in units of v per unit of Jᵀ F.
        damping: δ, the largest λ, in units of squared second derivatives.

    State: v, which starts at zero.
    Cost: 1 gradient of each player and 6 Hessian products for each step; 2 and 8 in
        games that are not zero-sum.
    Poor use: b must be below 2/‖J‖². On bilinear games J + Jᵀ is zero, and so is the
        step once v has settled.
    Differs from the source: there step sizes fall and η/b tends to zero (wrap it in
        `scheduled`), and λ is any function that vanishes where F does.
    Source: Mazumdar, Jordan and Sastry 2019.
    """

    step_size: StepSize = 0.001
    solution_step_size: Positive = 0.01
    damping: NonNegative = 0.0

    source = MAZUMDAR_2019
    tuned: ClassVar[SearchSpace] = {
        "solution_step_size": Choice(
            (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            "A step on a least-squares problem whose curvature is a squared one of "
            "the game; half decades below the edge at curvatures of 1.",
        )
    }

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        general = Cost(grad_x=2, grad_y=2, hvps=8)
        return Cost(grad_x=1, grad_y=1, hvps=6, general_sum=general)

    def init(self, oracle: Oracle, z: Iterate) -> LSSState:
        """Return v = 0."""
        return LSSState(torch.zeros_like(z))

    def step(
        self, oracle: Oracle, z: Iterate, state: LSSState
    ) -> tuple[Iterate, LSSState]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        field = oracle.join(at.grad_x, at.grad_y)
        v = state.solution
        of_v = oracle.split(v)
        surgery = oracle.join(*at.transposed(*of_v))
        residual = oracle.join(*at.jacobian(*of_v)) - field
        slope = oracle.join(*at.transposed(*oracle.split(residual)))
        damping = -self.damping * torch.expm1(-dot(field, field))[:, None]
        z = oracle.project(z - oracle.scale(self.step_size, (field + surgery) / 2))
        return z, LSSState(v - self.solution_step_size * (slope + damping * v))

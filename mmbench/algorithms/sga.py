"""SGA: symplectic gradient adjustment."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import NonNegative, Positive, StepSize
from mmbench.core.literature import BALDUZZI_2018
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace
from mmbench.core.vectors import dot


@final
@dataclass(frozen=True, kw_only=True)
class SGA(Algorithm):
    """Symplectic gradient adjustment: add what turns a rotation towards its centre.

        z⁺ = z − η (κ F + λ Aᵀ F),   A = (J − Jᵀ)/2

    J is the Jacobian of F and A its antisymmetric part. In a zero-sum game Aᵀ F is
    (f_xy f_y, f_yx f_x), and the step is that of `lola` with α = λ. Without alignment
    and with κ = 0 the method is crossing-the-curl, which follows (Jᵀ − J) F = 2 Aᵀ F
    (Gemp and Mahadevan 2018).

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        weight: |λ|, weight of the adjustment.
        is_aligned: whether λ has the sign of ⟨F, JᵀF⟩⟨AᵀF, JᵀF⟩/dim + ε, so that the
            adjustment points to stable points and away from unstable ones; else λ is
            positive.
        epsilon: ε, in units of the product before it.
        field_weight: κ, weight of F.
        direction: how the sum becomes a direction; one for both, or a pair (x, y). The
            authors use RMSProp.

    State: moments of the directions.
    Cost: 1 gradient of each player and 2 Hessian products for each step; 2 and 4 in
        games that are not zero-sum.
    Poor use: a weight far above 1/‖A‖ makes the step diverge.
    Source: Balduzzi, Racanière, Martens, Foerster, Tuyls and Graepel 2018, Algorithm 1;
        ε: Letcher et al. 2019.
    """

    step_size: StepSize = 0.1
    weight: NonNegative = 1.0
    is_aligned: bool = True
    epsilon: Positive = 0.1
    direction: Directions = Plain()
    field_weight: NonNegative = field(
        default=1.0, metadata={"identity": "unless default"}
    )

    source = BALDUZZI_2018
    tuned: ClassVar[SearchSpace] = {
        "weight": Choice(
            (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
            "It weighs the adjustment against the field, whose own weight is 1; "
            "half decades around it.",
        )
    }

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        general = Cost(grad_x=2, grad_y=2, hvps=4)
        return Cost(grad_x=1, grad_y=1, hvps=2, general_sum=general)

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        return init_joint(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        at = oracle.linearise(z, cross=True)
        of_x, of_y = at.through_x(at.grad_x), at.through_y(at.grad_y)
        if oracle.zero_sum:
            adjustment = oracle.join(of_y[0], of_x[1])
        else:
            mixed_x = at.through_cross_x(at.grad_y)[0]
            mixed_y = at.through_cross_y(at.grad_x)[1]
            adjustment = oracle.join(of_y[0] - mixed_x, of_x[1] - mixed_y) / 2
        f = oracle.join(at.grad_x, at.grad_y)
        weight: Any = self.weight
        if self.is_aligned:
            descent = oracle.join(of_x[0] + of_y[0], of_x[1] + of_y[1])
            aligned = dot(f, descent) * dot(adjustment, descent) / z.shape[1]
            weight = weight * (aligned + self.epsilon).sign()[:, None]
        d, state = step_joint(
            self.direction, oracle, self.field_weight * f + weight * adjustment, state
        )
        return oracle.project(z - oracle.scale(self.step_size, d)), state

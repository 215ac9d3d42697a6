"""Mirror-prox: extragradient with entropic steps."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, final

from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.domains import StepSize
from mmbench.core.literature import NEMIROVSKI_2004
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class MirrorProxState(NamedTuple):
    """The last point that was looked at ahead, z̃."""

    ahead: Joint


@final
@dataclass(frozen=True, kw_only=True)
class MirrorProx(Algorithm):
    """Mirror-prox: look ahead, then reweight the old point with the new field.

        z̃ ∝ z exp(−η F(z))
        z⁺ ∝ z exp(−η F(z̃))

    On each simplex the entries are divided by their sum. In a matrix game with payoffs
    from −L to L and n and m actions, steps η ≤ 1/L from the uniform start give the
    average of t points z̃ a gap of at most (log n + log m)/(η t). The Euclidean form is
    `extragradient`.

    Args:
        step_size: η, a number or a pair (x, y), in units of 1 per unit of F.
        result: whether the method's result is its "iterate" z or the point "ahead", z̃,
            whose average `averaged[base=mirror_prox[result=ahead]]` takes.

    State: the last point ahead.
    Cost: 2 gradients of each player for each step.
    Source: Nemirovski 2004.
    """

    step_size: StepSize = 0.1
    result: Literal["iterate", "ahead"] = "iterate"

    source = NEMIROVSKI_2004
    needs = frozenset({Capability.SIMPLEX})

    cost = Cost(grad_x=2, grad_y=2)

    def init(self, oracle: Oracle, z: Iterate) -> MirrorProxState:
        """Return the state before the first step."""
        return MirrorProxState(z)

    def step(
        self, oracle: Oracle, z: Iterate, state: MirrorProxState
    ) -> tuple[Iterate, MirrorProxState]:
        """Make one step of every run."""
        ahead = oracle.mirror(z, -oracle.scale(self.step_size, oracle.field(z)))
        step = -oracle.scale(self.step_size, oracle.field(ahead))
        return oracle.mirror(z, step), MirrorProxState(ahead)

    def answer(self, z: Iterate, state: MirrorProxState) -> Iterate:
        """Return the iterates, or the points ahead."""
        return state.ahead if self.result == "ahead" else z

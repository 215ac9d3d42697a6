"""The Halpern iteration around any method."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._wrapper import Wrapper, count_from_zero
from mmbench.algorithms.base import Iterate
from mmbench.core.literature import HALPERN_1967
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class HalpernState(NamedTuple):
    """The first iterate, the number of steps, the base's state."""

    anchor: Joint
    time: Float[Tensor, "runs 1"]
    base: Any


@final
@dataclass(frozen=True, kw_only=True)
class Halpern(Wrapper):
    """Halpern iteration: a mean of a method's step and the first iterate.

        z⁺ = β z₀ + (1 − β) T(z),   β = 1/(k + 2) at step k = 0, 1, …

    T is one step of the base method. Where T is nonexpansive with the fixed point z*,
    ‖z − T(z)‖ is at most 2 ‖z₀ − z*‖ / (k + 1) after k steps. The step of GDA is so
    where F is cocoercive, ⟨F(z) − F(w), z − w⟩ ≥ (η/2) ‖F(z) − F(w)‖²: with it this is
    Algorithm 1 of Diakonikolas 2020. That of `proximal_point` is so in every
    convex-concave game, at every step size: the anchored proximal point method.

    Args:
        base: method whose steps are made.

    State: the first iterate, number of steps, state of the base method.
    Cost: that of the base method.
    Poor use: GDA as the base of a bilinear game, whose steps expand.
    Source: Halpern 1967; min-max: Diakonikolas 2020; the bound: Lieder 2021.
    """

    source = HALPERN_1967

    def init(self, oracle: Oracle, z: Iterate) -> HalpernState:
        """Return the state before the first step."""
        return HalpernState(z, count_from_zero(z), self.base.init(oracle, z))

    def step(
        self, oracle: Oracle, z: Iterate, state: HalpernState
    ) -> tuple[Iterate, HalpernState]:
        """Make one step of every run."""
        moved, base = self.base.step(oracle, z, state.base)
        z = moved + (state.anchor - moved) / (state.time + 2)
        return z, HalpernState(state.anchor, state.time + 1, base)

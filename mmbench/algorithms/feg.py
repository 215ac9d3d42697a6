"""FEG: fast extragradient."""

from dataclasses import dataclass
from typing import Annotated, Literal, final

from mmbench.algorithms._anchor import AnchorState, init_anchor
from mmbench.algorithms._directions import Directions, Plain, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Domain, StepSize
from mmbench.core.literature import LEE_2021
from mmbench.core.oracle import Oracle


@final
@dataclass(frozen=True, kw_only=True)
class FEG(Algorithm):
    """Fast extragradient: anchored, with two step sizes, beyond monotone games.

        z̃ = z + β (z₀ − z) − (1 − β) (1 + 2r) η F(z)
        z⁺ = z + β (z₀ − z) − η F(z̃) − (1 − β) 2r η F(z),   β = 1/(k + 1), k = 0, 1, …

    Where F is L-Lipschitz and ρ-comonotone, ⟨F(z) − F(w), z − w⟩ ≥ ρ ‖F(z) − F(w)‖²
    with ρ > −1/(2L), the authors take η = 1/L and r = ρ/η, and ‖F(z)‖² is at most
    4 ‖z₀ − z*‖² / ((η + 2ρ) k)². Negative ρ admits games that are not convex-concave;
    at ρ = 0 the bound is 27/4 times below that of EAG-V.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        comonotonicity: r, the constant ρ relative to η.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        minibatch: whether the second half-step uses the "same" minibatch as the first
            or a "fresh" one, as the authors' S-FEG does.

    State: the first iterate, number of steps, moments of the directions.
    Cost: 2 gradients of each player for each step.
    Poor use: games with constant noise, whose effect grows with the number of steps.
    Source: Lee and Kim 2021, Algorithms 1 and 3, Theorem 4.1.
    """

    step_size: StepSize = 0.1
    comonotonicity: Annotated[float, Domain(low=-0.5, open_low=True)] = 0.0
    direction: Directions = Plain()
    minibatch: Literal["same", "fresh"] = "same"

    source = LEE_2021

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(
            grad_x=2, grad_y=2, minibatches=2 if self.minibatch == "fresh" else 1
        )

    def init(self, oracle: Oracle, z: Iterate) -> AnchorState:
        """Return the state before the first step."""
        return init_anchor(self.direction, oracle, z)

    def step(
        self, oracle: Oracle, z: Iterate, state: AnchorState
    ) -> tuple[Iterate, AnchorState]:
        """Make one step of every run."""
        moments = state.moments
        beta = 1 / (state.time + 1)
        d, moments = step_joint(self.direction, oracle, oracle.field(z), moments)
        first = (1 - beta) * oracle.scale(self.step_size, d)
        drawn = z + beta * (state.anchor - z) - 2 * self.comonotonicity * first
        ahead = oracle.project(drawn - first)
        if self.minibatch == "fresh":
            oracle.resample()
        d, moments = step_joint(self.direction, oracle, oracle.field(ahead), moments)
        z = oracle.project(drawn - oracle.scale(self.step_size, d))
        return z, state._replace(time=state.time + 1, moments=moments)

"""The extragradient method."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, final

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.cost import Cost
from mmbench.core.domains import Domain, StepSize
from mmbench.core.oracle import Oracle
from mmbench.core.source import Source

Ratio = Annotated[float, Domain(low=0, high=1, open_low=True)]


@final
@dataclass(frozen=True, kw_only=True)
class Extragradient(Algorithm):
    """Extragradient: look ahead, then step from the old point with the new field.

        z̃ = z − η F(z)
        z⁺ = z − ρ η F(z̃)

    Last iterates converge on bilinear games for η < 1, at twice the price of GDA. With
    `direction=adam[epsilon_at=raw]` this is ExtraAdam as in its authors' code, which
    updates the moments at both half-steps; `direction=adam` adds ε where Adam's paper
    and torch do.

    With ρ < 1 this is EG+ of Diakonikolas, Daskalakis and Jordan 2021, who take 1/2,
    and the method of Hsieh, Iutzeler, Malick and Mertikopoulos 2020 with two step
    sizes, which explores with η and updates with ρ η.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: how a gradient becomes a direction; one for both, or a pair (x, y).
        minibatch: whether the second half-step uses the "same" minibatch as the first
            or a "fresh" one; on noisy games convergence depends on it.
        ratio: ρ, the second step size relative to the first.

    State: moments of the directions.
    Cost: 2 gradients of each player for each step.
    Source: Korpelevich 1976; ExtraAdam: Gidel et al. 2019.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    minibatch: Literal["same", "fresh"] = "same"
    ratio: Ratio = field(default=1.0, metadata={"identity": "unless default"})

    source = Source(
        authors="Korpelevich",
        year=1976,
        title="The extragradient method for finding saddle points and other problems",
    )

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(
            grad_x=2, grad_y=2, minibatches=2 if self.minibatch == "fresh" else 1
        )

    def init(self, oracle: Oracle, z: Iterate) -> Any:
        """Return the first moments of the directions."""
        return init_joint(self.direction, oracle, z)

    def step(self, oracle: Oracle, z: Iterate, state: Any) -> tuple[Iterate, Any]:
        """Make one step of every run."""
        d, state = step_joint(self.direction, oracle, oracle.field(z), state)
        ahead = oracle.project(z - oracle.scale(self.step_size, d))
        if self.minibatch == "fresh":
            oracle.resample()
        d, state = step_joint(self.direction, oracle, oracle.field(ahead), state)
        if self.ratio != 1:
            d = self.ratio * d
        return oracle.project(z - oracle.scale(self.step_size, d)), state

"""SVRE: stochastic variance-reduced extragradient."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmbench.algorithms._directions import Directions, Plain, init_joint, step_joint
from mmbench.algorithms.base import Algorithm, Iterate
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.domains import Fraction, StepSize
from mmbench.core.literature import CHAVDAROVA_2019
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint, Mask, keep


class SVREState(NamedTuple):
    """What a run remembers.

    Args:
        snapshot: the iterate of the last pass over all terms.
        full: the field over all terms there.
        mean: the average of the iterates since the last restart.
        steps: how many they are.
        passes: passes made.
        moments: of the directions.
    """

    snapshot: Joint
    full: Joint
    mean: Joint
    steps: Float[Tensor, "runs 1"]
    passes: Int[Tensor, " runs"]
    moments: Any


@final
@dataclass(frozen=True, kw_only=True)
class SVRE(Algorithm):
    """Variance-reduced extragradient, for games that are finite sums.

        d(z) = Fᵢ(z) − Fᵢ(w) + F(w),   with a fresh minibatch i each time
        z̃ = z − η d(z),   z⁺ = z − η d(z̃)

    w is a snapshot, at which the field over all terms is known; z becomes the next one
    with the probability p before each step. On taking it, z may restart from the
    average of the iterates since the last restart.

    Args:
        step_size: η, a number or a pair (x, y), in units of z per unit of F.
        direction: how d becomes a direction; one for both, or a pair (x, y).
        snapshot: p, probability of a new snapshot before each step. The authors take
            one over the number of minibatches in a pass.
        restart: probability of a restart from the average at a new snapshot; the
            authors try 0, 0.05, 0.1 and 0.5.

    State: the snapshot and the field there, average of the iterates, moments of the
        directions.
    Cost: 4 gradients of each player and 2 minibatches for each step, and p passes over
        all terms on average; the first snapshot is taken at the start.
    Source: Chavdarova, Gidel, Fleuret and Lacoste-Julien 2019, Algorithms 1 and 3.
    """

    step_size: StepSize = 0.1
    direction: Directions = Plain()
    snapshot: Fraction = 0.01
    restart: Fraction = 0.0

    source = CHAVDAROVA_2019
    needs = frozenset({Capability.FINITE_SUM})

    @property
    def cost(self) -> Cost:
        """The oracle calls that one step makes."""
        return Cost(grad_x=4, grad_y=4, minibatches=2, passes=self.snapshot)

    def init(self, oracle: Oracle, z: Iterate) -> SVREState:
        """Take the first snapshot."""
        return SVREState(
            z,
            oracle.full_field(z),
            z,
            torch.ones_like(z[:, :1]),
            torch.zeros(len(z), dtype=torch.int64, device=z.device),
            init_joint(self.direction, oracle, z),
        )

    def step(
        self, oracle: Oracle, z: Iterate, state: SVREState
    ) -> tuple[Iterate, SVREState]:
        """Make one step of every run."""
        renews = oracle.alive & (oracle.uniform() < self.snapshot)
        restarts = renews & (oracle.uniform() < self.restart)
        z = keep(restarts, state.mean, z)
        state = self._renew(oracle, z, state, renews)
        moments = state.moments
        ahead = z
        for evaluation in range(2):
            if evaluation:
                oracle.resample()
            reduced = oracle.field(ahead) - oracle.field(state.snapshot) + state.full
            d, moments = step_joint(self.direction, oracle, reduced, moments)
            ahead = oracle.project(z - oracle.scale(self.step_size, d))
        steps = keep(restarts, torch.ones_like(state.steps), state.steps + 1)
        mean = keep(restarts, ahead, state.mean + (ahead - state.mean) / steps)
        return ahead, state._replace(mean=mean, steps=steps, moments=moments)

    def _renew(
        self, oracle: Oracle, z: Iterate, state: SVREState, renews: Mask
    ) -> SVREState:
        """Return the state with new snapshots of some runs."""
        full = oracle.full_field(z, on=renews)
        return state._replace(
            snapshot=keep(renews, z, state.snapshot),
            full=keep(renews, full, state.full),
            passes=state.passes + renews,
        )

"""Lookahead for games."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmbench.algorithms._wrapper import Wrapper, count_from_zero
from mmbench.algorithms.base import Iterate
from mmbench.core.domains import Count, Fraction
from mmbench.core.literature import CHAVDAROVA_2021
from mmbench.core.oracle import Oracle
from mmbench.core.priors import Choice, SearchSpace
from mmbench.core.vectors import Joint, keep


class LookaheadState(NamedTuple):
    """The slow iterates, whether there are any, steps since a return, the base."""

    slow: Joint
    has_slow: Bool[Tensor, " runs"]
    steps: Float[Tensor, "runs 1"]
    base: Any


@final
@dataclass(frozen=True, kw_only=True)
class Lookahead(Wrapper):
    """Lookahead: every k steps of a method, go back a part of the way.

        z⁺ = base step from z
        every k steps:  s ← s + α (z⁺ − s),   z⁺ ← s

    Both players go back together. It turns rotation into contraction: around GDA on
    the game xy, k steps and the return multiply the distance by |1 − α + α (1 + iη)ᵏ|.
    It can be nested: `lookahead[base=lookahead[base=gda,k=5],k=50]`.

    Args:
        base: method whose steps are made.
        k: steps between two returns.
        alpha: α, share of the way that is kept.
        slow_from: "start" takes the first iterate as the first slow one, as the paper
            does; "first_return" takes the iterate after k steps, as in its authors'
            code, where the first return changes nothing.

    State: slow iterates, number of steps, state of the base method.
    Cost: that of the base method.
    Poor use: on potential games it slows the base method down.
    Source: Chavdarova, Pagliardini, Stich, Fleuret and Jaggi 2021.
    """

    k: Count = 5
    alpha: Fraction = 0.5
    slow_from: Literal["start", "first_return"] = "start"

    source = CHAVDAROVA_2021
    tuned: ClassVar[SearchSpace] = {
        "k": Choice(
            (2, 5, 10, 20, 50),
            "From the fewest steps that differ from the base method to tens, as "
            "published.",
        )
    }

    def init(self, oracle: Oracle, z: Iterate) -> LookaheadState:
        """Return the state before the first step."""
        has_slow = torch.full_like(z[:, 0], self.slow_from == "start", dtype=torch.bool)
        base = self.base.init(oracle, z)
        return LookaheadState(z, has_slow, count_from_zero(z), base)

    def step(
        self, oracle: Oracle, z: Iterate, state: LookaheadState
    ) -> tuple[Iterate, LookaheadState]:
        """Make one step of every run."""
        z, base = self.base.step(oracle, z, state.base)
        steps = state.steps + 1
        returns = (steps == self.k)[:, 0]
        slow = keep(state.has_slow, state.slow, z)
        slow = keep(returns, slow + self.alpha * (z - slow), state.slow)
        z = keep(returns, slow, z)
        steps = keep(returns, torch.zeros_like(steps), steps)
        return z, LookaheadState(slow, state.has_slow | returns, steps, base)

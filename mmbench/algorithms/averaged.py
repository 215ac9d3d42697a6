"""Averages of the iterates of a method."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._wrapper import Wrapper, count_from_zero
from mmbench.algorithms.base import Iterate
from mmbench.core.domains import Decay
from mmbench.core.literature import BRUCK_1977
from mmbench.core.oracle import Oracle
from mmbench.core.vectors import Joint


class AverageState(NamedTuple):
    """The average, the number of steps, the base's state."""

    mean: Joint
    steps: Float[Tensor, "runs 1"]
    base: Any


@final
@dataclass(frozen=True, kw_only=True)
class Averaged(Wrapper):
    """Averaging: the result is an average of the iterates, which go on as they were.

        z̄⁺ = z̄ + w (z⁺ − z̄),   z̄ = z₀ before the first step

    With w = 1/t at step t the weights are uniform, with w = 2/(t + 1) they grow
    linearly, and with w = 1 − β they fall exponentially into the past.

    Metrics measure the average; whether a run diverges is judged by its iterates. On
    bilinear games the uniform average of a bounded cycle converges at the rate 1/t, so
    that it hides the cycle: compare it with the method itself.

    Args:
        base: method whose iterates are averaged.
        weights: which average is taken.
        decay: β, for exponential weights alone.

    State: the average, number of steps, state of the base method.
    Cost: that of the base method.
    Poor use: on games that are not convex-concave, where averages of good points may
        be bad ones.
    Source: Bruck 1977; exponential weights in GANs: Yazıcı et al. 2019.
    """

    weights: Literal["uniform", "linear", "exponential"] = "uniform"
    decay: Decay = 0.999

    source = BRUCK_1977

    def init(self, oracle: Oracle, z: Iterate) -> AverageState:
        """Return the state before the first step."""
        return AverageState(z, count_from_zero(z), self.base.init(oracle, z))

    def step(
        self, oracle: Oracle, z: Iterate, state: AverageState
    ) -> tuple[Iterate, AverageState]:
        """Make one step of every run."""
        z, base = self.base.step(oracle, z, state.base)
        steps = state.steps + 1
        share: float | Tensor
        match self.weights:
            case "uniform":
                share = 1 / steps
            case "linear":
                share = 2 / (steps + 1)
            case "exponential":
                share = 1 - self.decay
        point = self.base.answer(z, base)
        mean = state.mean + share * (point - state.mean)
        return z, AverageState(mean, steps, base)

    def answer(self, z: Iterate, state: AverageState) -> Iterate:
        """Return the average of the iterates."""
        return state.mean

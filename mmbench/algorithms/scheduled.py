"""A method whose step sizes follow a schedule."""

from dataclasses import dataclass
from typing import Any, NamedTuple, final

from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms._schedules import Rsqrt, Schedule
from mmbench.algorithms._wrapper import Wrapper, count_from_zero
from mmbench.algorithms.base import Iterate
from mmbench.core.errors import MisfitError
from mmbench.core.literature import ROBBINS_1951
from mmbench.core.oracle import Oracle


class ScheduledState(NamedTuple):
    """The number of steps, the base's state."""

    time: Float[Tensor, "runs 1"]
    base: Any


@final
@dataclass(frozen=True, kw_only=True)
class Scheduled(Wrapper):
    """A schedule: the step sizes of a method are multiplied by a factor at each step.

        z⁺ = base step from z with the step sizes s(t) ηₓ and s(t) ηᵧ

    Args:
        base: method whose steps are made; it must have a step size.
        schedule: s(t), the factor at step t, counted from 0.

    State: number of steps, state of the base method.
    Cost: that of the base method.
    Source: Robbins and Monro 1951.
    """

    schedule: Schedule = Rsqrt()

    source = ROBBINS_1951

    def check(self) -> None:
        """Raise when the base method has no step size."""
        if self.step_size is None:
            raise MisfitError(
                f"Scheduled.base must be a method with a step_size; got {self.base}."
            )

    def init(self, oracle: Oracle, z: Iterate) -> ScheduledState:
        """Return the state before the first step."""
        return ScheduledState(count_from_zero(z), self.base.init(oracle, z))

    def step(
        self, oracle: Oracle, z: Iterate, state: ScheduledState
    ) -> tuple[Iterate, ScheduledState]:
        """Make one step of every run."""
        sized = self.base.with_scaled_steps(self.schedule.factor(state.time))
        z, base = sized.step(oracle, z, state.base)
        return z, ScheduledState(state.time + 1, base)

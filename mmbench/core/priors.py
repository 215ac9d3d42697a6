"""Priors of hyperparameters: what a method declares to be searched when it is tuned.

A trial is a point of the unit cube. A prior turns one of its coordinates into the value
of a hyperparameter, so that the same points serve all methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_HYPERPARAMETERS = 4  # of a method that are tuned
# Names that stand for the two step sizes of a field `step_size` in a search space.
STEP_SIZES = ("step_size_x", "step_size_y")


@dataclass(frozen=True)
class LogUniform:
    """A positive number whose logarithm is uniform.

    Args:
        low: least value.
        high: greatest value.
        reason: why the range is this one, whatever the task.
    """

    low: float
    high: float
    reason: str

    def quantile(self, at: float) -> float:
        """Return the value below which a share of the prior lies, to four digits."""
        return float(f"{self.low * (self.high / self.low) ** at:.4g}")

    def __str__(self) -> str:
        return f"log-uniform from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of a few values, all of them as likely.

    Trials of one value are computed side by side, so that few values are fast.

    Args:
        values: the values.
        reason: why they are these, whatever the task.
    """

    values: tuple[Any, ...]
    reason: str

    def quantile(self, at: float) -> Any:
        """Return the value at a share from 0 to 1."""
        return self.values[min(int(at * len(self.values)), len(self.values) - 1)]

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, self.values))}"


Prior = LogUniform | Choice
SearchSpace = Mapping[str, Prior]

GRADIENT_STEPS = LogUniform(
    1e-3,
    3.0,
    "On a game whose field has the Lipschitz constant L, explicit steps converge below "
    "about 1/L; the range covers L from a third to a thousand.",
)
UNIT_STEPS = LogUniform(
    1e-5,
    0.1,
    "Each step moves every entry by about the step size, whatever the gradient; the "
    "entries of a network are of order 0.01 to 1.",
)


def values_at(space: SearchSpace, point: Sequence[float]) -> dict[str, Any]:
    """Return the values of hyperparameters at a point of the unit cube.

    Args:
        space: the prior of each hyperparameter.
        point: at least as many coordinates as there are hyperparameters.
    """
    return {
        name: prior.quantile(float(at))
        for (name, prior), at in zip(space.items(), point, strict=False)
    }

"""`check_algorithm` finds each fault of an algorithm."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

from mmbench.algorithms.base import Algorithm
from mmbench.algorithms.gda import GDA
from mmbench.core.cost import Cost
from mmbench.core.source import Source
from mmbench.tasks import TASKS
from mmbench.testing import check_algorithm

SOURCE = Source(authors="Nobody", year=2026, title="Wrong on purpose")
BILINEAR = TASKS.build("bilinear")


@dataclass(frozen=True, kw_only=True)
class Base(Algorithm):
    """GDA without a fault."""

    source = SOURCE

    @property
    def cost(self) -> Cost:
        """Return the cost of one step."""
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z), state


class State(NamedTuple):
    """A state of one tensor."""

    last: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class DependsOnRuns(Base):
    """An algorithm whose runs depend on each other."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z) + 1e-12 * z.mean(), state


@dataclass(frozen=True, kw_only=True)
class Undercharged(Base):
    """An algorithm that uses more gradients than its cost declares."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        oracle.grad_y(z)
        return z - 0.1 * oracle.field(z), state


@dataclass(frozen=True, kw_only=True)
class WritesInPlace(Base):
    """An algorithm that writes into z."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        z -= 0.1 * oracle.field(z)
        return z, state


@dataclass(frozen=True, kw_only=True)
class GloballyRandom(Base):
    """An algorithm that draws from torch's global generator."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z) + 0 * torch.rand(1), state


@dataclass(frozen=True, kw_only=True)
class DropsRunsAxis(Base):
    """An algorithm whose state loses its runs axis."""

    def init(self, oracle: Any, z: Any) -> State:
        """Return the first state."""
        return State(torch.zeros_like(z))

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z), State(state.last[0])


@dataclass(frozen=True, kw_only=True)
class NaNInState(Base):
    """An algorithm whose first state has a NaN."""

    def init(self, oracle: Any, z: Any) -> State:
        """Return the first state."""
        return State(torch.full_like(z, torch.nan))


@dataclass(frozen=True, kw_only=True)
class LaterNaNInState(Base):
    """An algorithm whose step puts a NaN into its state."""

    def init(self, oracle: Any, z: Any) -> State:
        """Return the first state."""
        return State(torch.zeros_like(z))

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z), State(state.last / state.last)


@dataclass(frozen=True, kw_only=True)
class WritesStateInPlace(Base):
    """An algorithm that writes into its state."""

    def init(self, oracle: Any, z: Any) -> State:
        """Return the first state."""
        return State(torch.zeros_like(z))

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z), State(state.last.add_(1))


@dataclass(frozen=True, kw_only=True)
class LeavesSolution(Base):
    """An algorithm that moves away from the solution."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """Return the next iterate."""
        return z - 0.1 * oracle.field(z) + 1e-6, state


@dataclass(frozen=True, kw_only=True)
class Uncounted(Base):
    """An algorithm that does not count its inner iterations."""

    @property
    def cost(self) -> Cost:
        """Return the cost of one step."""
        return Cost(grad_x=1, grad_y=1, hvps_per_iteration=2)


@dataclass(frozen=True, kw_only=True)
class Undocumented(Base):
    """An algorithm with an undocumented field."""

    k: int = 1


@dataclass(frozen=True, kw_only=True)
class Sourceless(Algorithm):
    """An algorithm without a source."""

    cost = Base.cost
    step = Base.step


def test_a_correct_algorithm_passes() -> None:
    """The base class of the faulty algorithms passes."""
    check_algorithm(Base())
    check_algorithm(GDA(), [BILINEAR])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (DependsOnRuns(), "must not depend on other runs"),
        (Undercharged(), r"must use the grad_y it declares, .*; got \[2, 2, 2\]"),
        (WritesInPlace(), "must not change z in place"),
        (GloballyRandom(), "must draw from the oracle"),
        (DropsRunsAxis(), "must keep the runs axis in its state"),
        (NaNInState(), "must have no NaN in its state"),
        (LaterNaNInState(), "must have no NaN in its state"),
        (WritesStateInPlace(), "must not change its state in place"),
        (LeavesSolution(), "must stay at the solution"),
        (Uncounted(), "must count inner iterations or passes in a field 'iterations'"),
    ],
)
def test_wrong_algorithms_are_caught(wrong: Algorithm, sentence: str) -> None:
    """The message of each failure names the fault."""
    with pytest.raises(AssertionError, match=sentence):
        check_algorithm(wrong, [BILINEAR])


@pytest.mark.parametrize("private", [Undocumented(), Sourceless()])
def test_external_classes_need_no_texts(private: Algorithm) -> None:
    """Only built-in members need sources and documented fields."""
    check_algorithm(private, [BILINEAR])


def test_local_classes_are_refused() -> None:
    """A class inside a function cannot be pickled."""

    @dataclass(frozen=True, kw_only=True)
    class Local(Base):
        """GDA."""

    with pytest.raises(AssertionError, match="must be picklable"):
        check_algorithm(Local())

"""The contract checks catch what they are there to catch."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch

from mmbench.algorithms.base import Algorithm
from mmbench.algorithms.gda import GDA
from mmbench.core.cost import Cost
from mmbench.core.source import Source
from mmbench.metrics.base import Column, IterateMetric
from mmbench.tasks import TASKS
from mmbench.tasks.quadratic import Quadratic, QuadraticGame
from mmbench.testing import check_algorithm, check_metric, check_task

SOURCE = Source(authors="Nobody", year=2026, title="Wrong on purpose")
BILINEAR = TASKS.build("bilinear")


@dataclass(frozen=True, kw_only=True)
class Base(Algorithm):
    """GDA, right in all respects."""

    source = SOURCE

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_x=1, grad_y=1)

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        return z - 0.1 * oracle.field(z), state


class Memory(NamedTuple):
    """Something remembered."""

    last: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Sociable(Base):
    """Looks at the other runs."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        return z - 0.1 * oracle.field(z) + 1e-12 * z.mean(), state


@dataclass(frozen=True, kw_only=True)
class Cheap(Base):
    """Takes a gradient more than it says."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        oracle.grad_y(z)
        return z - 0.1 * oracle.field(z), state


@dataclass(frozen=True, kw_only=True)
class Hasty(Base):
    """Writes into z."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        z -= 0.1 * oracle.field(z)
        return z, state


@dataclass(frozen=True, kw_only=True)
class Gambling(Base):
    """Draws from torch's own generator."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        return z - 0.1 * oracle.field(z) + 0 * torch.rand(1), state


@dataclass(frozen=True, kw_only=True)
class Flat(Base):
    """Drops the runs axis of its state."""

    def init(self, oracle: Any, z: Any) -> Memory:
        """Something."""
        return Memory(torch.zeros_like(z))

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        return z - 0.1 * oracle.field(z), Memory(state.last[0])


@dataclass(frozen=True, kw_only=True)
class Restless(Base):
    """Leaves the solution."""

    def step(self, oracle: Any, z: Any, state: Any) -> Any:
        """One step."""
        return z - 0.1 * oracle.field(z) + 1e-6, state


@dataclass(frozen=True, kw_only=True)
class Uncounted(Base):
    """Has a cost for each inner iteration and counts none."""

    @property
    def cost(self) -> Cost:
        """What one step uses."""
        return Cost(grad_x=1, grad_y=1, hvps_per_iteration=2)


@dataclass(frozen=True, kw_only=True)
class Silent(Base):
    """Has a field that no text explains."""

    k: int = 1


@dataclass(frozen=True, kw_only=True)
class Sourceless(Algorithm):
    """GDA without a source."""

    cost = Base.cost
    step = Base.step


def test_a_right_one_passes() -> None:
    """The base of the wrong ones is right."""
    check_algorithm(Base())
    check_algorithm(GDA(), [BILINEAR])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (Sociable(), "must not depend on other runs"),
        (Cheap(), r"must use the grad_y it declares, .*; got \[2, 2, 2\]"),
        (Hasty(), "must not alter z in place"),
        (Gambling(), "must draw from the oracle"),
        (Flat(), "must keep the runs axis in its state"),
        (Restless(), "must stay at the solution"),
        (Uncounted(), "must count inner iterations in a field 'iterations'"),
    ],
)
def test_wrong_algorithms_are_caught(wrong: Algorithm, sentence: str) -> None:
    """Each fault is named."""
    with pytest.raises(AssertionError, match=sentence):
        check_algorithm(wrong, [BILINEAR])


@pytest.mark.parametrize("private", [Silent(), Sourceless()])
def test_outsiders_need_no_texts(private: Algorithm) -> None:
    """Sources and told fields are asked of built-in members only."""
    check_algorithm(private, [BILINEAR])


def test_local_classes_cannot_travel() -> None:
    """A class inside a function has no address to be pickled by."""

    @dataclass(frozen=True, kw_only=True)
    class Local(Base):
        """GDA."""

    with pytest.raises(AssertionError, match="must be picklable"):
        check_algorithm(Local())


# ---- tasks ----


class BentGame(QuadraticGame):
    """A quadratic with one thing wrong."""

    wrong = ""

    def losses(self, x: Any, y: Any, sample: Any, *, train: bool = True) -> Any:
        """Both losses."""
        f, minus = super().losses(x, y, sample, train=train)
        if self.wrong == "gradient":
            bend = (x.detach() * y)[:, 0]
            return f + bend, minus - bend
        if self.wrong == "sum":
            return f, minus * 2
        if self.wrong == "company":
            return f + 1e-9 * f.detach().mean(), -(f + 1e-9 * f.detach().mean())
        if self.wrong == "solution":
            return f + x[:, 0], -(f + x[:, 0])
        return f, minus


def bent(wrong: str) -> Quadratic:
    """A quadratic whose game has that wrong with it."""

    def build(self: Any, place: Any) -> BentGame:
        game = BentGame(self, place)
        game.wrong = wrong
        return game

    # A subclass of a final class, as no task but a test may be.
    kind = type(
        "Bent",
        (Quadratic,),
        {"build": build, "__doc__": Quadratic.__doc__, "__module__": __name__},
    )
    globals()["Bent"] = kind  # where pickle looks
    return dataclass(frozen=True, kw_only=True)(kind)()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("gradient", "must have the gradients of its losses"),
        ("sum", "must be zero-sum, as it says"),
        ("company", "must keep the runs apart"),
        ("solution", "must have no field at its solution"),
    ],
)
def test_wrong_tasks_are_caught(wrong: str, sentence: str) -> None:
    """Each fault is named."""
    with pytest.raises(AssertionError, match=sentence):
        check_task(bent(wrong))


def test_a_right_task_passes() -> None:
    """The bent game without a bend is right."""
    check_task(bent(""))


# ---- metrics ----


@dataclass(frozen=True, kw_only=True)
class Mean(IterateMetric):
    """Looks at all runs, or fills another column than it says."""

    name: str = "mean"
    """Args are missing on purpose in no test of this class."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it fills."""
        return (Column("mean", "mean"),)

    def measure(self, at: Any) -> Any:
        """One number a run."""
        index = torch.arange(len(at.z), dtype=at.z.dtype)
        return {self.name: index}


Mean.__doc__ = """Looks at all runs.

Args:
    name: of the column it fills.
"""


def test_wrong_metrics_are_caught() -> None:
    """A metric that knows a run's place, and one that fills another column."""
    with pytest.raises(AssertionError, match="must permute mean"):
        check_metric(Mean(), BILINEAR)
    with pytest.raises(AssertionError, match=r"must fill \['mean'\]"):
        check_metric(Mean(name="other"), BILINEAR)

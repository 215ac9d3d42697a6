"""`check_task` finds each fault of a task."""

from dataclasses import dataclass
from typing import Any

import pytest

from mmbench.tasks.quadratic import Quadratic, QuadraticGame
from mmbench.testing import check_task


class FaultyGame(QuadraticGame):
    """A quadratic game with one fault."""

    fault = ""

    def losses(self, x: Any, y: Any, sample: Any, *, train: bool = True) -> Any:
        """Return both losses, with the fault."""
        f, minus = super().losses(x, y, sample, train=train)
        if self.fault == "gradient":
            error = (x.detach() * y)[:, 0]
            return f + error, minus - error
        if self.fault == "sum":
            return f, minus * 2
        if self.fault == "dependence":
            return f + 1e-9 * f.detach().mean(), -(f + 1e-9 * f.detach().mean())
        if self.fault == "solution":
            return f + x[:, 0], -(f + x[:, 0])
        return f, minus


def task_with_fault(fault: str) -> Quadratic:
    """Return a quadratic task whose game has a fault."""

    def build(self: Any, placement: Any) -> FaultyGame:
        game = FaultyGame(self, placement)
        game.fault = fault
        return game

    # A subclass of a final class, as no task but a test may be.
    kind = type(
        "FaultyTask",
        (Quadratic,),
        {"build": build, "__doc__": Quadratic.__doc__, "__module__": __name__},
    )
    globals()["FaultyTask"] = kind  # pickle looks here
    return dataclass(frozen=True, kw_only=True)(kind)()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("gradient", "must have the gradients of its losses"),
        ("sum", "must be zero-sum, as it declares"),
        ("dependence", "must keep its runs independent"),
        ("solution", "must have a zero field at its solution"),
    ],
)
def test_wrong_tasks_are_caught(fault: str, sentence: str) -> None:
    """The message of each failure names the fault."""
    with pytest.raises(AssertionError, match=sentence):
        check_task(task_with_fault(fault))


def test_a_correct_task_passes() -> None:
    """The game without a fault passes."""
    check_task(task_with_fault(""))

"""The check that external code stays what its key stands for, while it runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from own_algorithms import own_algorithm

from mmbench.core.checkpoint import CheckpointSlot
from mmbench.core.errors import CodeError
from mmbench.core.placement import Placement
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.execute import execute
from mmbench.runner.limits import Limits
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite

CASES = {
    "an import by a computed name": (
        "[]",
        "importlib.import_module('late' + 'ly')",
        r"lately\.py was imported while it ran",
    ),
    "a global that is changed": ("[]", "SEEN.append(1)", "must not change the code or"),
    "a generator of random numbers": (
        "__import__('numpy').random.default_rng(0)",
        "SEEN.normal()",
        "must not change the code or",
    ),
    "a method that is replaced": (
        "[]",
        "Mine.step = lambda self, oracle, z, state: (z, state)",
        "must not change the code or",
    ),
    "a class's counter": ("[]", "type(self).count = 1", "must not change the code or"),
}


@pytest.fixture(autouse=True)
def fresh_modules() -> Iterator[None]:
    """Forget the modules of a test."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def cell(folder: Path, case: str) -> Cell:
    """Write a class that breaks the rule, and plan a cell of it."""
    seen, step, _ = CASES[case]
    body = f"{step}; return z - 0.1 * oracle.field(z), state"
    source = own_algorithm(body, head=f"import importlib\nSEEN = {seen}")
    (folder / "mine.py").write_text(source)
    (folder / "lately.py").write_text("")
    grid = Grid(
        tasks=("bilinear",),
        algorithms=(f"{folder / 'mine.py'}:Mine",),
        seeds=2,
        steps=4,
        records=2,
    )
    return plan(Suite(name="test", grids=(grid,)))[0]


class Slot(CheckpointSlot):
    """A slot that has a checkpoint written at every step."""

    interval_seconds = 0.0

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.written = 0

    def read(self) -> bytes | None:
        """Return what was written last."""
        return self.content

    def write(self, content: bytes) -> None:
        """Keep the content."""
        self.content = content
        self.written += 1

    def remove(self) -> None:
        """Forget the content."""
        self.content = None


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_stored_of_other_code(case: str, tmp_path: Path) -> None:
    """The cell ends with a sentence; neither a result nor a checkpoint is left."""
    planned, slot = cell(tmp_path, case), Slot()
    with pytest.raises(CodeError, match=CASES[case][2]):
        run_cell(planned, slot=slot)
    assert slot.content is None
    assert slot.written <= 1  # the one before the first step


@pytest.mark.parametrize("limits", [Limits(), Limits(timeout=60.0)])
def test_the_command_ends(limits: Limits, tmp_path: Path) -> None:
    """In this process and in a child with limits."""
    planned, store = cell(tmp_path, "a global that is changed"), Store(tmp_path / "s")
    with pytest.raises(CodeError, match="must not change the code or the globals"):
        execute([planned], store, limits=limits)
    assert list(store) == []
    assert not list((tmp_path / "s").glob("*.checkpoint"))


def test_a_class_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    """The key stands for the code as it was when the cell was planned."""
    planned = cell(tmp_path, "a class's counter")
    assert planned.key
    cls: Any = type(planned.algorithm)
    cls.step = lambda self, oracle, z, state: (z, state)
    with pytest.raises(CodeError, match="must not change the code or the globals"):
        run_cell(planned, Placement())

"""The check that external code stays what its key stands for, while it runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_algorithms import own_algorithm
from scripted_runs import make_cell

from mmbench.core.checkpoint_slot import CheckpointSlot
from mmbench.core.errors import CodeError
from mmbench.core.external import load_external
from mmbench.core.oracle import Oracle
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
    "an attribute of its own": (
        "[]",
        "object.__setattr__(self, 'count', vars(self).get('count', 0) + 1)",
        "must not change its own attributes once it runs; count was set",
    ),
    "an oracle that is replaced": (
        "[]",
        "type(oracle).field = lambda self, z: 0 * z",
        "Oracle must be as mmbench defines it; its field was replaced",
    ),
}


@pytest.fixture(autouse=True)
def fresh_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules of a test, and what it replaces."""
    monkeypatch.setattr(Oracle, "field", Oracle.field)
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


HELD = {
    "a memo": (
        "import functools\n@functools.cache\ndef size(): return SIZE[0]",
        "",
        "size()",
    ),
    "a memo of a method": (
        "import functools\nclass Sizes:\n    @staticmethod\n"
        "    @functools.cache\n    def size(): return SIZE[0]",
        "",
        "Sizes.size()",
    ),
    "a cached property": (
        "import functools",
        "    @functools.cached_property\n    def size(self): return SIZE[0]\n",
        "self.size",
    ),
    "an attribute set by its check": (
        "",
        "    def check(self): object.__setattr__(self, 'size', SIZE[0])\n",
        "self.size",
    ),
    "an attribute set from outside": ("", "    size = 0.1\n", "self.size"),
}


@pytest.mark.parametrize("case", HELD)
def test_objects_and_memos_hold_no_earlier_values(case: str, tmp_path: Path) -> None:
    """A cell has the numbers of the code and the globals in its key, and no others."""
    head, members, size = HELD[case]
    source = own_algorithm(
        f"return z - {size} * oracle.field(z), state", head=f"SIZE = [0.1]\n{head}"
    )
    (tmp_path / "mine.py").write_text(source + members)
    cls = load_external(f"{tmp_path / 'mine.py'}:Mine")
    algorithm = cls()

    def numbers(algorithm: Any) -> Any:
        cell = make_cell("bilinear", algorithm, seeds=1, steps=3, records=1)
        return np.stack(list(run_cell(cell).columns.values()))

    first = numbers(algorithm)
    if "outside" in case:
        object.__setattr__(algorithm, "size", 0.3)
    else:
        vars(sys.modules[cls.__module__])["SIZE"][0] = 0.3
    again, expected = numbers(algorithm), numbers(cls())
    np.testing.assert_equal(again, expected)
    if "outside" not in case:  # the key stands for the new value
        assert not np.array_equal(first, expected)


FOUND_ON_THE_WAY = {
    "a combination of flags": (
        "import enum\nclass S(enum.Flag):\n    A = 1\n    B = 2\n    C = 4",
        "(S.A | S.C).value / 50",
    ),
    "a cached property of a helper": (
        "import functools\nclass Sizes:\n    def __init__(self): self.k = 0.1\n"
        "    @functools.cached_property\n    def half(self): return self.k / 2\n"
        "SIZES = Sizes()",
        "SIZES.half",
    ),
    "what a dispatched function has found": (
        "import functools\n@functools.singledispatch\ndef size(x): return 0.1",
        "size(1)",
    ),
    "what a cached function has returned": (
        "import functools\n@functools.cache\ndef half(): return 0.5",
        "half()",
    ),
}


@pytest.mark.parametrize("case", FOUND_ON_THE_WAY)
def test_values_that_are_found_on_the_way_are_no_state(
    case: str, tmp_path: Path
) -> None:
    """What follows from the code and is kept as it is used ends no cell."""
    head, size = FOUND_ON_THE_WAY[case]
    body = f"return z - {size} * oracle.field(z), state"
    (tmp_path / "mine.py").write_text(own_algorithm(body, head=head))
    algorithm = load_external(f"{tmp_path / 'mine.py'}:Mine")()
    trajectory = run_cell(make_cell("bilinear", algorithm, seeds=1, steps=2))
    assert not trajectory.reason

"""Classes from outside: their code is in the key, their faults stay in their cell."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.core.cost import Cost
from mmbench.core.description import reference_of
from mmbench.core.errors import DescriptionError
from mmbench.core.status import Status
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite

BODY = """
from dataclasses import dataclass
import torch
from mmbench import Algorithm, Cost

@dataclass(frozen=True, kw_only=True)
class Mine(Algorithm):
    @property
    def cost(self):
        return Cost(grad_x=1, grad_y=1)

    def init(self, oracle, z):
        {init}

    def step(self, oracle, z, state):
        {step}
"""


def written(
    folder: Path, step: str, init: str = "return ()", name: str = "mine.py"
) -> str:
    """Reference of a class in a new file."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(BODY.format(step=step, init=init)))
    return f"{folder / name}:Mine"


def cell(words: Any, **options: Any) -> Cell:
    """A small cell of one algorithm."""
    options = {"seeds": 3, "steps": 8, "records": 4} | options
    grid = Grid(tasks=("bilinear",), algorithms=(words,), **options)
    return plan(Suite(name="test", grids=(grid,)))[0]


def reason(words: Any, **options: Any) -> str:
    """Why a cell ended with an error."""
    trajectory = run_cell(cell(words, **options))
    assert set(trajectory.status) == {Status.ERROR}
    return trajectory.reason


def test_edited_code_has_another_key(tmp_path: Path) -> None:
    """The same words, the same file name, other code: another address."""
    one = written(tmp_path / "a", "return z - 0.1 * oracle.field(z), state")
    other = written(tmp_path / "b", "return z - 0.2 * oracle.field(z), state")
    assert cell(one).key == cell(one).key
    assert cell(one).key != cell(other).key


def test_a_class_that_a_file_imports_brings_its_own_source(tmp_path: Path) -> None:
    """A file that only imports the class does not hide where its code is."""
    keys = []
    for folder, factor in (("a", "0.1"), ("b", "0.2")):
        step = f"return z - {factor} * oracle.field(z), state"
        module = f"kept_{folder}"
        written(tmp_path / folder, step, name=f"{module}.py")
        face = tmp_path / folder / "face.py"
        face.write_text(f"from {module} import Mine\n")
        keys.append(cell(f"{face}:Mine").key)
    assert keys[0] != keys[1]


def test_instances_are_outsiders_too() -> None:
    """A class given as an object is known by its source as well as one in words."""

    @dataclass(frozen=True, kw_only=True)
    class Local(Algorithm):
        @property
        def cost(self) -> Cost:
            return Cost()

        def step(self, oracle: Any, z: Any, state: Any) -> Any:
            return z, state

    assert reference_of(Local).startswith("test_external.py:")
    assert "@" in reference_of(Local)


def test_undecorated_instances_are_refused() -> None:
    """Fields that no dataclass knows would be no part of the key."""

    class Bare(Algorithm):
        factor: float = 1.0

        @property
        def cost(self) -> Cost:
            return Cost()

        def step(self, oracle: Any, z: Any, state: Any) -> Any:
            return z, state

    with pytest.raises(DescriptionError, match="must be decorated with @dataclass"):
        ALGORITHMS.coerce(Bare())


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("return z[:, 0], state", "must return a new z of shape (512, 2)"),
        ("return z.double(), state", "torch.float64"),
        ("z -= 0.1 * oracle.field(z); return z, state", "written in place"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_bad_step_is_one_sentence(tmp_path: Path, step: str, said: str) -> None:
    """Wrong shapes, drifting precision, writing in place and leaving are caught."""
    assert said in reason(written(tmp_path, step))


@pytest.mark.parametrize(
    "init",
    ["return torch.tensor(0.0)", "return {'t': z}", "return [z]", "return (z[:1],)"],
)
def test_a_bad_state_is_one_sentence(tmp_path: Path, init: str) -> None:
    """What could not be frozen run by run is refused before the first step."""
    said = reason(written(tmp_path, "return z, state", init))
    assert "must give tensors with a leading axis of 512 runs" in said


def test_ends_are_not_rewritten_by_a_later_error(tmp_path: Path) -> None:
    """A run that diverged before the cell raised has diverged."""
    step = (
        "far = torch.where(torch.arange(len(z))[:, None] == 0, 1e9, 0.0)\n"
        "        if bool((z.abs() > 0).any()) and state[0][1] >= 3: raise ValueError\n"
        "        return z + far, (state[0] + 1,)"
    )
    words = written(tmp_path, step, "return (torch.zeros(len(z)),)")
    trajectory = run_cell(cell(words))
    assert trajectory.status == [Status.DIVERGED, Status.ERROR, Status.ERROR]
    assert trajectory.stopped_at[0] == 1


def test_a_start_beyond_the_precision_is_an_error() -> None:
    """1e300 is no number of single precision."""
    grid = Grid(tasks=("bilinear[start_at=(1e300,1)]",), algorithms=("gda",), steps=2)
    (one,) = plan(Suite(name="test", grids=(grid,)))
    assert "must start at finite points" in run_cell(one).reason


def test_columns_are_filled_once() -> None:
    """Two metrics of one column, or one that is called seed, are refused."""
    with pytest.raises(DescriptionError, match="'gap' is filled twice"):
        cell("gda", metrics=("gap", "gap[radius=1]"))

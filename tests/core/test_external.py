"""External classes: their code is part of the key, their errors stay in their cell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from own_algorithms import own_algorithm

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


def write_class(
    folder: Path, step: str, init: str = "return ()", name: str = "mine.py"
) -> str:
    """Write a class to a new file, and return its reference."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(own_algorithm(step, init))
    return f"{folder / name}:Mine"


def cell(spec: Any, **options: Any) -> Cell:
    """Plan a small cell of one algorithm."""
    options = {"seeds": 3, "steps": 8, "records": 4} | options
    grid = Grid(tasks=("bilinear",), algorithms=(spec,), **options)
    return plan(Suite(name="test", grids=(grid,)))[0]


def reason(spec: Any, **options: Any) -> str:
    """Return the error that a cell ended with."""
    trajectory = run_cell(cell(spec, **options))
    assert set(trajectory.status) == {Status.ERROR}
    return trajectory.reason


def test_edited_code_has_another_key(tmp_path: Path) -> None:
    """The key differs if the code does, with the same file name and class."""
    first = write_class(tmp_path / "a", "return z - 0.1 * oracle.field(z), state")
    second = write_class(tmp_path / "b", "return z - 0.2 * oracle.field(z), state")
    assert cell(first).key == cell(first).key
    assert cell(first).key != cell(second).key


def test_a_class_that_a_file_imports_brings_its_own_source(tmp_path: Path) -> None:
    """A file that only imports a class has the key of the code that it imports."""
    keys = []
    for folder, factor in (("a", "0.1"), ("b", "0.2")):
        step = f"return z - {factor} * oracle.field(z), state"
        module = f"kept_{folder}"
        write_class(tmp_path / folder, step, name=f"{module}.py")
        face = tmp_path / folder / "face.py"
        face.write_text(f"from {module} import Mine\n")
        keys.append(cell(f"{face}:Mine").key)
    assert keys[0] != keys[1]


def test_instances_can_be_external() -> None:
    """A class given as an object has a source digest like one given as a spec."""

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
    """A class without the decorator has fields that are not part of the key."""

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
    ("step", "message"),
    [
        ("return z[:, 0], state", "must return a new z of shape (512, 2)"),
        ("return z.double(), state", "torch.float64"),
        ("z -= 0.1 * oracle.field(z); return z, state", "written in place"),
        ("import sys; sys.exit(3)", "SystemExit in mine.py, line 16: 3"),
    ],
)
def test_a_bad_step_is_one_sentence(tmp_path: Path, step: str, message: str) -> None:
    """Wrong shapes and dtypes, writing in place and exiting are caught."""
    assert message in reason(write_class(tmp_path, step))


@pytest.mark.parametrize(
    "init",
    ["return torch.tensor(0.0)", "return {'t': z}", "return [z]", "return (z[:1],)"],
)
def test_a_bad_state_is_one_sentence(tmp_path: Path, init: str) -> None:
    """A state without a leading axis of runs is refused before the first step."""
    message = reason(write_class(tmp_path, "return z, state", init))
    assert "must give tensors with a leading axis of 512 runs" in message


def test_a_later_error_does_not_change_ended_runs(tmp_path: Path) -> None:
    """A run that diverged before an error of the cell keeps its status."""
    step = (
        "far = torch.where(torch.arange(len(z))[:, None] == 0, 1e9, 0.0)\n"
        "        if bool((z.abs() > 0).any()) and state[0][1] >= 3: raise ValueError\n"
        "        return z + far, (state[0] + 1,)"
    )
    reference = write_class(tmp_path, step, "return (torch.zeros(len(z)),)")
    trajectory = run_cell(cell(reference))
    assert trajectory.status == [Status.DIVERGED, Status.ERROR, Status.ERROR]
    assert trajectory.stopped_at[0] == 1


def test_a_start_beyond_the_precision_is_refused() -> None:
    """A start that overflows float32 is found at planning."""
    grid = Grid(tasks=("bilinear[start_at=(1e300,1)]",), algorithms=("gda",), steps=2)
    with pytest.raises(DescriptionError, match="Bilinear.start_at must be a pair"):
        plan(Suite(name="test", grids=(grid,)))


def test_columns_are_filled_once() -> None:
    """Two metrics with the same column are refused."""
    with pytest.raises(DescriptionError, match="'gap' is filled twice"):
        cell("gda", metrics=("gap", "gap[radius=1]"))

"""Settings of a run: one declaration, which grids and cells inherit."""

from dataclasses import fields

import pytest

from mmbench.algorithms.gda import GDA
from mmbench.core.docstrings import doc_of
from mmbench.core.run_settings import RunSettings
from mmbench.engine.cell import Cell
from mmbench.metrics.distance import Distance
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite, grid_fields
from mmbench.tasks.bilinear import Bilinear

CHANGED = {
    "steps": 7,
    "budget": 11,
    "unit": "samples",
    "records": 3,
    "dtype": "float64",
    "precision": "bf16",
    "inherit": "x",
    "keep": "all",
    "keep_state": True,
}


@pytest.mark.parametrize("field", fields(RunSettings), ids=lambda field: field.name)
def test_grids_and_cells_inherit_every_setting(field) -> None:
    """They have its default and its part in the identity."""
    for cls in (Grid, Cell):
        (inherited,) = [one for one in fields(cls) if one.name == field.name]
        assert inherited.default == field.default
        assert inherited.metadata == field.metadata


def test_every_setting_is_documented_and_tested() -> None:
    """A new setting needs a line in the docstring, and a value in this file."""
    names = {field.name for field in fields(RunSettings)}
    assert set(doc_of(RunSettings).arguments) == names == set(CHANGED)
    for field in grid_fields():
        if "option" in field.metadata:
            assert field.metadata["meaning"].endswith(".")


@pytest.mark.parametrize("name", CHANGED)
def test_a_cell_has_the_settings_of_its_grid(name: str) -> None:
    """`plan` copies all of them."""
    axes = {"algorithms": ("gda",), "seeds": 2, "steps": 9}
    first = Grid(tasks=("bilinear[dim=2,noise=0.1]",), **axes)
    after = {"after": "gda"} if name == "inherit" else {}
    after |= {"budget": 11} if name == "unit" else {}
    values = axes | after | {name: CHANGED[name]}
    second = Grid(tasks=("bilinear[dim=2,largest=2.0,noise=0.1]",), **values)
    *_, cell = plan(Suite(name="x", grids=(first, second)))
    assert getattr(cell, name) == CHANGED[name]
    assert cell.settings() == second.settings()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("steps", True),
        ("records", True),
        ("dtype", True),
        ("precision", True),
        ("inherit", True),
        ("keep", False),
        ("keep_state", False),
    ],
)
def test_settings_that_are_part_of_a_key(name: str, changes: bool) -> None:
    """All but what is kept of the runs."""
    options = {
        "task": Bilinear(dim=2),
        "algorithm": GDA(),
        "seeds": (0,),
        "metrics": (Distance(),),
    }
    key = Cell(**options).key
    assert (Cell(**options, **{name: CHANGED[name]}).key != key) is changes


def test_a_budget_and_its_unit_are_part_of_a_key() -> None:
    """Cells without one have the keys that they had before there were budgets."""
    options = {"task": Bilinear(dim=2), "algorithm": GDA(), "seeds": (0,), "steps": 11}
    by_steps = Cell(**options, metrics=(Distance(),))
    by_cost = Cell(**options, metrics=(Distance(),), budget=11)
    by_samples = Cell(**options, metrics=(Distance(),), budget=11, unit="samples")
    assert len({by_steps.key, by_cost.key, by_samples.key}) == 3

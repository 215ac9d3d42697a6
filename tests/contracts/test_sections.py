"""Every section renders whatever results there are, or is left out."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from report_results import DIGITS, GAUSSIANS, VIEWS, only, section_of, texts_of

from mmbench.analysis.report import sections
from mmbench.analysis.report.sections import RANKED, SECTIONS
from mmbench.analysis.report.sections.base import Section
from mmbench.analysis.results import Results, gather
from mmbench.runner.execute import execute
from mmbench.runner.plan import plan
from mmbench.store.folder import Store
from mmbench.suites.base import Grid, Suite


def test_every_section_is_listed() -> None:
    """A file that is missing from the dict would silently be left out."""
    here = Path(sections.__file__).parent
    files = {path.stem for path in here.glob("*.py")} - {"__init__", "base"}
    assert files == {*RANKED, *SECTIONS}


# These draw for a second or more: but for two views of portraits, slow tests.
DRAWN = ("convergence", "equal_cost", "portraits")


@pytest.mark.parametrize(
    ("name", "view"),
    [
        pytest.param(name, view, marks=[pytest.mark.slow] if is_slow else [])
        for name, view in product([*RANKED, *SECTIONS], VIEWS)
        for is_slow in [
            name in DRAWN
            and (name, view)
            not in product(["portraits"], ["missing values", "some unfinished"])
        ]
    ],
)
def test_section_renders(name: str, view: str, results: Results) -> None:
    """A section renders or is left out, and its rows are as wide as its tables."""
    made = section_of(name, VIEWS[view](results))
    if made is None:
        absent = ("convergence", "games", "modes", "portraits", "tuning", *RANKED)
        assert name in absent
        assert name != "summary" or view == "all unfinished"
        assert name != "answer" or view in ("all unfinished", "no metrics")
        return
    assert isinstance(made, Section)
    assert made.subsections
    for part in made.subsections:
        for table in part.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
        for figure in part.figures:
            assert figure.alt
            assert bool(figure.svg) is not bool(figure.png)


@pytest.mark.parametrize(
    ("name", "task", "there"),
    [
        ("modes", "bilinear", False),
        ("modes", GAUSSIANS, True),
        ("modes", DIGITS, True),
        ("portraits", "bilinear", True),
        ("portraits", DIGITS, False),
    ],
)
def test_section_without_data_is_left_out(
    name: str, task: str, there: bool, results: Results
) -> None:
    assert (section_of(name, only(results, task=task)) is not None) is there


def test_sections_say_where_runs_start_that_continue_others(tmp_path: Path) -> None:
    """Three sections name the previous cell by its label, or else by its class."""
    first = Grid(tasks=("bilinear",), algorithms=("checkpoint = gda",), seeds=2)
    then = replace(first, algorithms=("on = omd",), after="checkpoint", inherit="x")
    grids = (replace(first, steps=9, records=3), replace(then, steps=5, records=3))
    store = Store(tmp_path / "store")
    execute(plan(Suite(name="chain", grids=grids)), store)
    both = gather(store)
    start = "starts its x where “checkpoint” ended"
    summary, curves = section_of("summary", both), section_of("convergence", both)
    methods = section_of("methods", both)
    assert summary
    assert curves
    assert methods
    assert f"“on” {start}." in summary.subsections[-1].notes
    assert any(one.startswith(f"“on” {start}") for one in curves.subsections[0].notes)
    tables = [table for part in methods.subsections for table in part.tables]
    assert [
        row[-1]
        for table in tables
        if "Start" in table.columns
        for row in texts_of(table)
    ] == [start]
    alone = section_of("convergence", only(both, label="on"))
    assert alone
    assert (
        alone.subsections[0]
        .notes[0]
        .startswith("“on” starts its x where “GDA, 9 steps” ended")
    )

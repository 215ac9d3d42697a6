"""Every built-in suite can be planned, with distinct keys and fitting metrics."""

import pytest

from mmbench.runner.plan import plan
from mmbench.suites import SUITES
from mmbench.suites.base import Suite


@pytest.mark.parametrize("name", SUITES)
def test_suite_can_be_planned(name: str) -> None:
    """Cells are built, fit each other, and have keys and labels of their own."""
    suite = SUITES[name]
    assert isinstance(suite, Suite)
    assert suite.name == name
    assert suite.title
    cells = plan(suite)
    assert len({cell.key for cell in cells}) == len(cells)
    named = {(str(cell.task), cell.label, cell.repetition) for cell in cells}
    assert len(named) == len(cells)
    for cell in cells:
        names = [column.name for column in cell.columns]
        assert names
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", SUITES)
def test_planning_is_stable(name: str) -> None:
    """Planned twice, a suite gives the same keys in the same order."""
    first, second = (tuple(cell.key for cell in plan(SUITES[name])) for _ in range(2))
    assert first == second


def test_labels_lead_to_one_row_each() -> None:
    """One label on several tasks means one setting."""
    for name in SUITES:
        for cell in plan(SUITES[name]):
            assert cell.label == cell.label.strip() != ""

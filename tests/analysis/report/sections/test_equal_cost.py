"""What is reached at equal cost."""

import pytest
from report_results import only, section_of

from mmbench.analysis.report.sections import equal_cost
from mmbench.analysis.results import Results


def test_a_task_has_shares_and_its_first_metric(results: Results) -> None:
    made = section_of("equal_cost", only(results, task="quadratic"))
    assert made
    (part,) = made.subsections
    assert [one.alt.split(" on ")[0] for one in part.figures][-1].startswith("Curves")


def test_more_labels_than_colours_are_grey(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equal_cost, "MAX_COLOURED", 1)
    made = section_of("equal_cost", only(results, task="bilinear"))
    assert made
    (part,) = made.subsections
    assert len(part.legend) == 1
    assert part.notes[-1].startswith("The first 1 of 3 rows of the board")

"""Outcomes of runs."""

from report_results import HOSTILE

from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results


def test_a_broken_cell_stays_on_the_page(results: Results) -> None:
    """Its runs count as failures, and its reason is told."""
    summary = SECTIONS["summary"](results)
    outcomes = SECTIONS["outcomes"](results)
    assert summary
    assert outcomes
    table = summary.files["leaderboard.csv"].set_index(["scope", "task", "label"])
    row = table.loc["task", "bilinear", HOSTILE]
    assert (row["converged"], row["runs"]) == (0, 3)
    told = outcomes.files["outcomes.csv"].query("label == @HOSTILE")
    assert set(told["status"]) == {"error"}
    assert told["reason"].str.contains("no <i>further</i> than this").all()

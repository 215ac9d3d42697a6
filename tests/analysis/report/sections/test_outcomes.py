"""Tests of the outcomes section."""

from report_results import HOSTILE

from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results


def test_a_failed_cell_stays_on_the_page(results: Results) -> None:
    """The runs of the cell count as unsuccessful, and their reason is shown."""
    summary = SECTIONS["summary"](results)
    outcomes = SECTIONS["outcomes"](results)
    assert summary
    assert outcomes
    table = summary.files["leaderboard.csv"].set_index(["scope", "task", "label"])
    row = table.loc["task", "bilinear", HOSTILE]
    assert (row["converged"], row["runs"]) == (0, 3)
    runs = outcomes.files["outcomes.csv"].query("label == @HOSTILE")
    assert set(runs["status"]) == {"error"}
    assert runs["reason"].str.contains("no <i>further</i> than this").all()

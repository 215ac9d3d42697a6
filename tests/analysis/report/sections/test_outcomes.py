"""Tests of the outcomes section."""

import pytest
from matplotlib.axes import Axes
from report_results import HOSTILE, section_of

from mmbench.analysis.report.sections import base, outcomes
from mmbench.analysis.results import Results, tasks_of


def test_a_failed_cell_stays_on_the_page(results: Results) -> None:
    """The runs of the cell count as unsuccessful, and their reason is shown."""
    summary = section_of("summary", results)
    made = section_of("outcomes", results)
    assert summary
    assert made
    table = summary.files["leaderboard.csv"].set_index(["scope", "task", "label"])
    row = table.loc["task", "bilinear", HOSTILE]
    assert (row["converged"], row["runs"]) == (0, 3)
    runs = made.files["outcomes.csv"].query("label == @HOSTILE")
    assert set(runs["status"]) == {"error"}
    assert runs["reason"].str.contains("no <i>further</i> than this").all()


def test_many_algorithms_and_rows_are_cut(
    results: Results, drawn: list[Axes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "MAX_LABELS", 1)
    monkeypatch.setattr(base, "MAX_ROWS", 1)
    made = section_of("outcomes", results)
    assert made
    assert all(len(axes.get_yticks()) == 1 for axes in drawn)
    _, bars, listed = made.subsections
    assert bars.notes == [outcomes.CUT]
    assert listed.tables == ()
    assert "in outcomes.csv alone" in listed.notes[0]


def test_bars_are_shares_of_the_runs_of_each_label(
    results: Results, drawn: list[Axes]
) -> None:
    """The bars of every label reach 100 %, each as long as its share."""
    made = section_of("outcomes", results)
    assert made
    runs = made.files["outcomes.csv"]
    assert runs.groupby("task")["label"].nunique().max() > 1
    for task, axes in zip(tasks_of(results), drawn, strict=True):
        here = runs[runs["task"] == task]
        widths: dict[int, list[float]] = {}
        for bar in axes.patches:
            y = round(bar.get_y() + bar.get_height() / 2)
            widths.setdefault(y, []).append(bar.get_width())
        for y, label in enumerate(dict.fromkeys(here["label"])):
            shares = here[here["label"] == label]["status"].value_counts(normalize=True)
            expected = sorted(shares[shares > 0])
            assert sorted(widths[y]) == pytest.approx(expected), label
            assert sum(widths[y]) == pytest.approx(1)

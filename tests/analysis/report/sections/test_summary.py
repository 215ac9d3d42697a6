"""Tests of the leaderboard section."""

from report_results import DIGITS, only, texts_of, with_unfinished

from mmbench.analysis.numbers import number
from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results


def test_scores_of_real_images_are_in_figures_and_table(results: Results) -> None:
    seen = only(results, task=DIGITS)
    (footer,) = seen.footers.values()
    score = footer["ideal"]["fd_digitscnn_20"]
    curves = SECTIONS["convergence"](seen)
    assert curves
    drawn = [str(one.svg) for part in curves.subsections for one in part.figures]
    # One metric is drawn on three axes, the other against steps only.
    assert sum("real images" in one for one in drawn) == 3 + 1
    summary = SECTIONS["summary"](seen)
    assert summary
    (table,) = [
        one
        for part in summary.subsections
        for one in part.tables
        if "All metrics" in one.caption
    ]
    assert "#fd_digitscnn_20 ↓" in table.columns
    at = table.columns.index("#fd_digitscnn_20 ↓")
    real, gda = texts_of(table)
    assert (real[0], real[at]) == ("real images", number(score))
    last = seen.frame.groupby("seed").tail(1)["fd_digitscnn_20"]
    assert (gda[0], gda[at]) == ("GDA", number(last.median()))


def test_the_score_of_real_images_is_in_the_heading(results: Results) -> None:
    """The heading of the metric that orders the algorithms gives the score."""
    seen = only(results, task=DIGITS)
    footers = {
        key: one
        | {
            "target": "",
            "columns": [c for c in one["columns"] if c["name"].startswith("fd_")],
        }
        for key, one in seen.footers.items()
    }
    (footer,) = footers.values()
    made = SECTIONS["summary"](seen._replace(footers=footers))
    assert made
    score = f"(real images: {number(footer['ideal']['fd_digitscnn_20'])})"
    assert f"#Median fd_digitscnn_20 {score}" in made.subsections[0].tables[0].columns


def test_an_unfinished_cell_has_curves_but_no_rank(results: Results) -> None:
    seen = with_unfinished(results, DIGITS)
    summary, curves = SECTIONS["summary"](seen), SECTIONS["convergence"](seen)
    assert summary
    assert curves
    assert DIGITS not in set(summary.files["leaderboard.csv"]["task"])
    (part,) = [one for one in curves.subsections if one.title == DIGITS]
    assert "“GDA” is unfinished: it is at step 7 of 12." in part.notes

"""Tests of the leaderboard section."""

import pandas as pd
import pytest
from report_results import DIGITS, only, section_of, texts_of, with_unfinished

from mmbench.analysis.leaderboard import thresholds_of
from mmbench.analysis.numbers import number
from mmbench.analysis.paired_test import power
from mmbench.analysis.report.sections import summary
from mmbench.analysis.report.sections.summary import GAINS
from mmbench.analysis.results import Results, target_in_words


def test_scores_of_real_images_are_in_figures_and_table(results: Results) -> None:
    seen = only(results, task=DIGITS)
    (footer,) = seen.footers.values()
    score = footer["ideal"]["fd_digitscnn_20"]
    curves = section_of("convergence", seen)
    assert curves
    drawn = [str(one.svg) for part in curves.subsections for one in part.figures]
    # One metric is drawn on two axes, the other against steps only.
    assert sum("real images" in one for one in drawn) == 2 + 1
    summary = section_of("summary", seen)
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
    made = section_of("summary", seen._replace(footers=footers))
    assert made
    score = f"(real images: {number(footer['ideal']['fd_digitscnn_20'])})"
    assert f"#Median fd_digitscnn_20 {score}" in made.subsections[0].tables[0].columns


def test_an_unfinished_cell_has_curves_but_no_rank(results: Results) -> None:
    seen = with_unfinished(results, DIGITS)
    summary, curves = section_of("summary", seen), section_of("convergence", seen)
    assert summary
    assert curves
    assert DIGITS not in set(summary.files["leaderboard.csv"]["task"])
    (part,) = [one for one in curves.subsections if one.title == DIGITS]
    assert "“GDA” is unfinished: it is at step 7 of 12." in part.notes


def test_targets_are_in_words_where_they_are_used(results: Results) -> None:
    """On the board and beside the counts of digits, with the bound on junk."""
    seen = only(results, task=DIGITS)
    words = target_in_words(seen, DIGITS)
    junk = "both_digits is at least 1 (both digits and at most 30 % junk)"
    assert words == f"if {junk}"
    for name in ("summary", "modes"):
        made = section_of(name, seen)
        assert made
        prose = [text for part in made.subsections for text in part.prose]
        assert any(words in text for text in prose)
        assert "≤" not in " ".join(prose)


def with_a_twin(results: Results) -> Results:
    """Return the cell of a game, and the same under another label."""
    seen = only(results, task="dirac_gan")
    other = seen.frame.assign(label="other", key="k")
    one = next(iter(seen.footers))
    footers = seen.footers | {"k": seen.footers[one] | {"label": "other"}}
    frame = pd.concat([seen.frame, other], ignore_index=True)
    return seen._replace(frame=frame, footers=footers)


def test_a_board_says_what_it_can_tell(results: Results) -> None:
    """With nine seeds on a board of 64 all places are shared, and the page says so."""
    made = section_of("summary", with_a_twin(results))
    assert made
    notes = " ".join(made.subsections[-1].notes)
    assert (
        "capacity 64, if p ≤ 2.48e−5. This takes at least 17 seeds; here are 9" in notes
    )
    pair, on_board = (
        [f"{100 * power((9,), gain, thresholds_of(64))[level]:.0f} %" for gain in GAINS]
        for level in (0, 1)
    )
    assert f"better as a pair in {', '.join(pair)} of cases" in notes
    assert f"on this board in {', '.join(on_board)}." in notes


def test_a_board_whose_target_nobody_reached_says_so(results: Results) -> None:
    seen = only(results, task="bilinear")
    frame = seen.frame.assign(status="finished", stopped_at=seen.frame["step"].max())
    made = section_of("summary", seen._replace(frame=frame))
    assert made
    prose = " ".join(made.subsections[-1].prose)
    assert "No run did, so that the distance to the solutions" in prose
    assert "at most 0.001" in prose


def test_many_comparisons_are_in_their_file_alone(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, tables in ((2, 1), (1, 0)):
        monkeypatch.setattr(summary, "MAX_COMPARISONS", most)
        made = section_of("summary", with_a_twin(results))
        assert made
        part = made.subsections[-1]
        assert sum("Comparison of" in one.caption for one in part.tables) == tables
        assert len(made.files["comparisons.csv"]) == 2  # over tasks, and on the one
        alone = "The 2 comparisons of two algorithms are in comparisons.csv alone"
        assert any(one.startswith(alone) for one in made.prose) == (tables == 0)

"""Tests of the section of methods and games."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from report_results import HOSTILE, only, section_of

from mmbench.analysis import stats
from mmbench.analysis.report.sections import games
from mmbench.analysis.results import Results, target_of, tasks_of


def test_every_method_and_game_has_its_share_and_cost(
    results: Results, drawn: list[Axes]
) -> None:
    """Shares, intervals and costs are those of the runs, and so are the texts."""
    section = section_of("games", results)
    assert section
    table = section.files["games.csv"]
    shown = [task for task in tasks_of(results) if target_of(results, task)]
    assert list(dict.fromkeys(table["task"])) == shown
    frame = results.frame[results.frame["task"].isin(shown)]
    assert len(table) == frame["key"].nunique()
    runs = frame.drop_duplicates(["key", "seed"])
    for row in table.to_dict("records"):
        ended = runs[(runs["task"] == row["task"]) & (runs["label"] == row["label"])]
        converged = (ended["status"] == "converged").sum()
        assert row["converged"] == converged
        assert row["success"] == converged / len(ended)
        if np.isfinite(row["success_low"]):
            ends = stats.proportion_interval(int(converged), len(ended))
            assert [row["success_low"], row["success_high"]] == pytest.approx(
                [float(end) for end in ends]
            )
    success, cost = drawn
    shares = [text.get_text().partition("\n")[0] for text in success.texts]
    assert sorted(shares) == sorted(
        f"{100 * share:.0f} %" for share in table["success"]
    )
    assert len(cost.texts) == len(success.patches) == len(table)
    failed = table[table["label"] == HOSTILE]
    assert (failed["success"] == 0).all()
    assert np.isinf(failed["to_target"]).all()


def test_many_games_and_methods_are_cut(
    results: Results, drawn: list[Axes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Games are side by side as they fit, and the first methods are shown."""
    monkeypatch.setattr(games, "MAX_COLUMNS", 2)
    monkeypatch.setattr(games, "MAX_LABELS", 1)
    section = section_of("games", results)
    assert section
    (part,) = section.subsections
    columns = [len(axes.get_xticks()) for axes in drawn]
    assert max(columns) == 2
    assert sum(columns) == 2 * len(set(section.files["games.csv"]["task"]))
    assert all(len(axes.get_yticks()) == 1 for axes in drawn)
    assert part.notes[-1] == "The first 1 methods are shown."


def test_methods_are_in_the_order_of_their_success(
    results: Results, drawn: list[Axes]
) -> None:
    """A method that reaches the target in two runs of three comes first."""
    frame = results.frame.copy()
    won = (
        (frame["label"] == "EG") & (frame["task"] == "quadratic") & (frame["seed"] < 2)
    )
    frame.loc[won, ["status", "stopped_at"]] = "converged", 8
    section = section_of("games", results._replace(frame=frame))
    assert section
    rows = [text.get_text() for text in drawn[0].get_yticklabels()]
    assert rows[0] == "EG"
    table = section.files["games.csv"].set_index(["task", "label"])
    row = table.loc["quadratic", "EG"]
    assert (row["converged"], row["runs"]) == (2, 3)
    of_runs = frame[won & (frame["step"] >= 8)].groupby("seed")["grad_x"].min()
    assert row["to_target"] == 2 * of_runs.max()  # both players' gradients
    assert "67 %\n9–99" in {text.get_text() for text in drawn[0].texts}


def test_few_games_have_no_section(results: Results) -> None:
    """The leaderboard of two games shows as much."""
    assert section_of("games", only(results, task="bilinear")) is None

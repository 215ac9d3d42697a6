"""Tests of ranks, letters and medians on small tables."""

import numpy as np
import pandas as pd
import pytest

from mmbench.analysis import leaderboard
from mmbench.analysis.results import Results
from mmbench.core.status import Status
from mmbench.store.folder import Store

COLUMN = {"name": "distance", "title": "distance", "better": "lower", "scale": "log"}


def cell(
    label: str,
    status: list[str],
    last: list[float],
    task: str = "t",
    *,
    cost: int = 10,
    seeds: list[int] | None = None,
) -> pd.DataFrame:
    """Make runs with records at steps 0, 5 and 10; converged ones did so at 5."""
    runs = zip(seeds or range(len(last)), status, last, strict=True)
    rows = [
        {
            "task": task,
            "algorithm": "gda",
            "label": label,
            "seed": seed,
            "step": step,
            "grad_x": cost * step // 10,
            "grad_y": 0,
            "hvps": 0,
            "values": 0,
            "samples": 0,
            "cell_seconds": 0.1 * step,
            "status": state,
            "stopped_at": 5 if state == Status.CONVERGED else 10,
            "reason": "",
            "distance": value if step == 10 else 1.0 + seed,
            "key": f"{task}/{label}",
        }
        for seed, state, value in runs
        for step in (0, 5, 10)
    ]
    return pd.DataFrame(rows)


def results(
    *cells: pd.DataFrame, target: str = "distance ≤ 0.001", column: dict = COLUMN
) -> Results:
    frame = pd.concat(cells, ignore_index=True)
    footers = {
        one["key"].iloc[0]: {
            "task": one["task"].iloc[0],
            "label": one["label"].iloc[0],
            "columns": [column],
            "target": target,
        }
        for one in cells
    }
    return Results(frame, footers, Store("unused"))


def outcomes(converged: int, runs: int) -> list[str]:
    return ["converged"] * converged + ["finished"] * (runs - converged)


def board(*cells: pd.DataFrame, **options) -> leaderboard.Board:
    return leaderboard.boards(results(*cells, **options))[1]["t"]


def test_entries_differ_or_share_a_rank() -> None:
    """16/16 beats 0/16; 15/16 shares the first rank."""
    values = [0.1 * at for at in range(16)]
    table, pairs = board(
        cell("none", outcomes(0, 16), values),
        cell("all", outcomes(16, 16), values),
        cell("most", outcomes(15, 16), values),
    )
    assert table["label"].tolist() == ["all", "most", "none"]
    assert table["place"].tolist() == [1, 1, 3]
    assert table["groups"].tolist() == ["a", "a", "b"]
    verdicts = pairs.set_index(["first", "second"])["verdict"]
    assert verdicts["all", "most"] == "share a place"
    assert verdicts["most", "none"] == "apart"
    assert table["success"].tolist() == [1.0, 15 / 16, 0.0]


def test_a_significant_but_small_difference_shares_the_rank() -> None:
    """Seventeen of 400 pairs are significant and still below five points."""
    values = [0.1 * at for at in range(400)]
    table, pairs = board(
        cell("all", outcomes(400, 400), values),
        cell("almost", outcomes(383, 400), values),
    )
    assert pairs["p_holm"].iloc[0] < 1e-4
    assert table["place"].tolist() == [1, 1]


def test_fewer_than_eight_pairs_are_never_tested() -> None:
    values = [0.1 * at for at in range(7)]
    table, pairs = board(
        cell("all", outcomes(7, 7), values), cell("none", outcomes(0, 7), values)
    )
    assert table["place"].tolist() == [1, 1]
    assert np.isnan(pairs["p"].iloc[0])
    assert "fewer than 8 pairs" in pairs["verdict"].iloc[0]


def test_pairs_are_those_of_common_seeds() -> None:
    """Seeds that only one entry has count in its rate, not in the comparison."""
    values = [0.1 * at for at in range(16)]
    _, pairs = board(
        cell("one", outcomes(16, 16), values),
        cell("other", outcomes(0, 16), values, seeds=list(range(10, 26))),
    )
    assert pairs["pairs"].iloc[0] == 6


def test_median_counts_missing_values_as_the_worst() -> None:
    """The median is infinite if two of three runs have no value."""
    table, _ = board(cell("one", ["error"] * 3, [0.5, np.nan, np.nan]))
    assert table["median"].iloc[0] == np.inf
    table, _ = board(cell("one", outcomes(0, 3), [0.5, 0.25, np.nan]))
    assert table["median"].iloc[0] == 0.5


def test_higher_is_better_if_the_column_says_so() -> None:
    """The ends of the interval keep their order, and missing is minus infinity."""
    modes = COLUMN | {"better": "higher"}
    values = [5, 4, 3, 3, 1, np.nan]
    table, _ = board(cell("one", outcomes(0, 6), values), column=modes)
    row = table.iloc[0]
    assert row["median"] == 3
    assert row["median_low"] == -np.inf
    assert row["median_high"] == 5


def test_cost_to_target() -> None:
    """The cost is infinite if no more than half of the runs reach the target."""
    table, _ = board(cell("one", outcomes(3, 4), [0.1, 0.2, 0.3, 0.4], cost=100))
    assert table["gradient_equivalents"].iloc[0] == 100
    assert table["to_target"].iloc[0] == 50
    table, _ = board(cell("one", outcomes(1, 4), [0.1, 0.2, 0.3, 0.4]))
    assert table["to_target"].iloc[0] == np.inf


def test_without_a_target_the_metric_decides() -> None:
    """An entry wins if it is better on ten of ten seeds, not on half of them."""
    low = [0.01 * (at + 1) for at in range(10)]
    high = [1.0 + 0.03 * at for at in range(10)]
    mixed = [low[at] + (0.001 if at % 2 else -0.001) for at in range(10)]
    table, pairs = board(
        cell("high", outcomes(0, 10), high),
        cell("low", outcomes(0, 10), low),
        cell("mixed", outcomes(0, 10), mixed),
        target="",
    )
    assert table["label"].tolist()[-1] == "high"
    assert table["place"].tolist() == [1, 1, 3]
    assert "success" not in table
    wins = pairs.set_index(["first", "second"])["difference"]
    assert set(wins) == {1.0, 0.5}


def test_identical_runs_count_once() -> None:
    """They give no interval, and two such entries form a single pair."""
    same = [
        cell("all", outcomes(12, 12), [0.5] * 12).assign(distance=0.5),
        cell("none", outcomes(0, 12), [0.5] * 12).assign(distance=0.5),
    ]
    table, pairs = board(*same)
    assert table["alike"].all()
    assert table["success_low"].isna().all()
    assert pairs["pairs"].iloc[0] == 1
    assert table["place"].tolist() == [1, 1]


def test_success_is_known_where_all_runs_are_identical() -> None:
    """Such a task halves the interval over two tasks, also that of a difference."""
    values = [0.1 * at for at in range(16)]
    same = [0.5] * 16
    cells = [
        cell("one", outcomes(12, 16), values, "varied"),
        cell("one", outcomes(16, 16), same, "same").assign(distance=0.5),
        cell("two", outcomes(0, 16), values, "varied"),
        cell("two", outcomes(0, 16), same, "same").assign(distance=0.5),
    ]
    overall, by_task = leaderboard.boards(results(*cells))
    assert overall
    row = overall.table.set_index("label").loc["one"]
    varied = by_task["varied"].table.set_index("label").loc["one"]
    for end in ("success_low", "success_high"):
        assert row[end] == pytest.approx((varied[end] + 1) / 2)
    for end in ("low", "high"):
        on_varied = by_task["varied"].pairs[end].iloc[0]
        assert overall.pairs[end].iloc[0] == pytest.approx((on_varied + 1) / 2)
    overall, _ = leaderboard.boards(results(*cells[1::2]))
    assert overall
    assert overall.table["success_low"].isna().all()
    assert overall.pairs[["low", "high"]].iloc[0].tolist() == [1, 1]


def test_overall_compares_on_common_tasks() -> None:
    """An entry without the hard task has the higher mean and no better rank."""
    values = [0.1 * at for at in range(16)]
    found = results(
        cell("both", outcomes(16, 16), values, "easy"),
        cell("easy only", outcomes(16, 16), values, "easy"),
        cell("weak", outcomes(0, 16), values, "easy"),
        cell("both", outcomes(4, 16), values, "hard"),
        cell("weak", outcomes(0, 16), values, "hard"),
    )
    overall, by_task = leaderboard.boards(found)
    assert overall
    assert list(by_task) == ["easy", "hard"]
    table = overall.table.set_index("label")
    assert table["success"].to_dict() == {"both": 0.625, "easy only": 1.0, "weak": 0.0}
    assert table["tasks"].to_dict() == {"both": 2, "easy only": 1, "weak": 2}
    assert table["place"].to_dict() == {"both": 1, "easy only": 1, "weak": 3}
    assert (table["success_low"] <= table["success"]).all()
    assert (table["success"] <= table["success_high"]).all()


def test_overall_needs_a_target() -> None:
    values = [0.1 * at for at in range(4)]
    found = results(cell("one", outcomes(0, 4), values), target="")
    assert leaderboard.boards(found)[0] is None


def test_entries_without_common_task_are_not_compared() -> None:
    values = [0.1 * at for at in range(16)]
    found = results(
        cell("here", outcomes(16, 16), values, "easy"),
        cell("there", outcomes(0, 16), values, "hard"),
    )
    overall, _ = leaderboard.boards(found)
    assert overall
    assert overall.table["place"].tolist() == [1, 1]
    assert overall.pairs["tasks"].iloc[0] == 0


def test_a_column_that_one_entry_lacks() -> None:
    """An entry without the column has no median, comes last and is not tested."""
    values = [0.1 * at for at in range(10)]
    lacking = cell("lacking", outcomes(0, 10), [np.nan] * 10)
    found = results(cell("one", outcomes(0, 10), values), lacking, target="")
    found.footers["t/lacking"]["columns"] = []
    table, pairs = leaderboard.boards(found)[1]["t"]
    assert table["label"].tolist() == ["one", "lacking"]
    assert np.isnan(table["median"].iloc[1])
    assert pairs["pairs"].iloc[0] == 0


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_ties_in_success_are_ordered_by_the_metric(better: str) -> None:
    """The metric changes the order of the rows, not the rank."""
    small, large = [0.1, 0.2, 0.3], [1.1, 1.2, 1.3]
    table, _ = board(
        cell("large", outcomes(0, 3), large),
        cell("small", outcomes(0, 3), small),
        column=COLUMN | {"better": better},
    )
    expected = ["small", "large"] if better == "lower" else ["large", "small"]
    assert table["label"].tolist() == expected
    assert table["place"].tolist() == [1, 1]

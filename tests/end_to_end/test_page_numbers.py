"""Tests that the page and its tables show the numbers of a store made by hand.

Inputs are irregular: uneven steps, ties, single missing values, infinite prices, equal
times of two chunks, and labels and tasks that begin alike.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import PROVENANCE, PageReader, ReadTable, planned, put_by_hand

from mmbench.analysis.report.page import write_report
from mmbench.analysis.results import gather
from mmbench.store.folder import Store

NAN = float("nan")
STEPS = (0, 1, 4, 10)
COUNTS = {"grad_x": 2, "grad_y": 3, "hvps": 1, "values": 2}  # in each step
PRICE = 2 + 3 + 2 * 1 + 0.5 * 2  # of a step, in gradient-equivalents
MODES = "four_gaussians[hidden=8,noise=4,batch=16]"


def spent(factors: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the counts of runs that spend multiples of the same."""
    steps = np.outer(factors, STEPS)
    return {name: each * steps for name, each in COUNTS.items()}


def put_cells(store: Store) -> None:
    """Store nine cells: two tasks with a target, one without, one of modes."""
    four, ten = {"seeds": 4, "steps": 10}, {"seeds": 10, "steps": 10}
    put_by_hand(
        store,
        planned("bilinear", "A = gda", **four),
        {
            "distance": [
                [8, 1e-4, 1e-4, 1e-4],
                [8, 4, 2e-4, 2e-4],
                [2, 2, 4e-4, 4e-4],
                [1, 1, NAN, NAN],
            ],
            "field_norm": [[1, 1, 1, 5], [1, 1, 1, 7], [1, 1, 1, NAN], [1, 1, 2, 6]],
        },
        steps=STEPS,
        status=("converged", "converged", "converged", "nonfinite"),
        stopped_at=(1, 4, 4, 4),
        counts=spent((1, 1, 2, 1)),
        # Two chunks of two runs, which happen to take the same time.
        seconds=[[0, 0.5, 1, 3]] * 4,
        width=2,
    )
    put_by_hand(
        store,
        planned("bilinear", "AB = gda[step_size=0.2]", **four),
        {"distance": [[8, 7, 6, 5], [8, 8, 8, 8], [8, 8, 1, 1e-5], [8, 1e3, 1e3, 1e3]]},
        steps=STEPS,
        status=("finished", "finished", "converged", "diverged"),
        stopped_at=(10, 10, 10, 1),
        counts=spent((1, 2, 3, 4)),
        seconds=[[0, 0.25, 1, 3]] * 4,
        width=4,
        provenance=PROVENANCE | {"processor": "B", "cudnn": 91002},
    )
    put_by_hand(
        store,
        planned("bilinear[dim=2]", "A = gda", **four),
        {"distance": [[1, 1, 1, 1]] * 4},
        steps=STEPS,
        status=("error",) * 4,
        stopped_at=(0, 1, 1, 4),
        reasons=("it broke",) * 4,
        seconds=[[0, 1, 2, 2]] * 3 + [[0, 1, 2, 2.5]],
        width=3,
    )
    without_target = {
        "C = gda": [1, 1, 1, 1, 1, 1, 1, 1, 5, 5],
        "CD = gda[step_size=0.2]": [1, 1, 1, 1, 2, 2, 2, 2, 3, 3],
    }
    for label, last in without_target.items():
        put_by_hand(
            store,
            planned("quadratic", label, **ten),
            {"distance": [[9, 8, 7, value] for value in last]},
            steps=STEPS,
            status=("finished",) * 10,
            counts=spent((1,) * 9 + (5,)),
            target="",
        )
    put_by_hand(
        store,
        planned(MODES, "A = gda", **four),
        {
            "modes": [[0, 1, 2, 4], [0, 4, 4, 4], [0, 0, 3, 3], [0, 0, 4, NAN]],
            "near_mode": [[0, 0, 0.5, 0.75], [0, 0, 0, 1], [0, 0, 0, 0.5], [NAN] * 4],
            "modes_forgotten": [[0, 0, 0, 2]] * 4,
        },
        steps=STEPS,
        status=("finished",) * 4,
        seconds=[[0, 1, 2, 4]] * 4,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the page."""
    path = tmp_path_factory.mktemp("numbers")
    put_cells(Store(path / "store"))
    results = gather(Store(path / "store"))
    write_report(results, path / "out", name="numbers", title="Numbers")
    return path / "out"


@pytest.fixture(scope="module")
def page(folder: Path) -> PageReader:
    return PageReader((folder / "index.html").read_text("utf-8"))


def by_label(table: ReadTable, *columns: str) -> dict[str, list[str]]:
    """Return the texts of columns for each label; "#2" is the second of a name."""
    read = []
    for column in columns:
        name, _, number = column.partition("#")
        read.append(table.column(name, int(number or 1) - 1))
    rows = map(list, zip(*read, strict=True))
    return dict(zip(table.column("Algorithm"), rows, strict=True))


def csv(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / name)


def test_header_counts_what_is_shown(folder: Path) -> None:
    text = (folder / "index.html").read_text("utf-8")
    assert "4 algorithms on 4 tasks · 6 cells" in text
    assert "each), 36 runs" in text


# ---- leaderboard ----


def test_all_tasks(page: PageReader) -> None:
    """Success is the mean over tasks with a target; modes have a target, too."""
    table = page.table("leaderboard", "Mean success")
    assert table.columns == [
        "Place",
        "Algorithm",
        "Success",
        "95 % interval",
        "0 to 100 %",
        "Cost",
        "bilinear",
        "bilinear[dim=2]",
        "four_gaussians",
    ]
    shown = by_label(table, "Place", "Success", "bilinear", "bilinear[dim=2]", "Cost")
    assert shown == {
        "A": ["–", "25 %", "3/4", "0/4", "80"],
        "AB": ["–", "25 %", "1/4", "not run", "200"],
    }
    assert by_label(table, "four_gaussians") == {"A": ["0/4"], "AB": ["not run"]}
    assert table.sort_column("bilinear") == ["0.75", "0.25"]
    assert table.sort_column("bilinear[dim=2]") == ["0.0", "-1.0"]


def test_one_task_with_a_target(page: PageReader) -> None:
    table = page.table("leaderboard", heading="bilinear")
    shown = by_label(
        table,
        "Place",
        "Converged",
        "Success",
        "95 % interval",
        "Median distance",
        "Cost",
        "Cost to target",
    )
    # Exact intervals of 3 and of 1 in 4. The run without a distance is the worst.
    assert shown == {
        "A": ["1 to 2", "3/4", "75 %", "19 to 99", "0.0003", "80", "48"],
        "AB": ["1 to 2", "1/4", "25 %", "1 to 81", "6.5", "200", "–"],
    }
    assert table.sort_column("Cost") == ["80.0", "200.0"]
    # Reached after 1, 4 and 2 * 4 steps, and never: half of the sum of the middle two.
    to_target = [(4 * PRICE + 8 * PRICE) / 2, np.inf]
    assert list(map(float, table.sort_column("Cost to target"))) == to_target
    assert list(map(float, table.sort_column("Success"))) == [0.75, 0.25]
    assert list(map(float, table.sort_column("Median distance"))) == [
        pytest.approx(0.0003),
        6.5,
    ]


def test_one_task_without_a_target(page: PageReader) -> None:
    table = page.table("leaderboard", heading="quadratic")
    assert table.columns == [
        "Place",
        "Algorithm",
        "Runs",
        "Median distance",
        "95 % interval",
        "Cost",
    ]
    shown = by_label(table, "Place", "Runs", "Median distance", "Cost")
    assert shown == {
        "C": ["1 to 2", "10", "1", "80"],
        "CD": ["1 to 2", "10", "2", "80"],
    }


def test_comparison_of_paired_runs(page: PageReader, folder: Path) -> None:
    """The differences of ranks are 0 four times, -8 four times and 2 twice.

    They sum to -28. Of all patterns of signs, those are as far from 0 in which the four
    large ones have one sign: 2 in 16. Of all pairs of runs, C wins 64 of 100, where
    ties count half.
    """
    table = page.table("leaderboard", "Comparison of every two", heading="quadratic")
    assert table.rows == [
        ["C", "CD", "64 %", "10", "sign flip", "0.1250", "not apart"],
    ]
    row = csv(folder, "comparisons.csv").set_index("task").loc["quadratic"]
    assert (row["improvement"], row["pairs"]) == (0.64, 10)
    assert row["p"] == 0.125
    assert row["verdict"] == "not apart"
    assert row["better"] == "C"


def test_comparison_of_few_runs(page: PageReader, folder: Path) -> None:
    """The runs rank 1, 2, 3, 7.5 and 4, 5, 6, 7.5: two failed, and are tied.

    Of the 70 choices of four ranks, 16 have sums at least as far from 18 as 13.5.
    """
    table = page.table("leaderboard", "Comparison of every two", heading="bilinear")
    assert table.rows == [
        ["A", "AB", "78 %", "4", "rank sum", "0.2286", "not apart"],
    ]
    row = csv(folder, "comparisons.csv").set_index("task").loc["bilinear"]
    assert (row["improvement"], row["pairs"], row["test"]) == (0.78125, 4, "rank sum")


def test_a_third_method_changes_no_comparison(tmp_path: Path) -> None:
    """A pair's p value is not corrected for other pairs; the level of the board is."""
    store = Store(tmp_path / "store")
    last = {
        "E = gda": [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        "F = gda[step_size=0.2]": [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        "G = gda[step_size=0.3]": [2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 8, 7, 6],
    }
    pages = []
    for label, values in last.items():
        put_by_hand(
            store,
            planned("quadratic", label, seeds=10, steps=10),
            {"distance": [[9, 8, 7, value] for value in values]},
            steps=STEPS,
            status=("finished",) * 10,
            target="",
        )
        write_report(gather(store), tmp_path / "out", name="numbers", title="Numbers")
        text = (tmp_path / "out" / "index.html").read_text("utf-8")
        if len(list(store)) > 1:
            table = PageReader(text).table(
                "leaderboard", "Comparison of every two", heading="quadratic"
            )
            pages.append({(row[0], row[1]): row[2:] for row in table.rows})
    two, three = pages
    assert two["E", "F"] == three["E", "F"]
    # All ten pairs are won: 2 in 2 ** 10 patterns.
    assert three["E", "F"][3:] == ["0.0020", "apart as a pair: E is better"]
    assert three["E", "G"][3:] == ["0.0020", "apart as a pair: E is better"]
    assert {row[4] for row in three.values()} >= {"not apart"}


def test_all_metrics(page: PageReader) -> None:
    """Medians are over the runs that have a value."""
    table = page.table("leaderboard", "All metrics", heading="bilinear")
    assert table.columns == ["Algorithm", "distance ↓", "field_norm ↓"]
    assert by_label(table, "distance ↓", "field_norm ↓") == {
        "A": ["0.0002", "6"],
        "AB": ["6.5", "–"],
    }


def test_leaderboard_table(folder: Path) -> None:
    table = csv(folder, "leaderboard.csv").set_index(["scope", "task", "label"])
    row = table.loc["task", "bilinear", "A"]
    assert (row["place_low"], row["place_high"]) == (1, 2)
    assert (row["runs"], row["converged"], row["success"]) == (4, 3, 0.75)
    assert row["success_low"] == pytest.approx(0.19412, abs=1e-5)
    assert row["success_high"] == pytest.approx(0.99369, abs=1e-5)
    assert row["median"] == pytest.approx(0.0003)
    assert (row["gradient_equivalents"], row["to_target"]) == (80, 48)
    assert not row["alike"]
    row = table.loc["task", "bilinear", "AB"]
    assert (row["gradient_equivalents"], row["to_target"]) == (200, np.inf)
    row = table.loc["task", "bilinear[dim=2]", "A"]
    assert (row["converged"], row["success"], row["alike"]) == (0, 0, False)
    row = table.loc["task", "quadratic", "CD"]
    assert (row["runs"], row["median"], row["gradient_equivalents"]) == (10, 2, 80)
    overall = table.loc["overall"].droplevel(0)
    assert overall.loc["A", ["tasks", "of", "runs", "success"]].tolist() == [
        3,
        3,
        12,
        0.25,
    ]
    assert overall.loc["AB", ["tasks", "of", "runs", "success"]].tolist() == [
        1,
        3,
        4,
        0.25,
    ]


# ---- convergence ----


def curve(folder: Path, task: str, label: str, metric: str) -> pd.DataFrame:
    table = csv(folder, "curves.csv")
    chosen = (table[["task", "label", "metric"]] == [task, label, metric]).all(axis=1)
    return table[chosen].set_index("step")


def test_curves_of_a_metric_that_should_be_low(folder: Path) -> None:
    """A run without a value is the worst: infinite, so that a quartile ends."""
    table = curve(folder, "bilinear", "A", "distance")
    assert list(table.index) == list(STEPS)
    assert table["cost"].tolist() == [0, PRICE, 4 * PRICE, 10 * PRICE]
    assert table["seconds"].tolist() == [0, 0.5, 1, 3]
    assert table.loc[0, ["low", "median", "high"]].tolist() == [1.75, 5, 8]
    assert table.loc[1, "median"] == 1.5
    assert table.loc[10, ["low", "median", "high"]].tolist() == pytest.approx(
        [1.75e-4, 3e-4, np.inf]
    )
    assert set(table["shown"]) == {"distance to the solutions"}


def test_curves_of_a_metric_that_should_be_high(folder: Path) -> None:
    """A run without a value is the worst: the median lies below the known middle."""
    table = curve(folder, MODES, "A", "near_mode")
    assert table.loc[10, "median"] == (0.5 + 0.75) / 2
    assert table.loc[10, "high"] == 0.75 + 0.25 * 0.25
    assert not table.loc[10, "low"] > 0  # it is infinitely low, or unknown


def test_curves_of_counts_are_shares_of_runs(folder: Path) -> None:
    """The number is the target's; a run without a value has not reached it."""
    table = curve(folder, MODES, "A", "modes")
    assert table["median"].tolist() == [0, 0.25, 0.5, 0.5]
    assert table[["low", "high"]].isna().all(axis=None)
    title = "share of runs with at least 4 modes covered (visual rule)"
    assert set(table["shown"]) == {title}


# ---- outcomes ----


def test_outcomes(page: PageReader, folder: Path) -> None:
    table = page.table("outcomes", "Number of runs by status")
    assert sorted(table.rows) == sorted(
        [
            ["bilinear", "A", "converged", "3", "4", "1 to 4", ""],
            ["bilinear", "A", "nonfinite", "1", "4", "4 to 4", ""],
            ["bilinear", "AB", "converged", "1", "10", "10 to 10", ""],
            ["bilinear", "AB", "finished", "2", "10", "10 to 10", ""],
            ["bilinear", "AB", "diverged", "1", "1", "1 to 1", ""],
            ["bilinear[dim=2]", "A", "error", "4", "1", "0 to 4", "it broke"],
            ["quadratic", "C", "finished", "10", "10", "10 to 10", ""],
            ["quadratic", "CD", "finished", "10", "10", "10 to 10", ""],
            [MODES, "A", "finished", "4", "10", "10 to 10", ""],
        ]
    )
    runs = csv(folder, "outcomes.csv")
    assert len(runs) == 36
    row = runs.query("task == 'bilinear' and label == 'AB'").set_index("seed")
    assert row["status"].tolist() == ["finished", "finished", "converged", "diverged"]
    assert row["stopped_at"].tolist() == [10, 10, 10, 1]
    broken = runs.query("task == 'bilinear[dim=2]'")
    assert broken["stopped_at"].tolist() == [0, 1, 1, 4]
    assert set(broken["reason"]) == {"it broke"}
    meanings = page.table("outcomes", "Meaning")
    assert meanings.column("Status") == [
        "converged",
        "finished",
        "diverged",
        "nonfinite",
        "error",
    ]


# ---- samples, methods, provenance ----


def test_counts_of_modes(page: PageReader) -> None:
    table = page.table("samples", "Number of runs by count")
    assert table.columns == ["Algorithm", "Rule", "0", "1", "2", "3", "4", "Mean"]
    title = "modes covered (visual rule); 1 without a value"
    assert table.rows == [["A", title, "0", "0", "0", "1", "2", "3.67"]]
    assert float(table.sorts[0][-1] or 0) == pytest.approx(11 / 3)


def test_counts_of_cells_that_end_at_other_steps(tmp_path: Path) -> None:
    """Each is counted at its own last step."""
    store = Store(tmp_path / "store")
    for label, steps, last in (("A = gda", (0, 4), 2), ("B = omd", (0, 10), 4)):
        put_by_hand(
            store,
            planned(MODES, label, seeds=2, steps=steps[-1]),
            {"modes": [[0, last]] * 2},
            steps=steps,
            status=("finished",) * 2,
        )
    write_report(gather(store), tmp_path / "out", name="numbers", title="Numbers")
    page = PageReader((tmp_path / "out" / "index.html").read_text("utf-8"))
    rows = page.table("samples", "Number of runs by count").rows
    assert [[row[0], *row[2:]] for row in rows] == [
        ["A", "0", "0", "2", "0", "0", "2.00"],
        ["B", "0", "0", "0", "0", "2", "4.00"],
    ]


def test_methods(page: PageReader, folder: Path) -> None:
    table = page.table("methods", heading="Algorithm gda")
    spec = "gda[direction=plain,step_size={}]"
    assert sorted(row[:4] for row in table.rows) == sorted(
        [
            ["A", spec.format(0.1), "1\u00a0∇x\u00a0+\u00a01\u00a0∇y", tasks_of_a()],
            ["AB", spec.format(0.2), "1\u00a0∇x\u00a0+\u00a01\u00a0∇y", "bilinear"],
            ["C", spec.format(0.1), "1\u00a0∇x\u00a0+\u00a01\u00a0∇y", "quadratic"],
            ["CD", spec.format(0.2), "1\u00a0∇x\u00a0+\u00a01\u00a0∇y", "quadratic"],
        ]
    )
    values = page.table("methods", "Meaning of the parameters", heading="Algorithm gda")
    rows = {row[0]: row[1] for row in values.rows}
    assert set(rows["step_size"].split(", ")) == {"0.1", "0.2"}
    targets = page.table("methods", heading="Task bilinear").rows
    assert [row[0] for row in targets] == ["bilinear", "bilinear[dim=2]"]
    assert [row[2] for row in targets] == ["distance ≤ 0.001"] * 2
    assert "dim=2," in targets[1][1]
    stored = csv(folder, "methods.csv")
    assert stored["parameters"].str.contains('"step_size": 0.2').sum() == 2


def tasks_of_a() -> str:
    return f"bilinear, bilinear[dim=2], {MODES}"


def test_provenance(page: PageReader, folder: Path) -> None:
    """A cell's seconds are summed over its chunks, and over equal ones, too."""
    table = page.table("provenance", "List of all cells")
    rows = {(row[1], row[2]): row for row in table.rows}
    seeds, runs, steps, precision, width, seconds, machine = range(3, 10)
    row = rows["bilinear", "A"]
    assert (row[seeds], row[runs], row[steps]) == ("0 to 3", "4", "10")
    assert (row[precision], row[width], row[machine]) == ("float32", "2", "1")
    assert row[seconds] == "6.00"
    assert rows["bilinear", "AB"][seconds] == "3.00"
    assert rows["bilinear", "AB"][machine] == "2"
    assert rows["bilinear[dim=2]", "A"][seconds] == "4.50"
    assert rows[MODES, "A"][seconds] == "4.00"
    assert rows["quadratic", "C"][seconds] == "0.00"
    cells = csv(folder, "cells.csv").set_index(["task", "label"])
    assert cells.loc[("bilinear", "A"), "seconds"] == 6
    assert cells.loc[("bilinear", "AB"), ["runs", "width"]].tolist() == [4, 4]
    assert cells.loc[("bilinear", "AB"), "processor"] == "B"
    assert cells.loc[("bilinear", "A"), "processor"] == "A"
    machines = page.table("provenance", "Machines")
    assert ["processor", "A", "B"] in machines.rows
    assert ["cudnn", "", "91002"] in machines.rows


def test_results_table(folder: Path) -> None:
    """Each number of the store stands in the table, to its last bit."""
    frame = gather(Store(folder.parent / "store")).frame
    text = (folder / "results.csv").read_text("utf-8")
    read = pd.read_csv(
        io.StringIO(text),
        keep_default_na=False,
        na_values=[""],
    )
    for name in frame:
        wanted = frame[name]
        if pd.api.types.is_numeric_dtype(wanted):
            np.testing.assert_array_equal(read[name], wanted)
        else:
            assert read[name].fillna("").tolist() == wanted.tolist()


# ---- extreme values ----


@pytest.mark.filterwarnings("error")
def test_huge_values_warn_of_nothing(tmp_path: Path) -> None:
    """Numbers at the end of the range are drawn and ranked in silence."""
    store = Store(tmp_path / "store")
    for label, last in (("A = gda", -1e308), ("B = gda[step_size=0.2]", 1.7e308)):
        put_by_hand(
            store,
            planned("quadratic", label, seeds=4, steps=10),
            {
                "distance": [[1, 1e308, 5e-324, abs(last)]] * 4,
                "distance_rate": [
                    [1, -1.7e308, 2, sign * last] for sign in (1, -1, 1, 1)
                ],
            },
            steps=STEPS,
            status=("finished",) * 4,
            arrays={"path": np.array([[[1e308, -1e308], [1e308, 3], [np.inf, 1]]] * 2)},
            target="",
        )
    write_report(gather(store), tmp_path / "out", name="huge", title="")
    rates = curve(tmp_path / "out", "quadratic", "A", "distance_rate")
    assert rates.loc[10, "median"] == -1e308
    assert rates.loc[10, "high"] == -5e307

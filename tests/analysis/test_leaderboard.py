"""Tests of the rules of a board (docs/board.md) on small tables."""

import numpy as np
import pandas as pd
import pytest

from mmbench.analysis import leaderboard, paired_test
from mmbench.analysis.leaderboard import Board, boards, capacity_of, thresholds_of
from mmbench.analysis.results import Results, with_unique_names
from mmbench.core.errors import DescriptionError
from mmbench.core.status import Status
from mmbench.store.folder import Store

COLUMN = {"name": "distance", "title": "distance", "better": "lower", "scale": "log"}
TARGET = "distance ≤ 0.001"


def cell(
    label: str,
    status: list[str],
    last: list[float],
    task: str = "t",
    *,
    reached: list[int] | int = 5,
    cost: int = 10,
    seeds: list[int] | None = None,
    key: str = "",
) -> pd.DataFrame:
    """Make runs with records at steps 0, 5 and 10.

    Args:
        label: the label.
        status: of each run.
        last: of each run, its distance at step 10.
        task: the task.
        reached: steps at which converged runs reached the target, of each run.
        cost: gradients of x in ten steps.
        seeds: of each run; None counts from 0.
        key: of the cell; empty takes one of the task and the label.
    """
    steps = [reached] * len(status) if isinstance(reached, int) else reached
    runs = zip(seeds or range(len(last)), status, last, steps, strict=True)
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
            "stopped_at": at if state == Status.CONVERGED else 10,
            "reason": "",
            "distance": value if step == 10 else 1.0 + seed,
            "key": key or f"{task}/{label}",
        }
        for seed, state, value, at in runs
        for step in (0, 5, 10)
    ]
    return pd.DataFrame(rows)


def results(
    *cells: pd.DataFrame, target: str = TARGET, column: dict = COLUMN, **described: dict
) -> Results:
    """Return the results of cells.

    Args:
        cells: their tables.
        target: of their tasks.
        column: the only metric.
        described: label to fields of the cells' descriptions.
    """
    frame = pd.concat(cells, ignore_index=True)
    footers = {}
    for one in cells:
        key, label = one["key"].iloc[0], one["label"].iloc[0]
        fields = {"steps": 10, "records": 2} | described.get(key, {})
        footers[key] = {
            "task": one["task"].iloc[0],
            "label": label,
            "columns": [column],
            "target": target,
            "cell": fields,
        }
    return Results(frame, footers, Store("unused"))


def outcomes(converged: int, runs: int) -> list[str]:
    return ["converged"] * converged + ["finished"] * (runs - converged)


def values(runs: int, *, first: float = 0.1) -> list[float]:
    """Return distances that differ between runs and not between methods."""
    return [first + 0.1 * at for at in range(runs)]


def board(*cells: pd.DataFrame, **options) -> Board:
    return boards(results(*cells, **options)).by_task["t"]


def places(made: Board) -> dict[str, tuple[int, int] | None]:
    """Return the interval of the place of each label, None where it has none."""
    return {
        row["label"]: None
        if pd.isna(row["place_low"])
        else (row["place_low"], row["place_high"])
        for row in made.table.to_dict("records")
    }


def verdicts(made: Board) -> dict[tuple[str, str], str]:
    """Return the verdict on each pair, by labels in the order of the alphabet."""
    return {
        tuple(sorted((row["first"], row["second"]))): row["verdict"]
        for row in made.pairs.to_dict("records")
    }


# ---- places ----


def test_places_are_intervals_of_what_the_tests_allow() -> None:
    """Two that both beat the third share places 1 and 2."""
    made = board(
        cell("none", outcomes(0, 32), values(32)),
        cell("all", outcomes(32, 32), values(32)),
        cell("most", outcomes(31, 32), values(32)),
    )
    assert made.table["label"].tolist() == ["all", "most", "none"]
    assert places(made) == {"all": (1, 2), "most": (1, 2), "none": (3, 3)}
    assert verdicts(made) == {
        ("all", "most"): "not apart",
        ("all", "none"): "apart on this board",
        ("most", "none"): "apart on this board",
    }
    assert made.table["success"].tolist() == [1.0, 31 / 32, 0.0]
    assert set(made.pairs["better"]) == {"all", "most"}
    assert leaderboard.separated_best(made) is None


def test_a_pair_may_be_apart_and_still_share_places() -> None:
    """With ten seeds no pair can be apart on a board of 64 entries."""
    cells = (
        cell("all", outcomes(10, 10), values(10)),
        cell("none", outcomes(0, 10), values(10)),
    )
    made = board(*cells)
    assert verdicts(made) == {("all", "none"): "apart as a pair"}
    assert made.pairs["p"].iloc[0] == pytest.approx(2 / 2**10)
    assert places(made) == {"all": (1, 2), "none": (1, 2)}
    of_two = boards(results(*cells), capacity=2).by_task["t"]
    assert places(of_two) == {"all": (1, 1), "none": (2, 2)}
    assert leaderboard.separated_best(of_two) == "all"


def test_capacities() -> None:
    """A board of more entries is another version; a wanted one must hold them."""
    assert [capacity_of(entries) for entries in (1, 64, 65, 513)] == [64, 64, 512, 4096]
    assert thresholds_of(64) == (0.05, 0.05 / 2016)
    found = results(*(cell(str(at), outcomes(1, 2), values(2)) for at in range(3)))
    assert boards(found, capacity=3).by_task["t"].capacity == 3
    with pytest.raises(DescriptionError, match="the number of entries, 3"):
        boards(found, capacity=2)


# ---- the rows of facts on a leaderboard that rewards the wrong thing ----


def test_dead_runs_are_worst() -> None:
    """A frozen start is no score: who is dead at step 1 is behind the slowest."""
    for status in (Status.NONFINITE, Status.DIVERGED, Status.ERROR, Status.TIMEOUT):
        made = board(
            cell("dead", [status] * 32, [1e-9 * (at + 1) for at in range(32)]),
            cell("slow", outcomes(0, 32), values(32, first=50)),
            cell("fast", outcomes(0, 32), values(32)),
            target="",
        )
        assert made.table["label"].tolist() == ["fast", "slow", "dead"]
        assert places(made) == {"fast": (1, 1), "slow": (2, 2), "dead": (3, 3)}
        assert made.table["median"].iloc[2] == np.inf


def test_two_dead_methods_do_not_differ() -> None:
    made = board(
        cell("early", [Status.NONFINITE] * 32, values(32)),
        cell("late", [Status.DIVERGED] * 32, values(32, first=9)),
        cell("alive", outcomes(0, 32), values(32, first=99)),
        target="",
    )
    assert places(made) == {"alive": (1, 1), "early": (2, 3), "late": (2, 3)}


def test_where_nobody_reaches_the_target_the_metric_decides() -> None:
    medians = {"a": 2.27, "b": 2.3, "c": 6.06, "d": 162.0}
    rng = np.random.default_rng(0)
    made = board(
        *(
            cell(label, outcomes(0, 32), list(median + 0.1 * rng.random(32)))
            for label, median in medians.items()
        )
    )
    assert made.table["label"].tolist() == [*"abcd"]
    assert places(made) == {"a": (1, 2), "b": (1, 2), "c": (3, 3), "d": (4, 4)}


def test_where_all_reach_the_target_its_cost_decides() -> None:
    made = board(
        cell("dear", outcomes(32, 32), values(32), cost=3678),
        cell("cheap", outcomes(32, 32), values(32, first=0.2), cost=552),
    )
    assert made.table["to_target"].tolist() == [276, 1839]
    assert places(made) == {"cheap": (1, 1), "dear": (2, 2)}


def test_more_success_is_better_than_less_cost() -> None:
    """A method that reaches the target at once, in three of 32 runs."""
    made = board(
        cell("sure", outcomes(32, 32), values(32), cost=1000),
        cell("lucky", outcomes(3, 32), values(32), cost=10),
    )
    assert made.table["label"].tolist() == ["sure", "lucky"]
    assert places(made) == {"sure": (1, 1), "lucky": (2, 2)}


def test_seven_of_eight_against_none_is_apart_as_a_pair() -> None:
    """Whatever else is on the board; the board itself needs 17 seeds for it."""
    cells = [
        cell("most", outcomes(7, 8), values(8)),
        cell("none", outcomes(0, 8), values(8)),
        *(cell(f"other {at}", outcomes(at, 8), values(8)) for at in range(7)),
    ]
    assert verdicts(board(*cells))["most", "none"] == "apart as a pair"
    assert verdicts(board(*cells[:2]))["most", "none"] == "apart as a pair"


def test_forty_six_entries_with_clear_differences_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    made = board(
        *(
            cell(f"{at:02}", outcomes(0, 64), list(10 + at + rng.random(64)))
            for at in range(46)
        ),
        target="",
    )
    assert places(made) == {f"{at:02}": (at + 1, at + 1) for at in range(46)}


def test_an_entry_of_few_seeds_is_compared_by_its_rank_sum() -> None:
    """Good 32 of 32, middling 16 of 32, seven with 0 of 7."""
    made = board(
        cell("good", outcomes(32, 32), values(32)),
        cell("middling", outcomes(16, 32), values(32)),
        cell("seven", outcomes(0, 7), values(7)),
    )
    pairs = made.pairs.set_index(["first", "second"])
    assert pairs.loc[("good", "seven"), "test"] == "rank sum"
    assert pairs.loc[("good", "middling"), "test"] == "sign flip"
    low, high = places(made)["seven"]
    assert low > places(made)["good"][0]
    assert high == 3


def test_an_entry_that_was_tested_against_nobody_has_no_place() -> None:
    made = board(
        cell("good", outcomes(32, 32), values(32)),
        cell("middling", outcomes(12, 32), values(32)),
        cell("one", outcomes(1, 1), [1e-9]),
    )
    assert made.table["label"].tolist() == ["good", "middling", "one"]
    assert places(made)["one"] is None
    assert places(made)["middling"] == (2, 2)
    assert made.unplaced == {"one": "1 and 32 runs are too few for a test"}
    assert made.seeds == (32,)


def test_one_entry_alone_has_no_place() -> None:
    made = board(cell("only", outcomes(32, 32), values(32)))
    assert made.unplaced == {"only": "there is no other entry"}
    assert made.pairs.empty


def test_an_entry_that_misses_a_task_has_no_place_over_tasks() -> None:
    """However good it is on the others."""
    found = results(
        cell("both", outcomes(31, 32), values(32), "easy"),
        cell("easy only", outcomes(32, 32), values(32), "easy"),
        cell("weak", outcomes(0, 32), values(32), "easy"),
        cell("both", outcomes(31, 32), values(32), "hard"),
        cell("weak", outcomes(0, 32), values(32), "hard"),
    )
    (overall,), by_task = boards(found)
    assert list(by_task) == ["easy", "hard"]
    assert overall.table["label"].tolist() == ["both", "weak", "easy only"]
    assert places(overall) == {"both": (1, 1), "weak": (2, 2), "easy only": None}
    assert overall.unplaced == {"easy only": "finished runs are missing on hard"}
    table = overall.table.set_index("label")
    assert table["tasks"].to_dict() == {"both": 2, "weak": 2, "easy only": 1}
    assert overall.pairs[["first", "second"]].to_numpy().tolist() == [["both", "weak"]]


def test_budgets_are_never_ranked_together() -> None:
    """A store of two suites: a board for each task and budget."""
    cells, described = [], {}
    for steps, good in ((300, "A"), (1000, "B")):
        for task in ("t", "u"):
            for label in "AB":
                key = f"{task}/{label}/{steps}"
                status = outcomes(32 if label == good else 0, 32)
                cells.append(cell(label, status, values(32), task, key=key))
                described[key] = {"steps": steps}
    made = boards(with_unique_names(results(*cells, **described)))
    assert list(made.by_task) == [
        "t (300 steps, 2 records)",
        "t (1000 steps, 2 records)",
        "u (300 steps, 2 records)",
        "u (1000 steps, 2 records)",
    ]
    first, second = made.overall
    assert places(first) == {"A (300 steps)": (1, 1), "B (300 steps)": (2, 2)}
    assert places(second) == {"B (1000 steps)": (1, 1), "A (1000 steps)": (2, 2)}
    table = leaderboard.leaderboard(results(*cells, **described), "t")
    assert set(table["budget"]) == {"300 steps, 2 records", "1000 steps, 2 records"}


def test_tasks_of_one_budget_each_share_the_board_over_tasks() -> None:
    found = results(
        *(
            cell(label, outcomes(count, 32), values(32), task)
            for task in ("t", "u")
            for label, count in (("A", 32), ("B", 0))
        ),
        **{f"u/{label}": {"steps": 20} for label in "AB"},
    )
    (overall,), _ = boards(found)
    assert overall.budget == "10 steps, 2 records or 20 steps, 2 records"
    assert places(overall) == {"A": (1, 1), "B": (2, 2)}


def test_tasks_with_unlike_descriptions_are_two_tasks() -> None:
    """Two classes of one name, from two files or edited between the runs."""
    classes = {"one.py:Hill@0123456789": "1", "two.py:Hill@9876543210": "2"}
    found = results(
        *(
            cell("A", outcomes(32, 32), values(32), "Hill", key=key)
            for key in classes.values()
        ),
        **{key: {"task": {"class": name}} for name, key in classes.items()},
    )
    made = boards(with_unique_names(found))
    assert list(made.by_task) == [
        "Hill (one.py, code 012345)",
        "Hill (two.py, code 987654)",
    ]
    assert all(len(one.table) == 1 for one in made.by_task.values())


def test_versions_and_targets_make_two_tasks_too() -> None:
    found = results(
        cell("A", outcomes(4, 4), values(4), key="1"),
        cell("A", outcomes(4, 4), values(4), key="2"),
        **{key: {"task": {"version": int(key)}} for key in "12"},
    )
    assert list(boards(with_unique_names(found)).by_task) == [
        "t (version 1)",
        "t (version 2)",
    ]
    found.footers["2"]["cell"]["task"]["version"] = 1
    found.footers["2"]["target"] = "distance ≤ 0.01"
    assert list(boards(with_unique_names(found)).by_task) == [
        "t (target distance ≤ 0.001)",
        "t (target distance ≤ 0.01)",
    ]


def test_names_of_one_method_differ_by_its_parameters() -> None:
    """Everywhere, and not by the digits of a key."""
    parameters = [
        {"step_size": 0.1, "direction": {"class": "mmbench.a:Plain", "k": 1}},
        {"step_size": 0.1, "direction": {"class": "mmbench.a:Plain", "k": 2}},
    ]
    found = results(
        cell("A", outcomes(4, 4), values(4), key="1"),
        cell("A", outcomes(4, 4), values(4), key="2"),
        cell("A", outcomes(4, 4), values(4), "u", key="3"),
        cell("B", outcomes(4, 4), values(4), "u", key="4"),
        **{
            key: {"algorithm": parameters[at]}
            for key, at in zip("1234", (0, 1, 1, 1), strict=True)
        },
    )
    named = with_unique_names(found)
    labels = [footer["label"] for footer in named.footers.values()]
    assert labels == [
        "A (direction.k=1)",
        "A (direction.k=2)",
        "A (direction.k=2)",
        "B",
    ]
    assert list(dict.fromkeys(named.frame["label"])) == list(dict.fromkeys(labels))


def test_names_of_cells_with_other_seeds() -> None:
    found = results(
        cell("A", outcomes(2, 4), values(4), key="1"),
        cell("A", outcomes(2, 2), values(2), seeds=[3, 4], key="2"),
        **{"1": {"seeds": [0, 1, 2, 3]}, "2": {"seeds": [3, 4]}},
    )
    named = with_unique_names(found)
    labels = [footer["label"] for footer in named.footers.values()]
    assert labels == ["A (seeds 0 to 3)", "A (seeds 3 to 4)"]


def test_of_a_cell_with_more_seeds_a_part_does_not_count() -> None:
    """Unless the larger cell is not finished."""
    found = results(
        cell("A", outcomes(2, 2), values(2), key="1"),
        cell("A", outcomes(4, 4), values(4), key="2"),
        cell("B", outcomes(2, 2), values(2), key="3"),
        **{
            "1": {"seeds": [0, 1]},
            "2": {"seeds": [0, 1, 2, 3]},
            "3": {"seeds": [0, 1]},
        },
    )
    made = boards(with_unique_names(found)).by_task["t"]
    shown = dict(zip(made.table["label"], made.table["runs"], strict=True))
    assert shown == {"A": 4, "B": 2}
    begun = with_unique_names(found._replace(unfinished={"2": {}}))
    assert len(begun.footers) == 3


def test_an_entry_is_compared_with_all_others_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred entries take 99 calls, not 4950."""
    calls = []
    compare = paired_test.compare
    monkeypatch.setattr(
        paired_test, "compare", lambda *a, **b: calls.append(1) or compare(*a, **b)
    )
    made = board(*(cell(f"{at}", outcomes(at % 9, 9), values(9)) for at in range(100)))
    assert len(made.pairs) == 4950
    assert len(calls) == 99
    assert made.capacity == 512


# ---- nobody else changes a verdict ----


def test_an_unrelated_entry_changes_no_verdict_and_no_number() -> None:
    """Nor do a new name or a duplicate of another entry."""
    rng = np.random.default_rng(0)
    cells = [
        cell(label, outcomes(count, 24), list(rng.random(24)), cost=cost)
        for label, count, cost in (
            ("a", 20, 30),
            ("b", 12, 10),
            ("c", 12, 50),
            ("d", 1, 9),
        )
    ]
    extra = cell("x", outcomes(24, 24), list(rng.random(24)), cost=1)
    renamed = cells[3].assign(label="A new name", key="t/new")
    twin = cells[0].assign(label="a twin", key="t/twin")
    alone = board(*cells)
    known = alone.pairs.set_index(["first", "second"])
    own = alone.table.drop(columns=["place_low", "place_high"]).set_index("label")
    for others in ((*cells, extra), (*cells[:3], renamed), (*cells, twin)):
        made = board(*others)
        pairs = made.pairs.set_index(["first", "second"])
        shared = known.index.intersection(pairs.index)
        assert len(shared) >= 3
        pd.testing.assert_frame_equal(pairs.loc[shared], known.loc[shared])
        rows = made.table.drop(columns=["place_low", "place_high"]).set_index("label")
        labels = own.index.intersection(rows.index)
        pd.testing.assert_frame_equal(rows.loc[labels], own.loc[labels])
    assert places(board(*cells[:3], renamed))["A new name"] == places(alone)["d"]


def test_pairs_are_those_of_common_seeds() -> None:
    """Seeds that only one entry has count in its rate, not in a paired comparison."""
    made = board(
        cell("one", outcomes(16, 16), values(16)),
        cell("other", outcomes(0, 16), values(16), seeds=list(range(4, 20))),
    )
    assert made.pairs["pairs"].iloc[0] == 12
    assert made.pairs["p"].iloc[0] == pytest.approx(2 / 2**12)


def test_pairs_of_unlike_seeds_are_compared_as_if_alone() -> None:
    """Entries of several sets of seeds, some of them identical in all runs."""
    rng = np.random.default_rng(0)
    cells = [
        cell(
            f"{at}",
            outcomes(int(rng.integers(0, 20)), 20),
            [0.5] * 20 if at % 3 == 0 else list(rng.random(20)),
            seeds=list(range(at % 2 * 8, at % 2 * 8 + 20)),
        )
        for at in range(7)
    ]
    together = board(*cells).pairs.set_index(["first", "second"])
    for pair in together.index:
        alone = board(*(cells[int(label)] for label in sorted(pair))).pairs
        row = alone.set_index(["first", "second"])
        row = row if pair in row.index else None
        if row is not None:
            pd.testing.assert_series_equal(row.loc[pair], together.loc[pair])


# ---- units ----


def drawn(count: int, seeds: int, rng: np.random.Generator, spread: float = 1) -> list:
    """Draw distances: those of each unit have a value in common."""
    return [spread * rng.normal() + rng.normal(size=seeds) for _ in range(count)]


def of_instances(label: str, distances: list, first: int = 0) -> list[pd.DataFrame]:
    """Return a cell for each instance; the seeds are the same."""
    return [
        cell(
            label,
            outcomes(0, len(one)),
            list(one),
            f"q[dim=2,instance={first + at}]" if first + at else "q[dim=2]",
            key=f"{label} {first + at}",
        )
        for at, one in enumerate(distances)
    ]


def of_family(*cells: pd.DataFrame) -> Results:
    keys = [one["key"].iloc[0] for one in cells]
    tasks = {
        key: {"task": {"class": "Q", "dim": 2, "instance": int(key.split()[-1])}}
        for key in keys
        if " " in key
    }
    return results(*cells, **tasks)


def test_instances_are_one_task_whose_unit_is_the_instance() -> None:
    rng = np.random.default_rng(3)
    first, second = drawn(10, 4, rng), drawn(10, 4, rng)
    cells = of_instances("A", first) + of_instances("B", second)
    made = boards(of_family(*cells, cell("A", outcomes(1, 4), values(4))))
    assert list(made.by_task) == ["q[dim=2]", "t"]
    one = made.by_task["q[dim=2]"]
    assert (one.units, one.seeds, one.table["runs"].tolist()) == (
        "instances",
        (10,),
        [40, 40],
    )
    order = np.argsort(np.argsort(np.concatenate([*first, *second])))
    ranks = 2 * (order[:40] - order[40:]).reshape(10, 4).sum(axis=1)
    p = paired_test.sign_flip(ranks[None].astype(np.int64))[0]
    assert one.pairs["p"].tolist() == [pytest.approx(p)]
    assert one.pairs["pairs"].tolist() == [40]
    # The median and its interval are over the medians of the instances.
    medians = np.sort([np.median(some) for some in first])
    row = one.table.set_index("label").loc["A"]
    assert row["median"] == pytest.approx(np.median(medians))
    ends = row[["median_low", "median_high"]].tolist()
    assert ends == pytest.approx([medians[1], medians[8]])
    # Over tasks a family is one.
    (overall,) = made.overall
    assert overall.tasks == ["q[dim=2]", "t"]
    assert overall.units == "units"


def test_few_instances_allow_no_test() -> None:
    rng = np.random.default_rng(3)
    cells = of_instances("A", drawn(7, 9, rng)) + of_instances("B", drawn(7, 9, rng))
    one = boards(of_family(*cells)).by_task["q[dim=2]"]
    assert one.unplaced == dict.fromkeys("AB", "there are fewer than 8 common units, 7")


def test_pairs_of_instances_are_those_of_both() -> None:
    rng = np.random.default_rng(3)
    cells = of_instances("A", drawn(12, 3, rng))
    cells += of_instances("B", drawn(12, 3, rng), first=3)
    one = boards(of_family(*cells)).by_task["q[dim=2]"]
    assert one.pairs["pairs"].tolist() == [9 * 3]
    assert one.pairs["test"].tolist() == ["sign flip"]


def of_repetitions(label: str, distances: list) -> list[pd.DataFrame]:
    """Return a cell for each repetition, with seeds of its own."""
    return [
        cell(
            label,
            outcomes(0, len(one)),
            list(one),
            seeds=list(range(at * len(one), (at + 1) * len(one))),
            key=f"{label} {at}",
        )
        for at, one in enumerate(distances)
    ]


def repeated(*cells: pd.DataFrame) -> Results:
    found = results(*cells)
    for at, (key, footer) in enumerate(found.footers.items()):
        footer["cell"] |= {"seeds": [at], "algorithm": {"class": "G", "k": at}}
        footer["description"] = {"track": "tuned", "repetition": int(key.split()[-1])}
    return with_unique_names(found)


def test_the_unit_of_repeated_tunings_is_the_repetition() -> None:
    rng = np.random.default_rng(5)
    first, second = drawn(10, 4, rng), drawn(10, 4, rng)
    made = boards(repeated(*of_repetitions("A", first), *of_repetitions("B", second)))
    one = made.by_task["t"]
    assert sorted(one.table["label"]) == ["A", "B"]
    assert (one.units, one.seeds) == ("repetitions", (10,))
    order = np.argsort(np.argsort(np.concatenate([*first, *second])))
    ranks = 2 * (order[:40] - order[40:]).reshape(10, 4).sum(axis=1)
    p = paired_test.sign_flip(ranks[None].astype(np.int64))[0]
    assert one.pairs["p"].tolist() == [pytest.approx(p)]
    (overall,) = made.overall
    assert overall.units == "repetitions"
    assert overall.pairs["p"].tolist() == [pytest.approx(p)]


def test_winners_of_few_tunings_have_no_verdict() -> None:
    """However many seeds each of them has."""
    rng = np.random.default_rng(5)
    first, second = (of_repetitions(one, drawn(3, 20, rng)) for one in "AB")
    one = boards(repeated(*first, *second)).by_task["t"]
    assert one.unplaced == dict.fromkeys("AB", "there are fewer than 8 common units, 3")


def test_equal_methods_are_apart_in_five_percent_of_tables_of_units() -> None:
    """Though seeds of a unit are alike; by seeds they would be apart too often."""
    rng, tables, units, seeds = np.random.default_rng(0), 400, 10, 5
    apart = {"units": 0, "seeds": 0}
    for _ in range(tables):
        distances = np.array([drawn(units, seeds, rng) for _ in range(2)])
        order = np.argsort(np.argsort(distances.ravel())).reshape(2, -1)
        number = np.arange(units * seeds)
        for name, unit in (("units", number // seeds), ("seeds", None)):
            made = paired_test.compare(
                order[0], order[1:], number, number, unit=unit, thresholds=(0.05,)
            )
            apart[name] += int(made.p[0] <= 0.05)
    most = 0.05 + 4 * np.sqrt(0.05 * 0.95 / tables)
    assert apart["units"] / tables <= most
    assert apart["seeds"] / tables > 2 * most


@pytest.mark.slow
def test_equal_methods_over_tasks_of_unlike_units() -> None:
    """A pair that was named is apart in 5 % of tables, any of four in as many."""
    rng, tables = np.random.default_rng(1), 400
    named = on_board = 0
    for _ in range(tables):
        entries = {
            task: [
                leaderboard.Entry(
                    task=task,
                    label=label,
                    key=label,
                    seeds=np.arange(units * seeds),
                    success=np.zeros(units * seeds, bool),
                    dead=np.zeros(units * seeds, bool),
                    scores=np.concatenate(drawn(units, seeds, rng)),
                    cost=np.ones(units * seeds),
                    cost_to_target=np.full(units * seeds, np.inf),
                    identical=False,
                    unit=np.arange(units * seeds) // seeds if seeds > 1 else None,
                )
                for label in "ABCD"
            ]
            for task, units, seeds in (("instances", 10, 5), ("seeds", 30, 1))
        }
        made = leaderboard.overall_board(entries, capacity=4, units="units")
        assert made.seeds == (10, 30)
        named += bool(made.pairs["p"].iloc[0] <= 0.05)
        on_board += bool((made.pairs["verdict"] == "apart on this board").any())
    most = 0.05 + 4 * np.sqrt(0.05 * 0.95 / tables)
    assert named / tables <= most
    assert on_board / tables <= most
    assert named > 0


# ---- numbers of entries ----


def test_median_counts_missing_values_as_the_worst() -> None:
    """The median is infinite if two of three runs have no value."""
    made = board(cell("one", ["error"] * 3, [0.5, np.nan, np.nan]))
    assert made.table["median"].iloc[0] == np.inf
    made = board(cell("one", outcomes(0, 3), [0.5, 0.25, np.nan]))
    assert made.table["median"].iloc[0] == 0.5


def test_higher_is_better_if_the_column_says_so() -> None:
    """The ends of the interval keep their order, and missing is minus infinity."""
    modes = COLUMN | {"better": "higher"}
    last = [5, 4, 3, 3, 1, np.nan]
    made = board(cell("one", outcomes(0, 6), last), column=modes)
    row = made.table.iloc[0]
    assert row["median"] == 3
    assert row["median_low"] == -np.inf
    assert row["median_high"] == 5
    made = board(
        cell("few", outcomes(0, 32), values(32)),
        cell("many", outcomes(0, 32), values(32, first=9)),
        column=modes,
        target="",
    )
    assert places(made) == {"many": (1, 1), "few": (2, 2)}


def test_cost_to_target() -> None:
    """The cost is infinite if no more than half of the runs reach the target."""
    made = board(cell("one", outcomes(3, 4), [0.1, 0.2, 0.3, 0.4], cost=100))
    assert made.table["gradient_equivalents"].iloc[0] == 100
    assert made.table["to_target"].iloc[0] == 50
    made = board(cell("one", outcomes(1, 4), [0.1, 0.2, 0.3, 0.4]))
    assert made.table["to_target"].iloc[0] == np.inf


def test_identical_runs_count_once() -> None:
    """They give no interval, and two such entries form a single pair: no test."""
    same = [
        cell("all", outcomes(12, 12), [0.5] * 12).assign(distance=0.5),
        cell("none", outcomes(0, 12), [0.5] * 12).assign(distance=0.5),
    ]
    made = board(*same)
    assert made.table["alike"].all()
    assert made.table["success_low"].isna().all()
    assert set(made.unplaced.values()) == {leaderboard.IDENTICAL}
    assert made.pairs["reason"].tolist() == [leaderboard.IDENTICAL]
    varied = cell("varied", outcomes(0, 12), values(12))
    assert verdicts(board(*same, varied))["all", "varied"] == "apart as a pair"


def test_success_is_known_where_all_runs_are_identical() -> None:
    """Such a task halves the interval over two tasks."""
    same = [0.5] * 16
    cells = [
        cell("one", outcomes(12, 16), values(16), "varied"),
        cell("one", outcomes(16, 16), same, "same").assign(distance=0.5),
        cell("two", outcomes(0, 16), values(16), "varied"),
        cell("two", outcomes(0, 16), same, "same").assign(distance=0.5),
    ]
    (overall,), by_task = boards(results(*cells))
    row = overall.table.set_index("label").loc["one"]
    varied = by_task["varied"].table.set_index("label").loc["one"]
    for end in ("success_low", "success_high"):
        assert row[end] == pytest.approx((varied[end] + 1) / 2)
    (overall,), _ = boards(results(*cells[1::2]))
    assert overall.table["success_low"].isna().all()


def test_identical_runs_are_one_pair_over_tasks() -> None:
    """Seven such tasks allow no test, eight do."""
    for count, tested in ((7, False), (8, True)):
        found = results(
            *(
                cell(label, outcomes(n, 12), [0.5] * 12, f"t{task}").assign(
                    distance=0.5
                )
                for task in range(count)
                for label, n in (("all", 12), ("none", 0))
            )
        )
        (overall,), _ = boards(found)
        assert (places(overall)["all"] is not None) == tested
        if tested:
            assert overall.pairs["p"].iloc[0] == pytest.approx(2 / 2**8)


def test_over_tasks_small_differences_add_up() -> None:
    """No pair is apart on either task, and both together are."""
    found = results(
        *(
            cell(label, outcomes(count, 16), values(16), task)
            for task in ("t", "u")
            for label, count in (("A", 13), ("B", 2))
        )
    )
    (overall,), by_task = boards(found)
    assert all(
        set(verdicts(one).values()) == {"apart as a pair"} for one in by_task.values()
    )
    assert verdicts(overall) == {("A", "B"): "apart on this board"}
    assert overall.table["success"].tolist() == [13 / 16, 2 / 16]
    assert overall.table["gradient_equivalents"].tolist() == [20, 20]


def test_rows_of_one_score_are_in_the_order_of_their_places() -> None:
    """Nobody reached a target, and the metrics of tasks cannot be averaged."""
    found = results(
        *(
            cell(label, outcomes(0, 16), values(16, first=first), task)
            for task in ("t", "u")
            for label, first in (("far", 9.0), ("near", 0.1), ("farther", 99.0))
        )
    )
    (overall,), _ = boards(found)
    assert places(overall) == {"near": (1, 1), "far": (2, 2), "farther": (3, 3)}
    assert overall.table["label"].tolist() == ["near", "far", "farther"]


def test_ties_over_tasks_depend_on_no_name_and_no_order_of_entries() -> None:
    """Of equal success, the medians on the first task decide."""
    cells = {
        name: [
            cell(name, outcomes(0, 9), values(9, first=at), "s", key=f"{name}s"),
            cell(name, outcomes(0, 9), values(9, first=5 - at), key=f"{name}t"),
        ]
        for name, at in (("B", 0.2), ("A", 0.3), ("C", 0.1))
    }
    for order in ("ABC", "CBA", "BAC"):
        (overall,) = boards(
            results(*(one for name in order for one in cells[name]))
        ).overall
        assert overall.table["label"].tolist() == ["C", "B", "A"]


def test_one_task_has_the_places_of_its_own_board_over_tasks_too() -> None:
    """Also where the rank sums are tested."""
    made = boards(
        results(
            cell("A", outcomes(6, 6), values(6)),
            cell("B", outcomes(0, 6), values(6)),
        )
    )
    (overall,) = made.overall
    assert made.by_task["t"].pairs["test"].tolist() == ["rank sum"]
    assert places(overall) == places(made.by_task["t"])
    assert None not in places(overall).values()


def test_costs_of_unlike_budgets_are_not_added() -> None:
    cells = [
        cell(name, outcomes(9, 9), values(9), task) for name in "AB" for task in "st"
    ]
    alike = boards(results(*cells)).overall[0].table
    assert alike["gradient_equivalents"].tolist() == [20, 20]
    unlike = {key: {"steps": 20} for key in ("s/A", "s/B")}
    (overall,) = boards(results(*cells, **unlike)).overall
    assert overall.budget == "20 steps, 2 records or 10 steps, 2 records"
    for name in ("gradient_equivalents", "to_target"):
        assert overall.table[name].isna().all()
        assert alike[name].notna().all()


def test_who_spends_more_than_the_budget_has_no_place() -> None:
    """A budget of less than a step of a method does not make costs equal."""
    cells = [
        cell("A", outcomes(9, 9), values(9), cost=9),
        cell("B", outcomes(5, 9), values(9), cost=10),
        cell("C", outcomes(9, 9), values(9), cost=14),
    ]
    unit = {"t/B": {"unit": "samples"}}
    budget = {key: {"budget": 9} for key in ("t/A", "t/B", "t/C")}
    made = boards(results(*cells, **budget))
    reason = (
        "its median run spent {} gradient-equivalents of 9, as the budget is less than "
        "a few of its steps"
    )
    lacking = {"B": reason.format(10), "C": reason.format(14)}
    lacking["A"] = leaderboard.ALONE
    assert made.by_task["t"].unplaced == made.overall[0].unplaced == lacking
    counted = {key: one | unit["t/B"] for key, one in budget.items()}
    assert boards(results(*cells, **counted)).by_task["t"].unplaced == {}


def test_overall_needs_a_target() -> None:
    found = results(cell("one", outcomes(0, 4), values(4)), target="")
    assert boards(found).overall == []


def test_entries_without_common_task_have_no_place_over_tasks() -> None:
    found = results(
        cell("here", outcomes(16, 16), values(16), "easy"),
        cell("there", outcomes(0, 16), values(16), "hard"),
    )
    (overall,), _ = boards(found)
    assert places(overall) == {"here": None, "there": None}


def test_entries_without_common_seeds_have_no_test_over_tasks() -> None:
    found = results(
        *(
            cell(
                label,
                outcomes(n, 16),
                values(16),
                task,
                seeds=list(range(first, first + 16)),
            )
            for task in ("t", "u")
            for label, n, first in (("A", 16, 0), ("B", 0, 50))
        )
    )
    (overall,), by_task = boards(found)
    assert set(overall.unplaced.values()) == {"they have no common seed on t"}
    assert by_task["t"].pairs["test"].tolist() == ["rank sum"]


def test_a_metric_that_one_entry_lacks() -> None:
    """Without a target it has no place, and comes last."""
    lacking = cell("lacking", outcomes(0, 10), [np.nan] * 10)
    others = [cell(f"{at}", outcomes(0, 10), values(10)) for at in range(2)]
    found = results(lacking, *others, target="")
    found.footers["t/lacking"]["columns"] = []
    made = boards(found).by_task["t"]
    assert made.table["label"].tolist() == ["0", "1", "lacking"]
    assert made.unplaced == {"lacking": "the metric distance is missing"}


def test_nothing_ranks_without_target_and_direction() -> None:
    neither = COLUMN | {"better": "neither"}
    made = board(
        *(cell(label, outcomes(0, 10), values(10)) for label in "ab"),
        target="",
        column=neither,
    )
    assert places(made) == {"a": None, "b": None}
    assert set(made.unplaced.values()) == {leaderboard.UNRANKED}


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_ties_in_success_are_ordered_by_the_metric(better: str) -> None:
    small, large = [0.1, 0.2, 0.3, 0.4], [1.1, 1.2, 1.3, 1.4]
    made = board(
        cell("large", outcomes(0, 4), large),
        cell("small", outcomes(0, 4), small),
        column=COLUMN | {"better": better},
    )
    expected = ["small", "large"] if better == "lower" else ["large", "small"]
    assert made.table["label"].tolist() == expected
    assert verdicts(made) == {("large", "small"): "apart as a pair"}

"""Leaderboards: one board for each task and budget, and one over tasks.

The rules stand in docs/board.md. A pair's verdict uses the runs of those two alone.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmbench.analysis import paired_test, stats
from mmbench.analysis.paired_test import LEVEL, MIN_UNITS
from mmbench.analysis.results import (
    Column,
    Footer,
    Results,
    budgets_of,
    games_of,
    primary_column,
    repetition_of,
    require_one_track,
    results_of,
    rows_of,
    target_of,
    with_families,
)
from mmbench.core.cost import gradient_equivalents
from mmbench.core.errors import DescriptionError, check_keywords, unknown_name
from mmbench.core.spec import INSTANCE
from mmbench.core.status import Status

# The number of entries that a board is made for. "Apart on this board" divides the
# level by the pairs of so many entries, so that an entry that joins changes no verdict.
CAPACITY = 64
GROWTH = 8  # a board of more entries is another version, of a capacity times this

# Share of its budget that a run may spend, whose last step may be begun within it.
MOST_SPENT = 1.1

# The verdicts on a pair of entries, as they stand in comparisons.csv.
APART_ON_BOARD = "apart on this board"
APART_AS_PAIR = "apart as a pair"
NOT_APART = "not apart"
NO_TEST = "no test"

FAILURES = [str(one) for one in Status if one.is_failure]
SCORE = ("success", "to_target", "median")  # columns of an entry's own score
ALONE = "there is no other entry"
IDENTICAL = "all runs of both are identical, so that they are one observation"
SEEDS, INSTANCES, REPETITIONS = "seeds", "instances", "repetitions"  # units of a test
UNRANKED = "the task declares no target and no metric says which value is better"


class Entry(NamedTuple):
    """All runs of one label on one task.

    Args:
        task: the task's spec.
        label: the algorithm's label.
        key: the cell's key.
        seeds: the seed of each run, sorted, shape (runs,).
        success: whether each run converged, shape (runs,).
        dead: whether each run ended in failure, shape (runs,).
        scores: last value of the primary column of each run, negated where higher is
            better and infinite where there is none or the run is dead, shape (runs,);
            empty if the column was not recorded.
        cost: gradient-equivalents that each run spent, shape (runs,).
        cost_to_target: gradient-equivalents that each run had spent when it reached its
            target, infinite if it did not, shape (runs,).
        identical: whether there are several runs and all are identical, so that they
            count as one observation.
        unit: what each run belongs to that is drawn as a whole, its instance or the
            repetition of its tuning, shape (runs,); None where it is the run itself.
            The seeds are then numbers of all pairs of a unit and a seed.
        budget: gradient-equivalents that each run may spend; infinite where the budget
            is counted in others.
    """

    task: str
    label: str
    key: str
    seeds: np.ndarray
    success: np.ndarray
    dead: np.ndarray
    scores: np.ndarray
    cost: np.ndarray
    cost_to_target: np.ndarray
    identical: bool
    unit: np.ndarray | None = None
    budget: float = np.inf

    @property
    def overspent(self) -> str:
        """Why the entry has no place among others of its budget; "" where it has."""
        cost = float(stats.median(self.cost))
        if cost <= MOST_SPENT * self.budget:
            return ""
        return (
            f"its median run spent {cost:g} gradient-equivalents of {self.budget:g}, "
            "as the budget is less than a few of its steps"
        )

    def over_units(self, values: np.ndarray, summary: Callable) -> np.ndarray:
        """Return one value for each unit: that of its only run, or their summary."""
        if self.unit is None:
            return values
        return np.array([summary(values[self.unit == u]) for u in np.unique(self.unit)])


class Board(NamedTuple):
    """The entries of one task under one budget, or of several tasks together.

    Args:
        task: the task's spec; empty over tasks.
        tasks: the tasks of the board.
        budget: what each run may use, in words.
        table: one row for each entry: those with a place in the order of their own
            score, then those without.
        pairs: one row for each pair of entries that are compared.
        capacity: the number of entries that the board is made for.
        seeds: for each task the fewest units of an entry with a place; 0 where none has
            one.
        units: what has one sign in the tests: "seeds", "instances", "repetitions", or
            over tasks "pairs of runs" or "units".
    """

    task: str
    tasks: Sequence[str]
    budget: str
    table: pd.DataFrame
    pairs: pd.DataFrame
    capacity: int
    seeds: tuple[int, ...]
    units: str = SEEDS

    @property
    def thresholds(self) -> tuple[float, float]:
        """The p values of "apart as a pair" and of "apart on this board"."""
        return thresholds_of(self.capacity)

    @property
    def placed(self) -> pd.DataFrame:
        """The rows of the entries with a place."""
        return self.table[self.table["place_low"].notna()]

    @property
    def unplaced(self) -> dict[str, str]:
        """Label to the reason why it has no place."""
        rows = self.table[self.table["place_low"].isna()]
        return dict(zip(rows["label"], rows["reason"], strict=True))


class Boards(NamedTuple):
    """All boards of results.

    Args:
        overall: the boards over all tasks with a target, one for each budget where a
            task has several.
        by_task: name to board: the task's spec, with its budget where it has several.
    """

    overall: Sequence[Board]
    by_task: Mapping[str, Board]


def thresholds_of(capacity: int) -> tuple[float, float]:
    """Return the p values at which entries are apart: as a pair, and on a board."""
    return LEVEL, LEVEL / comb(capacity, 2)


def capacity_of(entries: int) -> int:
    """Return the capacity of the board's version that holds so many entries."""
    capacity = CAPACITY
    while capacity < entries:
        capacity *= GROWTH
    return capacity


# ---- entries ----


def entries_of(results: Results, contest: "Contest") -> list[Entry]:
    """Return an entry for each label of a contest, in the order of the table.

    Cells of other instances, or of other repetitions of a tuning, are one entry.
    """
    cells = cell_entries(results, contest.task, contest.keys)
    if contest.units == SEEDS:
        return cells
    places = {key: _place(results.footers[key]) for key in contest.keys}
    runs = sorted({(*places[one.key], int(s)) for one in cells for s in one.seeds})
    numbers = {run: number for number, run in enumerate(runs)}
    by_label: dict[str, list[Entry]] = defaultdict(list)
    for one in cells:
        place = places[one.key]
        unit = place[0] if contest.units == REPETITIONS else place[1]
        seeds = np.array([numbers[*place, int(seed)] for seed in one.seeds])
        units = np.full(len(seeds), unit)
        by_label[one.label].append(one._replace(seeds=seeds, unit=units))
    return [_joined_entry(contest.task, parts) for parts in by_label.values()]


def _place(footer: Footer) -> tuple[int, int]:
    """Return the repetition and the instance of a cell."""
    instance = footer["cell"]["task"][INSTANCE] if "family" in footer else 0
    return repetition_of(footer), instance


def _joined_entry(task: str, parts: Sequence[Entry]) -> Entry:
    """Return the entry of all runs of some cells."""
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("seeds", "success", "dead", "cost", "cost_to_target", "unit")
    }
    scored = all(len(part.scores) for part in parts)
    joined["scores"] = np.concatenate([part.scores if scored else [] for part in parts])
    order = np.argsort(joined["seeds"])
    joined = {
        name: values[order] if len(values) else values
        for name, values in joined.items()
    }
    same = [joined[name] for name in ("dead", "cost", "cost_to_target", "scores")]
    identical = all(part.identical for part in parts)
    identical &= all(len(np.unique(values)) <= 1 for values in same)
    keys = " ".join(part.key for part in parts)
    return parts[0]._replace(task=task, key=keys, identical=identical, **joined)


def cell_entries(
    results: Results, task: str, keys: Sequence[str] | None = None
) -> list[Entry]:
    """Return an entry for each cell of a task or family, in the order of the table.

    Args:
        results: the results.
        task: name of the task or family.
        keys: the cells that are wanted; None takes all.
    """
    frame = rows_of(results, task)
    if keys is not None:
        frame = frame[frame["key"].isin(keys)]
    codes, found = pd.factorize(frame["key"])
    order = np.lexsort((frame["step"], frame["seed"], codes))
    if (np.diff(order) != 1).any():
        frame, codes = frame.iloc[order], codes[order]
    column = primary_column(results, task)
    # Identical runs differ in nothing but their time.
    numbers = frame.select_dtypes("number").drop(columns=["seed", "cell_seconds"])
    columns: dict[str, np.ndarray] = {
        "numbers": numbers.to_numpy(float),
        "cost": gradient_equivalents(
            *(
                frame[name].to_numpy(float)
                for name in ("grad_x", "grad_y", "hvps", "values")
            )
        ),
        **{name: frame[name].to_numpy() for name in ("seed", "step", "stopped_at")},
        "status": frame["status"].to_numpy(object),
    }
    if column:
        values = frame[column["name"]].to_numpy(float)
        columns["score"] = -values if column["better"] == "higher" else values
    ends = np.searchsorted(codes, np.arange(len(found)), side="right")
    labels = frame["label"].to_numpy(object)
    entries, first = [], 0
    for key, end in zip(found, ends, strict=True):
        recorded = column in results.footers[str(key)]["columns"]
        parts = {
            name: values[first:end]
            for name, values in columns.items()
            if recorded or name != "score"
        }
        entry = _entry(task, labels[first], str(key), parts)
        # Of published results, the records between are not there to be compared.
        footer = results.footers[str(key)]
        alike = footer.get("alike", entry.identical)
        entries.append(entry._replace(identical=alike, budget=_budget(footer["cell"])))
        first = end
    return entries


def _budget(cell: Mapping[str, Any]) -> float:
    """Return the budget of a cell in gradient-equivalents."""
    is_counted = cell.get("unit", "gradient-equivalents") == "gradient-equivalents"
    return float(cell.get("budget") or np.inf) if is_counted else np.inf


def _entry(task: str, label: str, key: str, rows: Mapping[str, np.ndarray]) -> Entry:
    """Return the entry of a cell from its rows, sorted by seed and step."""
    runs = len(np.unique(rows["seed"]))
    of_run = {name: values.reshape(runs, -1) for name, values in rows.items()}
    status = of_run["status"][:, -1]
    success = status == Status.CONVERGED
    dead = np.isin(status.astype(str), FAILURES)
    at_target = (of_run["step"] >= of_run["stopped_at"]) & success[:, None]
    cost_to_target = np.where(at_target, of_run["cost"], np.inf).min(axis=1)
    scores: np.ndarray = np.empty(0)
    if "score" in of_run:
        scores = of_run["score"][:, -1]
        scores = np.where(dead | np.isnan(scores), np.inf, scores)
    numbers = of_run["numbers"]
    return Entry(
        task=task,
        label=label,
        key=key,
        seeds=of_run["seed"][:, 0],
        success=success,
        dead=dead,
        scores=scores,
        cost=of_run["cost"][:, -1],
        cost_to_target=cost_to_target,
        identical=runs > 1
        and bool(np.array_equal(numbers[1:], numbers[:-1], equal_nan=True))
        and len(set(status)) == 1,
    )


def _orders(entries: Sequence[Entry], *, by_target: bool) -> list[np.ndarray]:
    """Return the order of each entry's runs among those of all entries of a task."""
    scores = [
        entry.scores if len(entry.scores) else np.full(len(entry.seeds), np.nan)
        for entry in entries
    ]
    order = paired_test.order_of_runs(
        np.concatenate([entry.dead for entry in entries]),
        np.concatenate([entry.cost_to_target for entry in entries])
        if by_target
        else None,
        np.concatenate(scores),
    )
    return np.split(order, np.cumsum([len(entry.seeds) for entry in entries])[:-1])


# ---- the interface ----


@check_keywords
def leaderboard(
    results: pd.DataFrame | Results | Path | str,
    task: str | None = None,
    *,
    capacity: int | None = None,
) -> pd.DataFrame:
    """Rank the algorithms over all tasks and on each, with 95 % intervals.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of the only task that is ranked; None ranks all.
        capacity: number of entries that the boards are made for, at least as many as
            they have; None takes 64, or 512 and so on for a board of more entries.

    Returns:
        One row for each algorithm over all tasks that declare a target ("scope" is
        "overall"), and one for each algorithm on each task and budget ("scope" is
        "task"): place_low and place_high, the interval of its place, missing where it
        has none, for the reason given; label; runs; where there is a target, converged,
        success with success_low and success_high, and to_target, the median cost to
        reach it; median of the first metric with median_low and median_high;
        gradient_equivalents, the median cost; and alike, whether all runs are
        identical.
    """
    made = boards(results_of(results), capacity=capacity)
    if task is not None:
        chosen = {
            name: board
            for name, board in made.by_task.items()
            if task in (name, board.task)
        }
        if not chosen:
            raise unknown_name("task", task, made.by_task)
        made = Boards([], chosen)
    table = table_of(made)
    # Rows that lack a number or truth value turn its column into floats or objects.
    whole = dict.fromkeys(
        ("place_low", "place_high", "tasks", "of", "converged"), "Int64"
    ) | {"alike": "boolean"}
    return table.astype({name: kind for name, kind in whole.items() if name in table})


def separated_best(board: Board) -> str | None:
    """Return the label that is apart from all others, at place 1; None if none is."""
    placed = board.placed
    if len(placed) > 1:
        alone = placed[placed["place_high"] == 1]
        if len(alone):
            return str(alone["label"].iloc[0])
    return None


def place_in_words(row: Mapping[Any, Any]) -> str:
    """Return the place of a row of a board, such as "1 to 3"; "" where it has none."""
    low, high = row["place_low"], row["place_high"]
    if row["reason"]:
        return ""
    return f"{low}" if low == high else f"{low} to {high}"


def table_of(made: Boards) -> pd.DataFrame:
    """Join the tables of boards into one."""
    return _joined(made, "table", ("place_low", "place_high", "label"))


def pairs_of(made: Boards) -> pd.DataFrame:
    """Join the comparisons of boards into one table."""
    return _joined(made, "pairs", ("first", "second"))


def _joined(made: Boards, name: str, leading: Sequence[str]) -> pd.DataFrame:
    tables = [
        getattr(board, name).assign(
            scope="task" if board.task else "overall",
            task=board.task or None,
            budget=board.budget,
        )
        for board in (*made.overall, *made.by_task.values())
    ]
    first = ["scope", "task", "budget", *leading]
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=first)
    table = pd.concat(tables, ignore_index=True)
    rest = [one for one in table if one not in (*first, "reason")]
    return table[[*first, *rest, *(["reason"] if "reason" in table else [])]]


class Contest(NamedTuple):
    """What is ranked together: the cells of a task or family under one budget.

    Args:
        task: name of the task or family.
        budget: what each run may use, in words.
        keys: the keys of the cells.
        units: what has one sign in a test: "seeds", "instances" or "repetitions".
    """

    task: str
    budget: str
    keys: Sequence[str]
    units: str = SEEDS


def contests(results: Results) -> dict[str, Contest]:
    """Return what is ranked together, by name.

    A name is that of the task or family, with the budget where there are several.
    """
    found = {}
    for task in games_of(results):
        budgets = budgets_of(results, task)
        for budget, keys in budgets.items():
            name = f"{task} ({budget})" if len(budgets) > 1 else task
            places = [_place(results.footers[key]) for key in keys]
            repetitions, instances = (
                len(set(one)) for one in zip(*places, strict=True)
            )
            # Repetitions of a tuning have instances of their own.
            units = INSTANCES if instances > 1 else SEEDS
            units = REPETITIONS if repetitions > 1 else units
            found[name] = Contest(task, budget, keys, units)
    return found


def boards(results: Results, *, capacity: int | None = None) -> Boards:
    """Rank the entries on each task and over all; unfinished cells have no rank.

    Args:
        results: the results.
        capacity: see `leaderboard`.

    Raises:
        StoreError: when they are of both tracks.
    """
    require_one_track(results)
    results = with_families(results.finished)
    by_task: dict[str, Board] = {}
    with_target: dict[str, dict[str, list[Entry]]] = defaultdict(dict)
    made = contests(results)
    for name, contest in made.items():
        task, budget = contest.task, contest.budget
        entries, target = entries_of(results, contest), target_of(results, task)
        by_task[name] = task_board(
            entries,
            by_target=bool(target),
            column=primary_column(results, task),
            budget=budget,
            capacity=capacity,
            units=contest.units,
        )
        if target:
            with_target[budget][task] = entries
    tasks = list(dict.fromkeys(one.task for one in made.values()))
    is_shared = len(with_target) < 2 or len(tasks) < len(made)
    if len(tasks) == len(made) and with_target:
        # Each task has its own.
        shared = " or ".join(with_target)
        with_target = {
            shared: {k: v for one in with_target.values() for k, v in one.items()}
        }
    overall = [
        overall_board(
            {task: entries[task] for task in tasks if task in entries},
            budget=budget,
            capacity=capacity,
            units=_common({one.units for one in made.values() if one.task in entries}),
            is_shared=is_shared,
        )
        for budget, entries in with_target.items()
    ]
    return Boards(overall, by_task)


def _common(units: set[str]) -> str:
    """Return what the units of several tasks are called together."""
    (name,) = units if len(units) == 1 else ("units",)
    return "pairs of runs" if name == SEEDS else name


# ---- one task ----


def task_board(
    entries: Sequence[Entry],
    *,
    by_target: bool,
    column: Column | None,
    budget: str = "",
    capacity: int | None = None,
    units: str = SEEDS,
) -> Board:
    """Rank the entries of one task under one budget.

    Args:
        entries: at least one, in the order of the table.
        by_target: whether the task declares a target.
        column: the primary column; None if no column has a direction.
        budget: what each run may use, in words.
        capacity: see `leaderboard`.
        units: what has one sign in the tests.
    """
    entries = sorted(entries, key=lambda entry: _score(entry, by_target=by_target))
    higher = column is not None and column["better"] == "higher"
    rows = [_task_row(entry, by_target, higher=higher) for entry in entries]
    lacking: dict[str, str] = {}
    for entry in entries:
        if not by_target and column is None:
            lacking[entry.label] = UNRANKED
        elif not by_target and not len(entry.scores):
            lacking[entry.label] = f"the metric {column['name']} is missing"  # type: ignore[index]
        elif entry.overspent:
            lacking[entry.label] = entry.overspent
    tested = [entry for entry in entries if entry.label not in lacking]
    orders = _orders(tested, by_target=by_target) if tested else []

    def compare(at: int, others: Sequence[int], levels: Sequence[float]) -> _Tested:
        stacked = np.stack([orders[one] for one in others])
        return _on_task(tested[at], tested[others[0]], orders[at], stacked, levels)

    kinds = [(tuple(entry.seeds.tolist()), entry.identical) for entry in tested]
    labels = [entry.label for entry in tested]
    task = entries[0].task
    capacity = _capacity(len(rows), capacity)
    pairs = _pairs(labels, kinds, compare, thresholds_of(capacity))
    table = _placed(rows, labels, lacking, pairs)
    placed = {*_with_place(table)}
    sizes = [_size(entry) for entry in tested if entry.label in placed]
    least = (min(sizes, default=0),)
    return Board(task, [task], budget, table, pairs, capacity, least, units)


def _on_task(
    entry: Entry,
    other: Entry,
    order: np.ndarray,
    others: np.ndarray,
    levels: Sequence[float],
) -> "_Tested":
    """Compare an entry on one task with others whose runs are of the same seeds.

    Args:
        entry: the entry.
        other: one of the others.
        order: the order of the entry's runs.
        others: those of the others.
        levels: the p values of the verdicts.
    """
    unit = _unit_of_pairs(entry, other)
    made = paired_test.compare(
        order, others, entry.seeds, other.seeds, unit=unit, thresholds=levels
    )
    if entry.identical and other.identical:
        p = np.full(len(others), np.nan)
        return made._replace(p=p, test=paired_test.NO_TEST), IDENTICAL
    if made.test:
        return made, ""
    if unit is not None:
        count = len(np.unique(unit))
        return made, f"there are fewer than {MIN_UNITS} common units, {count}"
    runs = f"{len(entry.seeds)} and {len(other.seeds)} runs"
    return made, f"{runs} are too few for a test"


def _unit_of_pairs(entry: Entry, other: Entry) -> np.ndarray | None:
    """Return the unit of each pair of runs of two entries; None for the pair itself."""
    if entry.unit is None:
        return None
    return entry.unit[np.isin(entry.seeds, other.seeds)]


def _size(entry: Entry) -> int:
    """Return the number of an entry's units."""
    return len(entry.seeds if entry.unit is None else np.unique(entry.unit))


def _score(entry: Entry, *, by_target: bool) -> tuple[float, ...]:
    """Return an entry's own score, by which rows are ordered: lower is better."""
    cost = float(stats.median(entry.cost))
    if not by_target:
        return 0.0, 0.0, _median(entry), cost
    to_target = float(stats.median(entry.cost_to_target))
    return -entry.success.mean(), to_target, _median(entry), cost


def _median(entry: Entry) -> float:
    """Return the median of an entry's scores, infinite where there are none."""
    return float(stats.median(_unit_scores(entry))) if len(entry.scores) else np.inf


def _unit_scores(entry: Entry) -> np.ndarray:
    """Return the scores of an entry's runs, or the medians of its units."""
    return entry.over_units(entry.scores, stats.median)


def _successes(entry: Entry) -> np.ndarray:
    """Return the success of an entry's runs, or the shares of its units."""
    return entry.over_units(entry.success.astype(float), np.mean)


def _task_row(entry: Entry, by_target: bool, *, higher: bool) -> dict[str, Any]:
    """Return the row of an entry in its task's table, without its place."""
    runs, converged = len(entry.success), int(entry.success.sum())
    row: dict[str, Any] = {"label": entry.label, "runs": runs}
    if by_target:
        low, high = map(float, stats.proportion_interval(converged, runs))
        if entry.unit is not None:
            low, high = stats.mean_interval([_successes(entry)])
        success_low, success_high = (
            np.nan if entry.identical else end for end in (low, high)
        )
        row |= {
            "converged": converged,
            "success": converged / runs,
            "success_low": success_low,
            "success_high": success_high,
        }
    if len(entry.scores):
        scores = _unit_scores(entry)
        low, high = (float(end) for end in stats.quantile_interval(scores))
        median = float(stats.median(scores))
        if higher:
            median, low, high = -median, -high, -low
        row |= {"median": median, "median_low": low, "median_high": high}
    row["gradient_equivalents"] = float(stats.median(entry.cost))
    if by_target:
        row["to_target"] = float(stats.median(entry.cost_to_target))
    return row | {"alike": entry.identical}


# ---- several tasks ----


def overall_board(
    entries_by_task: Mapping[str, Sequence[Entry]],
    *,
    budget: str = "",
    capacity: int | None = None,
    units: str = "pairs of runs",
    is_shared: bool = True,
) -> Board:
    """Rank all entries by their mean success over tasks.

    Only entries that have all tasks have places.

    Args:
        entries_by_task: task to its entries, of each task that declares a target.
        budget: what each run may use, in words.
        capacity: see `leaderboard`.
        units: what has one sign in the tests.
        is_shared: whether all tasks have one budget; costs of unlike ones are not
            added.
    """
    tasks = list(entries_by_task)
    by_label: dict[str, dict[str, Entry]] = defaultdict(dict)
    orders: dict[tuple[str, str], np.ndarray] = {}
    for task, entries in entries_by_task.items():
        for entry, order in zip(entries, _orders(entries, by_target=True), strict=True):
            by_label[entry.label][task] = entry
            orders[task, entry.label] = order
    rows = [
        _overall_row(label, list(found.values()), len(tasks), is_shared=is_shared)
        for label, found in by_label.items()
    ]
    rows.sort(
        key=lambda row: (
            -row["success"],
            row["to_target"] if is_shared else 0.0,
            # Equal ones are in the order of their medians, task by task.
            [
                _median(by_label[row["label"]][task])
                for task in tasks
                if task in by_label[row["label"]]
            ],
        )
    )
    lacking = {
        label: f"finished runs are missing on {_some(missing, len(tasks))}"
        for label, found in by_label.items()
        if (missing := [task for task in tasks if task not in found])
    }
    for label, found in by_label.items():
        if overspent := next(filter(None, (x.overspent for x in found.values())), ""):
            lacking.setdefault(label, overspent)
    labels = [row["label"] for row in rows if row["label"] not in lacking]
    kinds = [
        tuple(
            (tuple(one.seeds.tolist()), one.identical)
            for one in (by_label[label][task] for task in tasks)
        )
        for label in labels
    ]

    def compare(at: int, others: Sequence[int], levels: Sequence[float]) -> _Tested:
        differences, pairs = [], []
        for task in tasks:
            entry, other = (by_label[labels[one]][task] for one in (at, others[0]))
            order = orders[task, labels[at]]
            stacked = np.stack([orders[task, labels[one]] for one in others])
            common, here, there = np.intersect1d(
                entry.seeds, other.seeds, return_indices=True
            )
            if len(tasks) == 1 and len(common) < MIN_UNITS:
                return _on_task(entry, other, order, stacked, levels)
            if not len(common):
                none = np.full(len(others), np.nan)
                made = paired_test.Comparison(none, none, none, 0, paired_test.NO_TEST)
                return made, f"they have no common seed on {task}"
            one = paired_test.rank_differences(
                np.broadcast_to(order[here], (len(others), len(common))),
                stacked[:, there],
            )
            unit = _unit_of_pairs(entry, other)
            if unit is not None:
                one = paired_test.sums_of_units(one, unit)
            if entry.identical and other.identical:
                one = one.sum(axis=1, keepdims=True)
            differences.append(one)
            pairs.append(len(common))
        made = paired_test.over_tasks(differences, pairs, levels)
        few = f"there are fewer than {MIN_UNITS} {units}"
        return made, "" if made.test else few

    capacity = _capacity(len(rows), capacity)
    pairs = _pairs(labels, kinds, compare, thresholds_of(capacity))
    table = _placed(rows, labels, lacking, pairs)
    placed = [by_label[label] for label in _with_place(table)]
    seeds = tuple(
        min((_size(found[task]) for found in placed), default=0) for task in tasks
    )
    return Board("", tasks, budget, table, pairs, capacity, seeds, units)


def _overall_row(
    label: str, entries: Sequence[Entry], tasks: int, *, is_shared: bool
) -> dict[str, Any]:
    """Return the row of a label in the table of all tasks, without its place."""
    success = np.array([entry.success.mean() for entry in entries])
    varied = [entry for entry in entries if not entry.identical]
    ends = (np.nan, np.nan)
    if varied:
        ends = stats.mean_interval([_successes(entry) for entry in varied])
    # Success is known where all runs are identical.
    known = [float(entry.success.mean()) for entry in entries if entry.identical]
    low, high = stats.include_known(ends, len(varied), known)
    return {
        "label": label,
        "tasks": len(entries),
        "of": tasks,
        "runs": sum(len(entry.success) for entry in entries),
        "success": float(success.mean()),
        "success_low": low,
        "success_high": high,
        "gradient_equivalents": _sum_of_medians(entry.cost for entry in entries)
        if is_shared
        else np.nan,
        "to_target": _sum_of_medians(entry.cost_to_target for entry in entries)
        if is_shared
        else np.nan,
    }


def _sum_of_medians(costs: Iterable[np.ndarray]) -> float:
    return sum(float(stats.median(one)) for one in costs)


# ---- pairs and places ----

_Tested = tuple[paired_test.Comparison, str]  # and why there is no test
_Compare = Callable[[int, Sequence[int], Sequence[float]], _Tested]


def _capacity(entries: int, wanted: int | None) -> int:
    """Return the capacity of a board.

    Raises:
        DescriptionError: when the wanted one is too small.
    """
    if wanted is not None and wanted < max(2, entries):
        raise DescriptionError(
            f"capacity must be at least 2 and the number of entries, {entries}; got "
            f"{wanted}."
        )
    return capacity_of(entries) if wanted is None else wanted


def _pairs(
    labels: Sequence[str],
    kinds: Sequence[Hashable],
    compare: _Compare,
    levels: tuple[float, float],
) -> pd.DataFrame:
    """Return a row for each pair of entries, with its test and verdict.

    Args:
        labels: the entries that are compared.
        kinds: of each entry, what its seeds are; those of one kind are compared with an
            entry together.
        compare: compares one of them with others of one kind, all by their places in
            `labels`, at the levels.
        levels: the p values of "apart as a pair" and of "apart on this board".
    """
    count = len(labels)
    first, second = np.triu_indices(count, 1)
    columns: dict[str, np.ndarray] = {
        "pairs": np.zeros(len(first), int),
        "improvement": np.full(len(first), np.nan),
        "ahead": np.zeros(len(first)),
        "p": np.full(len(first), np.nan),
        "test": np.full(len(first), "", object),
        "reason": np.full(len(first), "", object),
    }
    for at in range(count - 1):
        by_kind: dict[Hashable, list[int]] = defaultdict(list)
        for other in range(at + 1, count):
            by_kind[kinds[other]].append(other)
        # The row of the pair of this entry and the next one.
        start = at * (2 * count - at - 1) // 2
        for others in by_kind.values():
            made, why = compare(at, others, levels)
            rows = start + np.array(others) - at - 1
            for name, values in (made._asdict() | {"reason": why}).items():
                columns[name][rows] = values
    p, ahead = columns["p"], columns.pop("ahead")
    verdicts = [NO_TEST, APART_ON_BOARD, APART_AS_PAIR]
    with np.errstate(invalid="ignore"):
        conditions = [np.isnan(p), p <= levels[1], p <= levels[0]]
    names = np.array([*labels, ""], object)
    better = np.where(ahead > 0, first, np.where(ahead < 0, second, count))
    better[np.isnan(p)] = count
    reason = columns.pop("reason")
    return pd.DataFrame(
        {
            "first": names[first],
            "second": names[second],
            **columns,
            "better": names[better],
            "verdict": np.select(conditions, verdicts, NOT_APART),
            "reason": reason,
        }
    )


def _placed(
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    lacking: Mapping[str, str],
    pairs: pd.DataFrame,
) -> pd.DataFrame:
    """Return the table of a board.

    Args:
        rows: one for each entry, the best own score first.
        labels: the entries that were compared.
        lacking: label to the reason why it was not.
        pairs: the comparisons.
    """
    tested = pairs[pairs["verdict"] != NO_TEST]
    apart = tested[tested["verdict"] == APART_ON_BOARD]
    worse = np.where(apart["better"] == apart["first"], apart["second"], apart["first"])
    above, below = Counter(worse), Counter(apart["better"])
    with_test = {*tested["first"], *tested["second"]}
    reasons = dict(lacking)
    for label in labels:
        if label not in with_test:
            own = pairs[(pairs["first"] == label) | (pairs["second"] == label)]
            reasons[label] = own["reason"].iloc[0] if len(own) else ALONE
    # Rows of one score are in the order of their places.
    scores = [tuple(row.get(name) for name in SCORE) for row in rows]
    keys = {
        row["label"]: (
            row["label"] in reasons,
            scores.index(score),
            above[row["label"]],
        )
        for row, score in zip(rows, scores, strict=True)
    }
    order = sorted(rows, key=lambda row: keys[row["label"]])
    table = pd.DataFrame(order)
    low = [1 + above[row["label"]] for row in order]
    high = [len(with_test) - below[row["label"]] for row in order]
    has_place = ~table["label"].isin(reasons)
    for at, (name, places) in enumerate({"place_low": low, "place_high": high}.items()):
        table.insert(at, name, pd.Series(places, dtype="Int64").where(has_place))
    table["reason"] = [reasons.get(row["label"], "") for row in order]
    return table


def _some(names: Sequence[str], of: int) -> str:
    """Return the names of some tasks, or how many of all they are."""
    return ", ".join(names) if len(names) < 5 else f"{len(names)} of {of} tasks"


def _with_place(table: pd.DataFrame) -> list[str]:
    return list(table["label"][table["place_low"].notna()])

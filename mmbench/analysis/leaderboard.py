"""Leaderboards: ranks with ties and confidence intervals, from the tidy table.

Two entries differ if a test separates them at `SIGNIFICANCE_LEVEL` and their success
rates differ by at least `MIN_SUCCESS_DIFFERENCE`. On a task without a target, the
better entry must instead win at least the share `MIN_SHARE_OF_WINS` of the pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmbench.analysis import stats
from mmbench.analysis.results import (
    Column,
    Results,
    primary_column,
    results_of,
    target_of,
    tasks_of,
)
from mmbench.core.cost import gradient_equivalents
from mmbench.core.errors import check_keywords, unknown_name
from mmbench.core.status import Status

SIGNIFICANCE_LEVEL = 0.05
MIN_SUCCESS_DIFFERENCE = 0.05
MIN_SHARE_OF_WINS = 0.75

# The verdicts on a pair of entries, as they stand in comparisons.csv.
DIFFERENT = "apart"
TIED = "share a place"
NOT_TESTED = f"fewer than {stats.MIN_PAIRS} pairs, so not tested"


class Entry(NamedTuple):
    """All runs of one label on one task.

    Args:
        task: the task's spec.
        label: the algorithm's label.
        key: the cell's key.
        seeds: the seed of each run, sorted, shape (runs,).
        success: whether each run converged, shape (runs,).
        scores: last value of the primary column of each run, negated where higher is
            better and infinite where there is none, shape (runs,); empty if the column
            was not recorded.
        cost: gradient-equivalents that each run spent, shape (runs,).
        cost_to_target: gradient-equivalents that each run had spent when it reached its
            target, infinite if it did not, shape (runs,).
        identical: whether there are several runs and all are identical, so that they
            count as one observation.
    """

    task: str
    label: str
    key: str
    seeds: np.ndarray
    success: np.ndarray
    scores: np.ndarray
    cost: np.ndarray
    cost_to_target: np.ndarray
    identical: bool


class Board(NamedTuple):
    """The entries of one task, or of all tasks together, in order.

    Args:
        table: one row for each entry, the best first.
        pairs: one row for each pair of entries, with difference, p value and verdict.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame


def entries_of(results: Results, task: str) -> list[Entry]:
    """Return an entry for each cell of a task, in the order of the table."""
    frame = results.frame[results.frame["task"] == task]
    column = primary_column(results, task)
    entries = []
    for key, rows in frame.groupby("key", sort=False):
        recorded = column in results.footers[str(key)]["columns"]
        entries.append(_entry(str(key), rows, column if recorded else None))
    return entries


def _entry(key: str, rows: pd.DataFrame, column: Column | None) -> Entry:
    rows = rows.sort_values(["seed", "step"], kind="stable")
    last = rows.groupby("seed").tail(1)
    cost = gradient_equivalents(
        *(rows[name] for name in ("grad_x", "grad_y", "hvps", "values"))
    )
    success = last["status"].to_numpy() == Status.CONVERGED
    at_target = (rows["step"] >= rows["stopped_at"]) & (
        rows["status"] == Status.CONVERGED
    )
    cost_to_target = cost[at_target].groupby(rows["seed"]).min()
    scores: np.ndarray = np.empty(0)
    if column:
        scores = last[column["name"]].to_numpy(float)
        scores = -scores if column["better"] == "higher" else scores
        scores = np.where(np.isnan(scores), np.inf, scores)
    # Identical runs differ in nothing but their time.
    compared = rows.select_dtypes("number").drop(columns=["seed", "cell_seconds"])
    runs = compared.to_numpy(float).reshape(len(last), -1)
    return Entry(
        task=rows["task"].iloc[0],
        label=rows["label"].iloc[0],
        key=key,
        seeds=last["seed"].to_numpy(),
        success=success,
        scores=scores,
        cost=cost[last.index].to_numpy(float),
        cost_to_target=cost_to_target.reindex(last["seed"])
        .fillna(np.inf)
        .to_numpy(float),
        identical=len(runs) > 1
        and np.array_equal(runs[1:], runs[:-1], equal_nan=True)
        and len(set(last["status"])) == 1,
    )


@check_keywords
def leaderboard(
    results: pd.DataFrame | Results | Path | str, task: str | None = None
) -> pd.DataFrame:
    """Rank the algorithms over all tasks and on each, with 95 % intervals.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of the only task that is ranked; None ranks all.

    Returns:
        One row for each algorithm over all tasks that declare a target ("scope" is
        "overall"), and one for each algorithm on each task ("scope" is "task"): its
        place, one plus the number of algorithms that beat it in a paired test; groups,
        letters of which two algorithms share one unless a test separates them; label;
        runs; where there is a target, converged, success with success_low and
        success_high, and to_target, the median cost to reach it; median of the first
        metric with median_low and median_high; gradient_equivalents, the median cost;
        and alike, whether all runs are identical.
    """
    overall, by_task = boards(results_of(results))
    if task is not None and task not in by_task:
        raise unknown_name("task", task, by_task)
    if task is not None:
        overall, by_task = None, {task: by_task[task]}
    table = table_of(overall, by_task)
    # Rows that lack a number or truth value turn its column into floats or objects.
    whole = dict.fromkeys(("tasks", "of", "converged"), "Int64") | {"alike": "boolean"}
    return table.astype({name: kind for name, kind in whole.items() if name in table})


def separated_best(table: pd.DataFrame) -> str | None:
    """Return the label that beats every other of a board; None where there is none.

    Args:
        table: the table of a board.
    """
    first, rest = table.iloc[0], table.iloc[1:]
    letters = set(first["groups"].split())
    shares = [bool(letters & set(groups.split())) for groups in rest["groups"]]
    return None if any(shares) or not shares else first["label"]


def table_of(overall: Board | None, by_task: Mapping[str, Board]) -> pd.DataFrame:
    """Join the tables of boards into one."""
    tables = [board.table.assign(scope="task") for board in by_task.values()]
    if overall:
        tables.insert(0, overall.table.assign(scope="overall"))
    leading = ["scope", "task", "place", "groups", "label"]
    tables = [table for table in tables if len(table)]
    if not tables:
        return pd.DataFrame(columns=leading)
    table = pd.concat(tables, ignore_index=True)
    return table[[*leading, *(name for name in table if name not in leading)]]


# ---- one task ----


def boards(results: Results) -> tuple[Board | None, dict[str, Board]]:
    """Rank the entries over all tasks and on each task; unfinished cells have no rank.

    Returns:
        The board of all tasks that declare a target, None if none does, and the board
        of each task.
    """
    results = results.finished
    entries = {task: entries_of(results, task) for task in tasks_of(results)}
    by_task = {}
    for task, entries_of_task in entries.items():
        column = primary_column(results, task)
        by_task[task] = task_board(
            entries_of_task,
            by_success=bool(target_of(results, task)),
            higher=column is not None and column["better"] == "higher",
        )
    with_target = [entries[task] for task in entries if target_of(results, task)]
    return (overall_board(with_target) if with_target else None), by_task


def task_board(entries: list[Entry], *, by_success: bool, higher: bool) -> Board:
    """Rank the entries of one task.

    Args:
        entries: in the order of the table.
        by_success: whether success orders the entries; otherwise the primary column
            does.
        higher: whether higher values of the primary column are better.
    """

    def sort_key(entry: Entry) -> tuple[float, float]:
        return -entry.success.mean() if by_success else 0.0, _median_score(entry)

    entries = sorted(entries, key=sort_key)
    pairs = [
        _compare(first, second, [(first, second)], by_success)
        for first, second in combinations(entries, 2)
    ]
    rows = [_task_row(entry, by_success, higher) for entry in entries]
    return _rank(pd.DataFrame(rows), pd.DataFrame(pairs))


def _median_score(entry: Entry) -> float:
    return float(stats.median(entry.scores)) if len(entry.scores) else np.inf


def _task_row(entry: Entry, by_success: bool, higher: bool) -> dict[str, Any]:
    """Return the row of an entry in its task's table, without rank and letters."""
    runs, converged = len(entry.success), int(entry.success.sum())
    row: dict[str, Any] = {"task": entry.task, "label": entry.label, "runs": runs}
    if by_success:
        ends = stats.proportion_interval(converged, runs)
        success_low, success_high = (
            np.nan if entry.identical else float(end) for end in ends
        )
        row |= {
            "converged": converged,
            "success": converged / runs,
            "success_low": success_low,
            "success_high": success_high,
        }
    if len(entry.scores):
        median = _median_score(entry)
        low, high = (float(end) for end in stats.quantile_interval(entry.scores))
        if higher:
            median, low, high = -median, -high, -low
        row |= {"median": median, "median_low": low, "median_high": high}
    row["gradient_equivalents"] = float(stats.median(entry.cost))
    if by_success:
        row["to_target"] = float(stats.median(entry.cost_to_target))
    return row | {"alike": entry.identical}


# ---- all tasks ----


def overall_board(entries_by_task: list[list[Entry]]) -> Board:
    """Rank all entries by their mean success over tasks.

    The mean of a label is over the tasks on which it was run. Two labels are compared
    on the tasks on which both were run.

    Args:
        entries_by_task: the entries of each task that declares a target.
    """
    by_label: dict[str, list[Entry]] = {}
    for entries in entries_by_task:
        for entry in entries:
            by_label.setdefault(entry.label, []).append(entry)
    rows = [
        _overall_row(label, entries, len(entries_by_task))
        for label, entries in by_label.items()
    ]
    rows.sort(key=lambda row: -row["success"])
    pairs = []
    for label, other_label in combinations([row["label"] for row in rows], 2):
        firsts, seconds = by_label[label], by_label[other_label]
        common = [
            (first, second)
            for first in firsts
            for second in seconds
            if first.task == second.task
        ]
        pairs.append(_compare(firsts[0], seconds[0], common, True))
    return _rank(pd.DataFrame(rows), pd.DataFrame(pairs))


def _overall_row(label: str, entries: list[Entry], tasks: int) -> dict[str, Any]:
    """Return the row of a label in the table of all tasks, without rank and letters."""
    success = np.array([entry.success.mean() for entry in entries])
    varied = [entry for entry in entries if not entry.identical]
    ends = (np.nan, np.nan)
    if varied:
        ends = stats.mean_interval([entry.success.astype(float) for entry in varied])
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
    }


# ---- pairs and ranks ----


def _compare(
    first: Entry,
    second: Entry,
    common: Sequence[tuple[Entry, Entry]],
    by_success: bool,
) -> dict[str, Any]:
    """Compare two entries on their common tasks, by runs paired by seed."""
    row: dict[str, Any] = {
        "first": first.label,
        "second": second.label,
        "tasks": len(common),
        "pairs": 0,
        "difference": np.nan,
        "low": np.nan,
        "high": np.nan,
        "p": np.nan,
    }
    strata = [values for values in _differences(common, by_success) if len(values)]
    if not strata:
        return row
    # Each task has the same weight.
    weighted = np.concatenate([values / len(values) / len(strata) for values in strata])
    row["pairs"] = len(weighted)
    if by_success:
        row["difference"] = float(weighted.sum())
        row["low"], row["high"] = _difference_interval(common)
    else:
        # The share of pairs that the first entry wins; ties count half.
        row["difference"] = float(np.mean((1 - np.sign(weighted)) / 2))
    if len(weighted) >= stats.MIN_PAIRS:
        row["p"] = stats.sign_flip(weighted)
    return row


def _difference_interval(common: Sequence[tuple[Entry, Entry]]) -> tuple[float, float]:
    """Return the interval of the mean difference in success on tasks."""
    varied, known = [], []
    for pair, values in zip(common, _differences(common, True), strict=True):
        if pair[0].identical and pair[1].identical:
            known += values.tolist()
        elif len(values):
            varied.append(values)
    ends = stats.difference_interval(varied) if varied else (0.0, 0.0)
    return stats.include_known(ends, len(varied), known)


def _differences(
    common: Sequence[tuple[Entry, Entry]], by_success: bool
) -> Iterator[np.ndarray]:
    """Yield the differences of paired runs on each task, in success or signed ranks."""
    for first, second in common:
        _, in_first, in_second = np.intersect1d(
            first.seeds, second.seeds, return_indices=True
        )
        if first.identical and second.identical:
            in_first, in_second = in_first[:1], in_second[:1]
        if by_success:
            yield first.success[in_first].astype(float) - second.success[in_second]
        elif len(first.scores) and len(second.scores):
            yield stats.signed_ranks(first.scores[in_first], second.scores[in_second])


def _rank(table: pd.DataFrame, pairs: pd.DataFrame) -> Board:
    """Add adjusted p values and verdicts to `pairs`, ranks and letters to `table`.

    The rank of an entry is one plus the number of entries that beat it.
    """
    labels = list(table["label"])
    beats = np.zeros((len(labels), len(labels)), dtype=bool)
    by_success = "success" in table
    if len(pairs):
        pairs["p_holm"] = stats.holm(pairs["p"].to_numpy(float))
    verdicts = []
    for pair in pairs.to_dict("records"):
        first, second = labels.index(pair["first"]), labels.index(pair["second"])
        difference = pair["difference"]
        if np.isnan(pair["p_holm"]):
            verdicts.append(NOT_TESTED)
            continue
        if by_success:
            first_is_better = difference > 0
            # 0.05 is not exact in binary.
            is_large = abs(difference) >= MIN_SUCCESS_DIFFERENCE - 1e-9
        else:
            first_is_better = difference > 0.5
            is_large = max(difference, 1 - difference) >= MIN_SHARE_OF_WINS
        if pair["p_holm"] < SIGNIFICANCE_LEVEL and is_large:
            beats[(first, second) if first_is_better else (second, first)] = True
            verdicts.append(DIFFERENT)
        else:
            verdicts.append(TIED)
    if len(pairs):
        pairs["verdict"] = verdicts
    table["place"] = 1 + beats.sum(axis=0)
    table["groups"] = stats.group_letters(beats | beats.T)
    table = table.sort_values("place", kind="stable", ignore_index=True)
    return Board(table, pairs)

"""Leaderboard: tidy table to ranks with shared places and intervals."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmbench.analysis import stats
from mmbench.analysis.results import Results, primary, target_of, tasks_of
from mmbench.core.cost import gradient_equivalents
from mmbench.core.status import Status

# Two entries share a place unless a test separates them at this level and they differ
# by at least this much: in success rate, or where a task has no target in the share of
# pairs that the better one wins.
LEVEL = 0.05
MARGIN = 0.05
WINS = 0.75

FOR_WANT_OF_PAIRS = f"fewer than {stats.FEWEST_PAIRS} pairs, so not tested"


class Entry(NamedTuple):
    """All runs of one label on one task.

    Args:
        task: in words.
        label: of the algorithm.
        key: of the cell.
        seeds: one a run, sorted.
        success: whether each run converged.
        scores: each run's last value of the primary metric, turned so that less is
            better, infinite where there is none; empty where it was not measured.
        price: gradient-equivalents each run spent.
        to_target: those it had spent when its target was reached, else infinite.
        alike: whether there are several runs and all went the same way, so that they
            count as one.
    """

    task: str
    label: str
    key: str
    seeds: np.ndarray
    success: np.ndarray
    scores: np.ndarray
    price: np.ndarray
    to_target: np.ndarray
    alike: bool


class Board(NamedTuple):
    """The entries of one task, or of all tasks together, in order.

    Args:
        table: one row an entry, best first.
        pairs: one row a pair of entries: difference, p value and verdict.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame


def entries(results: Results, task: str) -> list[Entry]:
    """One entry for each cell of a task, in order of the table."""
    frame = results.frame[results.frame["task"] == task]
    column = primary(results, task)
    found = []
    for key, cell in frame.groupby("key", sort=False):
        measured = column in results.footers[str(key)]["columns"]
        found.append(_entry(str(key), cell, column if measured else None))
    return found


def _entry(key: str, cell: pd.DataFrame, column: dict[str, Any] | None) -> Entry:
    cell = cell.sort_values(["seed", "step"], kind="stable")
    last = cell.groupby("seed").tail(1)
    price = gradient_equivalents(
        *(cell[name] for name in ("grad_x", "grad_y", "hvps", "values"))
    )
    success = last["status"].to_numpy() == Status.CONVERGED
    at_target = (cell["step"] >= cell["stopped_at"]) & (
        cell["status"] == Status.CONVERGED
    )
    reached = price[at_target].groupby(cell["seed"]).min()
    scores = np.empty(0)
    if column:
        scores = last[column["name"]].to_numpy(float)
        scores = -scores if column["better"] == "higher" else scores
        scores = np.where(np.isnan(scores), np.inf, scores)
    # Nothing but the clock may differ between runs that went the same way.
    told = cell.select_dtypes("number").drop(columns=["seed", "cell_seconds"])
    runs = told.to_numpy(float).reshape(len(last), -1)
    return Entry(
        task=cell["task"].iloc[0],
        label=cell["label"].iloc[0],
        key=key,
        seeds=last["seed"].to_numpy(),
        success=success,
        scores=scores,
        price=price[last.index].to_numpy(float),
        to_target=reached.reindex(last["seed"]).fillna(np.inf).to_numpy(float),
        alike=len(runs) > 1
        and np.array_equal(runs[1:], runs[:-1], equal_nan=True)
        and len(set(last["status"])) == 1,
    )


# ---- one task ----


def boards(results: Results) -> tuple[Board | None, dict[str, Board]]:
    """The board of all tasks, None where none has a target, and that of each task."""
    results = results.ended  # what is at work has no place yet
    found = {task: entries(results, task) for task in tasks_of(results)}
    of_tasks = {}
    for task, those in found.items():
        column = primary(results, task)
        of_tasks[task] = task_board(
            those,
            by_success=bool(target_of(results, task)),
            higher=column is not None and column["better"] == "higher",
        )
    declared = [those for task, those in found.items() if target_of(results, task)]
    return (overall_board(declared) if declared else None), of_tasks


def task_board(found: list[Entry], *, by_success: bool, higher: bool) -> Board:
    """Entries of one task.

    Args:
        found: in order of the table.
        by_success: whether success orders them; else the primary metric does.
        higher: whether more of the primary metric is better.
    """

    def order(entry: Entry) -> tuple[float, float]:
        return -entry.success.mean() if by_success else 0.0, _typical(entry)

    found = sorted(found, key=order)
    pairs = [
        _pair(first, second, [(first, second)], by_success)
        for first, second in combinations(found, 2)
    ]
    rows = [_row(one, by_success, higher) for one in found]
    return _placed(pd.DataFrame(rows), _tested(pairs))


def _typical(entry: Entry) -> float:
    """Median of the primary metric, turned so that less is better."""
    return float(stats.median(entry.scores)) if len(entry.scores) else np.inf


def _row(entry: Entry, by_success: bool, higher: bool) -> dict[str, Any]:
    runs, converged = len(entry.success), int(entry.success.sum())
    row: dict[str, Any] = {"task": entry.task, "label": entry.label, "runs": runs}
    if by_success:
        low, high = stats.wilson(converged, runs)
        if entry.alike:
            low = high = np.nan
        row |= {
            "converged": converged,
            "success": converged / runs,
            "success_low": float(low),
            "success_high": float(high),
        }
    if len(entry.scores):
        low, high = stats.bootstrap(entry.scores)
        turned = (_typical(entry), low, high)
        if higher:
            turned = (-turned[0], -high, -low)
        row |= dict(zip(("median", "median_low", "median_high"), turned, strict=True))
    row["gradient_equivalents"] = float(stats.median(entry.price))
    if by_success:
        row["to_target"] = float(stats.median(entry.to_target))
    return row | {"alike": entry.alike}


# ---- all tasks ----


def overall_board(found: list[list[Entry]]) -> Board:
    """All entries by mean success over tasks.

    An entry's score is over the tasks it was run on; two entries are compared on the
    tasks that both were run on.

    Args:
        found: the entries of each task that declares a target.
    """
    by_label: dict[str, list[Entry]] = {}
    for one in (one for those in found for one in those):
        by_label.setdefault(one.label, []).append(one)
    rows = [_overall_row(label, of, len(found)) for label, of in by_label.items()]
    rows.sort(key=lambda row: -row["success"])
    pairs = []
    for first, second in combinations([row["label"] for row in rows], 2):
        met = [
            (one, other)
            for one in by_label[first]
            for other in by_label[second]
            if one.task == other.task
        ]
        pairs.append(_pair(by_label[first][0], by_label[second][0], met, True))
    return _placed(pd.DataFrame(rows), _tested(pairs))


def _overall_row(label: str, of: list[Entry], tasks: int) -> dict[str, Any]:
    converged = np.array([one.success.sum() for one in of])
    # Runs that all went the same way are one observation.
    runs = np.array([1 if one.alike else len(one.success) for one in of])
    success = np.array([one.success.mean() for one in of])
    low, high = stats.wilson_mean(np.where(runs == 1, success, converged), runs)
    return {
        "label": label,
        "tasks": len(of),
        "of": tasks,
        "runs": sum(len(one.success) for one in of),
        "success": float(success.mean()),
        "success_low": max(0.0, low),
        "success_high": min(1.0, high),
    }


# ---- pairs and places ----


def _pair(
    first: Entry, second: Entry, met: Sequence[tuple[Entry, Entry]], by_success: bool
) -> dict[str, Any]:
    """Difference of two entries over the tasks where they met, paired by seed."""
    row: dict[str, Any] = {
        "first": first.label,
        "second": second.label,
        "tasks": len(met),
        "pairs": 0,
        "difference": np.nan,
        "low": np.nan,
        "high": np.nan,
        "p": np.nan,
    }
    strata = [part for part in _strata(met, by_success) if len(part)]
    if not strata:
        return row
    together = np.concatenate([part / len(part) / len(strata) for part in strata])
    row["pairs"] = len(together)
    if by_success:
        row["difference"] = float(together.sum())
        row["low"], row["high"] = stats.stratified_bootstrap(strata)
    else:
        # Share of pairs that the first wins, ties counted half.
        row["difference"] = float(np.mean((1 - np.sign(together)) / 2))
    if len(together) >= stats.FEWEST_PAIRS:
        row["p"] = stats.sign_flip(together)
    return row


def _strata(
    met: Sequence[tuple[Entry, Entry]], by_success: bool
) -> Iterator[np.ndarray]:
    """Paired differences on each task where two entries met."""
    for one, other in met:
        _, here, there = np.intersect1d(one.seeds, other.seeds, return_indices=True)
        if one.alike and other.alike:
            here, there = here[:1], there[:1]
        if by_success:
            yield one.success[here].astype(float) - other.success[there]
        elif len(one.scores) and len(other.scores):
            yield stats.signed_ranks(one.scores[here], other.scores[there])


def _tested(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Pairs with Holm's adjusted p values over all of them, and the verdict."""
    pairs = pd.DataFrame(rows)
    if pairs.empty:
        return pairs
    pairs["p_holm"] = stats.holm(pairs["p"].to_numpy(float))
    return pairs


def _placed(table: pd.DataFrame, pairs: pd.DataFrame) -> Board:
    """The table with places: one more than the number of entries that beat it."""
    labels = list(table["label"])
    beats = np.zeros((len(labels), len(labels)), dtype=bool)
    by_success = "success" in table
    verdicts = []
    for pair in pairs.to_dict("records"):
        first, second = labels.index(pair["first"]), labels.index(pair["second"])
        difference = pair["difference"]
        ahead = difference > 0 if by_success else difference > 0.5
        if np.isnan(pair["p_holm"]):
            verdicts.append(FOR_WANT_OF_PAIRS)
            continue
        if by_success:
            enough = abs(difference) >= MARGIN - 1e-9  # 0.05 is not exact in binary
        else:
            enough = max(difference, 1 - difference) >= WINS
        if pair["p_holm"] < LEVEL and enough:
            beats[(first, second) if ahead else (second, first)] = True
            verdicts.append("apart")
        else:
            verdicts.append("share a place")
    if len(pairs):
        pairs = pairs.assign(verdict=verdicts)
    table = table.assign(
        place=1 + beats.sum(axis=0), groups=stats.groups(beats | beats.T)
    )
    table = table.sort_values("place", kind="stable", ignore_index=True)
    return Board(table, pairs)

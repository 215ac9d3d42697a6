"""The answer: which method to use, at which cost, and how sure that is."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from mmbench.analysis.leaderboard import (
    INSTANCES,
    REPETITIONS,
    SEEDS,
    UNRANKED,
    Board,
    Boards,
    place_in_words,
    separated_best,
)
from mmbench.analysis.numbers import number, percent, percents
from mmbench.analysis.paired_test import least_runs
from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.results import (
    Results,
    columns_of,
    primary_column,
    target_of,
)

MAX_NAMES = 5  # labels that are named in a row; of more the number is said
RATIO = 2  # of costs to the least one, up to which a method counts as cheap

PROSE = (
    "“First” names the first row of the board of each task, with the share of its runs "
    "that succeed or, where no run does, its median of the first metric, and the 95 % "
    "confidence interval for fresh {drawn}. The cost is the median that a run spends "
    "until it has reached the target, in gradient-equivalents. “Not shown to be worse” "
    "lists the methods that no other is shown to beat on the board: with the data at "
    "hand, each of them could be the best one."
)
DRAWN = {SEEDS: "seeds", INSTANCES: "instances", REPETITIONS: "tunings"}

Row = Mapping[Hashable, Any]  # of a board's table


def section(results: Results, made: Boards) -> Section | None:
    """Say which method to use over all tasks and on each; None without a board.

    Args:
        results: the results.
        made: their boards.
    """
    boards = [
        (name, board)
        for name, board in made.by_task.items()
        if set(board.unplaced.values()) != {UNRANKED} or len(board.placed)
    ]
    if not boards:
        return None
    several = len(made.overall) > 1
    sentences = [
        sentence
        for board in made.overall
        if len(board.tasks) > 1
        for sentence in _over_tasks(board, made, with_budget=several)
    ]
    rows = [_of_task(results, name, board) for name, board in boards]
    columns = [
        *("Task", "First", "#Success, or median", "#Cost to target", "How sure"),
        *("Not shown to be worse", "A run succeeds if"),
    ]
    units = {board.units for _, board in boards}
    drawn = " or ".join(words for unit, words in DRAWN.items() if unit in units)
    return Section(
        title="Which method to use",
        anchor="answer",
        prose=sentences,
        subsections=[
            Subsection(
                title="On each task" if len(boards) > 1 else "",
                prose=(PROSE.format(drawn=drawn),),
                tables=[Table("", columns, rows)],
            )
        ],
    )


def _over_tasks(board: Board, made: Boards, *, with_budget: bool) -> list[str]:
    """Return what a board over tasks says, in sentences."""
    # Those without a place, if none has one.
    rows = (board.placed if len(board.placed) else board.table).to_dict("records")
    first, tasks = rows[0], len(board.tasks)
    where = f"Over {tasks} tasks"
    if with_budget:
        where += f" with {board.budget}"
    if not first["success"]:
        return [f"{where}, no run of any method reached a target."]
    shown = _leading(board, rows)
    if shown["label"] == separated_best(board):
        verdict = f"{where} and {len(rows)} methods, use “{shown['label']}”"
    elif len(rows) > 1:
        verdict = f"{where}, no method is shown to be the best of {len(rows)}. "
        if shown["place_low"] == 1:
            verdict += "Of those that no other is shown to beat, "
        verdict += f"“{shown['label']}” has the most success"
    else:
        verdict = f"{where} there is one method, “{first['label']}”"
    return [
        f"{verdict}: it reaches the target in {percent(shown['success'])} of its runs "
        f"(95 % confidence interval: {_percent_interval(shown)}).",
        f"How sure is that? {_how_sure(board, shown)}",
        _at_which_cost(board, made, shown),
    ]


def _leading(board: Board, rows: Sequence[Row]) -> Row:
    """Return the first row that no other is shown to beat; the first if there is none.

    It is the method apart from all others, where one is.
    """
    best = separated_best(board)
    unbeaten = (row for row in rows if row["place_low"] == 1)
    return next((row for row in rows if row["label"] == best), next(unbeaten, rows[0]))


def _how_sure(board: Board, shown: Row) -> str:
    """Say what a board over tasks tells of the method that is shown."""
    runs, needed = sum(board.seeds), least_runs(board.thresholds[1])
    if reason := board.unplaced.get(shown["label"]):
        return f"It has no place, as {reason}."
    if runs < needed:
        return (
            f"Not at all: {runs} {board.units} are too few for a verdict on a board of "
            f"capacity {board.capacity}, which takes {needed}."
        )
    placed = board.placed
    if separated_best(board):
        text = (
            f"Each of the {len(placed) - 1} others is shown to be worse on a "
            f"board of capacity {board.capacity}."
        )
    elif beaten := len(placed) - shown["place_high"]:
        unbeaten = placed[placed["place_low"] == 1]
        others = [label for label in unbeaten["label"] if label != shown["label"]]
        text = (
            f"Its place is {place_in_words(shown)} of {len(placed)}: {beaten} are "
            f"shown to be worse; of the rest, {_names(others)} could as well be the "
            "best."
        )
    else:
        text = (
            f"Its place is {place_in_words(shown)} of {len(placed)}: no method is "
            "shown to be worse, so that any could be best."
        )
    labels = list(placed["label"])
    if above := labels[: labels.index(shown["label"])]:
        named = _names([f"“{label}”" for label in above])
        text += (
            f" {named} {'has' if len(above) == 1 else 'have'} more success, but a "
            "comparison of two methods counts their costs as well."
        )
    return text


def _at_which_cost(board: Board, made: Boards, first: Row) -> str:
    """Say at which cost a method reaches the targets, against the cheapest ones."""
    label, near, reached, solved = first["label"], 0, 0, 0
    for one in made.by_task.values():
        if one.task not in board.tasks or one.budget not in board.budget.split(" or "):
            continue
        costs = dict(zip(one.table["label"], one.table["to_target"], strict=True))
        least = min(costs.values())
        solved += np.isfinite(least)
        reached += np.isfinite(costs.get(label, np.inf))
        near += bool(np.isfinite(least) and costs.get(label, np.inf) <= RATIO * least)
    text = "At which cost? On no task do more than half of its runs reach the target."
    if reached:
        text = (
            f"At which cost? On {reached} of {len(board.tasks)} tasks more than half "
            f"of its runs reach the target; on {near} of them it needs at most {RATIO} "
            "times the cost of the cheapest method."
        )
    if unsolved := len(board.tasks) - solved:
        text += f" On {unsolved} tasks no method gets more than half of its runs there."
    return text


def _of_task(results: Results, name: str, board: Board) -> list[TableCell]:
    """Return the row of a task: its first method, its numbers, and how sure it is."""
    first = board.table.to_dict("records")[0]
    task, label = board.task, first["label"]
    has_target, column = bool(target_of(results, task)), primary_column(results, task)
    others = board.placed[1:]
    rivals = list(others["label"][others["place_low"] == 1])
    target = _titles_of_target(results, task) if has_target else "–"
    reached = has_target and board.table["converged"].any()
    result, words = TableCell("–"), [_sure_of_task(board, first, rivals)]
    if reached:
        interval = _percent_interval(first)
        text = f"{percent(first['success'])} ({interval})"
        result = TableCell(text, first["success"])
    elif "median" in first and column:
        low, high = number(first["median_low"]), number(first["median_high"])
        text = f"{number(first['median'])} ({low} to {high})"
        result = TableCell(text, first["median"])
        missed = "no run reached the target: " if has_target else ""
        words.insert(0, f"{missed}by {column['name']}")
    cost = first.get("to_target", np.inf)
    return [
        TableCell(name, code=True),
        TableCell(label, label=True),
        result,
        TableCell(number(cost) if np.isfinite(cost) else "–", cost),
        TableCell("; ".join(words)),
        TableCell(_names(rivals) if rivals else "–"),
        TableCell(target),
    ]


def _titles_of_target(results: Results, task: str) -> str:
    """Return the target of a task with the titles of its columns in place of names."""
    titles = {column["name"]: column["title"] for column in columns_of(results, task)}
    bounds = []
    for bound in target_of(results, task).split(" and "):
        name, space, rest = bound.partition(" ")
        rest = rest.replace("≤", "at most").replace("≥", "at least")
        bounds.append(f"{titles.get(name, name)}{space}{rest}")
    return " and ".join(bounds)


def _sure_of_task(board: Board, first: Row, rivals: Sequence[str]) -> str:
    """Return in few words what a board of one task tells of its first row."""
    needed, placed = least_runs(board.thresholds[1]), len(board.placed)
    if first["reason"]:
        return f"no place, as {first['reason']}"
    if board.seeds[0] < needed:
        return f"too few {board.units}: {board.seeds[0]}, not {needed}"
    if separated_best(board) == first["label"]:
        return "apart from all others"
    place = f"place {place_in_words(first)} of {placed}"
    if first["place_low"] > 1:
        return f"{place}, as cheaper ones with less success are apart"
    if len(rivals) == placed - 1:
        return f"{place}: no method is shown to be worse"
    return place


def _percent_interval(row: Row) -> str:
    """Return the interval of success in words."""
    if np.isnan(row["success_low"]):
        return "all runs are identical"
    return f"{percents(row['success_low'], row['success_high'])} %"


def _names(labels: Sequence[str]) -> str:
    """Return labels in words, or their number beyond the first ones."""
    if not labels:
        return "none of them"
    named = ", ".join(labels[:MAX_NAMES])
    more = len(labels) - MAX_NAMES
    return f"{named} and {more} more" if more > 0 else named

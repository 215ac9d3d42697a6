"""The leaderboard: success, ranks with ties, and costs, with confidence intervals."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mmbench.analysis import stats, style
from mmbench.analysis.leaderboard import (
    Board,
    Boards,
    pairs_of,
    place_in_words,
    separated_best,
    table_of,
)
from mmbench.analysis.numbers import number, percent, percents
from mmbench.analysis.paired_test import (
    LEVEL,
    MOST_SIMULATED,
    least_runs,
    power,
)
from mmbench.analysis.report.sections.base import (
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.results import (
    Results,
    columns_of,
    describe_starts,
    is_of,
    labels_of,
    primary_column,
    real_score_of,
    rows_of,
    target_in_words,
    target_of,
)
from mmbench.core.description import digest
from mmbench.engine.cell import ENGINE_VERSION

PROSE = (
    "A run succeeds if it ends with the target of its task met at three or more "
    "consecutive recorded steps (status “converged”). Runs that diverged or failed "
    "count as unsuccessful. “Success” is the share of successful runs. Rows are in the "
    "order of their own numbers. “Place” is what the tests of every two algorithms "
    "allow: “1 to 3” means that no algorithm is shown to be better, and that all but "
    "two are shown to be worse."
)
CAPTION = (
    "Intervals are 95 % confidence intervals. A place is an interval, too: from one "
    "plus the number of algorithms that are apart above it to the number of all less "
    "those apart below it, by sign-flip tests with Bonferroni’s correction; bold marks "
    "one that is apart from all others."
)
LEFT_OUT = (
    "The {} comparisons of two algorithms are in comparisons.csv alone, which mmbench "
    "report writes."
)
UNFINISHED = "Unfinished cells are not ranked, and this section leaves them out."
PICTURE = "0 to 100 %"  # heading of a picture of success
REAL = "real images"  # the name of a real score in tables
DETAILS = (
    "How intervals, places and costs are computed",
    "All intervals are 95 % confidence intervals for fresh seeds on the same tasks or, "
    "where a board has several instances or tunings, for fresh ones of these; "
    "their coverage was computed and is at least 94 %. The interval of a share of runs "
    "is Clopper and Pearson’s. For a mean over tasks it is the same at the number of "
    "runs with which a share would have the estimated variance. The interval of a "
    "median is between two runs in order; fewer than six runs give none, so that its "
    "ends are infinite. Tasks on which all runs are identical are taken as known.",
    "Two algorithms are compared by all their runs on a task, ranked together: failed "
    "runs, all tied, are worst; then come the runs that missed the target, by the "
    "first metric; then those that reached it, by their cost to it. Without a target, "
    "all that did not fail are ranked by the metric. The differences of ranks of the "
    "runs with the same seed are tested by flipping their signs. Where fewer than "
    "eight seeds have runs of both, the rank sums of all runs are tested. Instances of "
    "one family are one task, and repetitions of a tuning one entry: differences are "
    "summed within each instance or repetition, and the signs of the sums are flipped. "
    "Over tasks, the differences of each task are divided by its number of pairs.",
    f"A pair is “apart as a pair” if p ≤ {LEVEL:g}, which depends on no other "
    "algorithm. It is “apart on this board” if p is at most that divided by the number "
    "of pairs of as many algorithms as the board may have (its capacity), so that a "
    "board of equal algorithms has a pair apart with a probability of 5 % at most, and "
    "an algorithm that joins changes no verdict. Places are from the verdicts on the "
    "board.",
    "Costs are counted in gradient-equivalents: 1 for a gradient of one player, 2 for "
    "a Hessian-vector product, ½ for an evaluation of the losses. “Cost” is the median "
    "over runs of all that a run spent. “Cost to target” is the median of what a run "
    "had spent when it reached the target and kept it; a dash means that no more than "
    "half of the runs did.",
)
MAX_COMPARISONS = 2000  # on the page; more are in the file alone
MAX_TASKS = 12  # with a column of the board over tasks
GAINS = (0.1, 0.2, 0.4)  # differences of success whose power is printed

Row = Mapping[Hashable, Any]  # of a board's table


def section(results: Results, made: Boards) -> Section | None:
    """Rank the algorithms over all tasks and on each; None if no cell is finished.

    Args:
        results: the results.
        made: their boards.
    """
    if not made.by_task:
        return None
    comparisons = sum(
        len(board.pairs) for board in (*made.overall, *made.by_task.values())
    )
    prose, has_all = [PROSE], comparisons <= MAX_COMPARISONS
    if results.unfinished:
        prose.append(UNFINISHED)
    if not has_all:
        prose.append(LEFT_OUT.format(number(comparisons)))
    subsections = [
        *(_overall_subsection(results, board, made) for board in made.overall),
        *(
            _task_subsection(results, name, board)
            for name, board in made.by_task.items()
        ),
    ]
    if has_all:
        subsections = [
            replace(part, tables=[*part.tables, *_pairs(board)])
            for part, board in zip(
                subsections, (*made.overall, *made.by_task.values()), strict=True
            )
        ]
    files = {"leaderboard.csv": table_of(made)}
    if len(pairs := pairs_of(made)):
        files["comparisons.csv"] = pairs
    return Section(
        title="Leaderboard",
        anchor="leaderboard",
        prose=prose,
        details=DETAILS,
        subsections=subsections,
        files=files,
    )


# ---- all tasks ----


def _overall_subsection(results: Results, board: Board, made: Boards) -> Subsection:
    styles = style.label_styles(labels_of(results))
    unfinished = {
        (results.footers[key]["task"], results.footers[key]["label"])
        for key in results.unfinished
    }
    by_task_and_label: dict[tuple[str, str], Row] = {
        (one.task, row["label"]): row
        for one in made.by_task.values()
        if len(made.overall) == 1 or one.budget == board.budget
        for row in one.table.to_dict("records")
    }
    rows, best = [], separated_best(board)
    has_cost = bool(board.table["gradient_equivalents"].notna().any())
    shown = board.tasks if len(board.tasks) <= MAX_TASKS else ()
    for row in board.table.to_dict("records"):
        cells = [
            *_place_and_label(row),
            *_success(row, is_best=row["label"] == best),
            _interval(row, styles[row["label"]]),
        ]
        cost = row["gradient_equivalents"]
        if has_cost:
            cells.append(TableCell(number(cost), cost))
        for task in shown:
            where = task, row["label"]
            if where in by_task_and_label:
                cells.append(_count(by_task_and_label[where]))
            else:
                absent = "unfinished" if where in unfinished else "not run"
                cells.append(TableCell(absent, -1.0))
        rows.append(cells)
    columns = ["#Place", "Algorithm", "#Success", "#95 % interval", PICTURE]
    columns += ["#Cost"] if has_cost else []
    names = _short_names(board.tasks)
    title = "All tasks" if len(board.tasks) > 1 else ""
    if len(made.overall) > 1:
        title = f"All tasks with {board.budget}"
    by_target: dict[str, list[str]] = {}
    for task in board.tasks:
        by_target.setdefault(target_in_words(results, task), []).append(names[task])
    targets = "; ".join(
        f"on {', '.join(same)}, {target}" for target, same in by_target.items()
    )
    prose = [f"A run succeeds {targets}."]
    costs = ", the sum of the tasks’ median costs" if has_cost else ""
    counts = ", and the number of successful runs on each task" if shown else ""
    if not board.table["success"].any():
        prose.append("No run reached any target.")
    elif len(board.placed) > 1:
        prose.append(
            "Where both of two algorithms reach the target, its cost counts: one with "
            "more success at a much higher cost may have the worse place."
        )
    return Subsection(
        title=title,
        prose=prose,
        notes=_notes(results, board),
        tables=[
            Table(
                f"Mean success over tasks{costs}{counts}.",
                [*columns, *(f"#{names[task]}" for task in shown)],
                rows,
            ),
        ],
    )


def _place_and_label(row: Row) -> list[TableCell]:
    place = place_in_words(row)
    sort = float(row["place_low"]) if place else np.inf
    return [TableCell(place or "–", sort), TableCell(row["label"], label=True)]


def _notes(results: Results, board: Board) -> list[str]:
    """Return what stands under a board: who has no place, what it tells, versions."""
    by_reason: dict[str, list[str]] = {}
    for label, reason in board.unplaced.items():
        by_reason.setdefault(reason, []).append(f"“{label}”")
    notes = [
        f"Without a place: {', '.join(labels)}, as {reason}."
        for reason, labels in by_reason.items()
    ]
    if len(board.placed) > 1:
        notes.append(_resolution(board))
    if versions := _versions(results, board):
        notes.append(versions)
    return notes


def _versions(results: Results, board: Board) -> str:
    """Return the versions by which a board can be compared with another one."""
    known = [
        one
        for one in results.footers.values()
        if "key" in one
        and "provenance" in one
        and any(is_of(one, task) for task in board.tasks)
    ]
    if not known:
        return ""
    engines = {
        str(ENGINE_VERSION)
        if digest((ENGINE_VERSION, one["cell"])) == one["key"]
        else "another"
        for one in known
    }
    packages = {str(one["provenance"].get("mmbench", "unknown")) for one in known}
    parts = {"mmbench": packages, "engine": engines}
    if board.task:
        parts["task"] = {str(one["cell"]["task"].get("version", 1)) for one in known}
    words = (f"{name} {' and '.join(sorted(found))}" for name, found in parts.items())
    return f"Versions: {', '.join(words)}."


def _resolution(board: Board) -> str:
    """Say which differences a board can tell, at its number of seeds."""
    on_board, runs = board.thresholds[1], sum(board.seeds)
    needed = least_runs(on_board)
    units = board.units
    text = (
        f"Two algorithms are apart on this board, of capacity {board.capacity}, if "
        f"p ≤ {number(on_board)}. This takes at least {needed} {units}"
    )
    if runs < needed:
        text += f"; here are {runs}, which is too few, so that all places are shared"
    found = [power(board.seeds, gain, board.thresholds) for gain in GAINS]
    pair, all_pairs = (
        ", ".join(percent(one[level]) for one in found) for level in range(2)
    )
    at_least = "at least " if runs > MOST_SIMULATED else ""
    return (
        f"{text}. With {runs} {units}, an algorithm that succeeds more often by 10, 20 "
        f"or 40 points around 50\u00a0% is found better as a pair in {at_least}{pair} "
        f"of cases, and on this board in {at_least}{all_pairs}."
    )


def _success(row: Row, *, is_best: bool) -> list[TableCell]:
    low, high = row["success_low"], row["success_high"]
    return [
        TableCell(percent(row["success"]), row["success"], best=is_best),
        TableCell(percents(low, high), low),
    ]


def _count(row: Row) -> TableCell:
    """Return the number of successful runs."""
    text = f"{row['converged']}/{row['runs']}"
    return TableCell(text, row["success"], shade=row["success"])


def _short_names(tasks: Sequence[str]) -> dict[str, str]:
    """Return the tasks without their settings, except where two would be the same."""
    names = [task.partition("[")[0] for task in tasks]
    return {
        task: name if names.count(name) == 1 else task
        for task, name in zip(tasks, names, strict=True)
    }


def _interval(row: Row, label_style: style.LabelStyle) -> TableCell:
    """Return the success of an algorithm and its interval as a picture."""
    low, value, high = row["success_low"], row["success"], row["success_high"]
    text = f"{percent(value)} ({percents(low, high)})"
    return TableCell(
        text, value, svg=style.interval(low, value, high, label_style.colour)
    )


def _pairs(board: Board) -> list[Table]:
    """Return the table of all comparisons of two algorithms."""
    rows = [
        [
            TableCell(row["first"], label=True),
            TableCell(row["second"], label=True),
            TableCell(percent(row["improvement"]), row["improvement"]),
            TableCell(str(row["pairs"]), row["pairs"]),
            TableCell(row["test"] or "none"),
            TableCell(_p_value(row["p"]), row["p"]),
            TableCell(
                f"{row['verdict']}: {row['better']} is better"
                if row["verdict"].startswith("apart")
                else f"{row['verdict']}: {row['reason']}"
                if row["reason"]
                else row["verdict"]
            ),
        ]
        for row in board.pairs.to_dict("records")
    ]
    compared = ["Algorithm", "Compared with", "#Better in", "#Pairs", "Test", "#p"]
    caption = (
        "Comparison of every two algorithms; “better in” is the share of all pairs of "
        "runs, one of each, in which the first has the better one"
    )
    return [Table(caption, [*compared, "Verdict"], rows, folded=True)] if rows else []


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "–"
    return number(p) if p < 1e-3 else f"{p:.4f}"


# ---- one task ----


def _task_subsection(results: Results, name: str, board: Board) -> Subsection:
    task = board.task
    target, column = target_of(results, task), primary_column(results, task)
    footer = next(footer for footer in results.footers.values() if is_of(footer, task))
    prose = f"{footer['game']['summary']} {_ordered_by(results, board)}"
    rows, best = [], separated_best(board)
    for row in board.table.to_dict("records"):
        cells, is_best = _place_and_label(row), row["label"] == best
        if target:
            cells += [_count(row), *_success(row, is_best=is_best)]
        else:
            cells.append(TableCell(str(row["runs"]), row["runs"]))
        if "median" in row:
            low, high = number(row["median_low"]), number(row["median_high"])
            cells += [
                TableCell(
                    number(row["median"]),
                    row["median"],
                    best=is_best and not target,
                ),
                TableCell(f"{low} to {high}", row["median_low"]),
            ]
        cost = row["gradient_equivalents"]
        cells.append(TableCell(number(cost), cost))
        if target:
            to_target = row["to_target"]
            text = "–" if to_target == float("inf") else number(to_target)
            cells.append(TableCell(text, to_target))
        rows.append(cells)
    columns = ["#Place", "Algorithm"]
    columns += ["#Converged", "#Success", "#95 % interval"] if target else ["#Runs"]
    if column:
        score = real_score_of(results, task, column["name"])
        real = "" if score is None else f" ({REAL}: {number(score)})"
        columns += [f"#Median {column['name']}{real}", "#95 % interval"]
    columns += ["#Cost", "#Cost to target"] if target else ["#Cost"]
    notes = _notes(results, board)
    if starts := describe_starts(results, task):
        notes.append(" ".join(f"“{label}” {where}." for label, where in starts.items()))
    if board.table["alike"].any():
        labels = board.table["label"][board.table["alike"]]
        notes.append(
            f"The runs of {', '.join(f'“{label}”' for label in labels)} are identical "
            "for all seeds, so they count as one observation."
        )
    return Subsection(
        title=name,
        prose=[prose],
        notes=notes,
        tables=[
            Table("", columns, rows),
            *_metrics(results, task, list(board.table["label"])),
        ],
    )


def _ordered_by(results: Results, board: Board) -> str:
    """Say what orders the entries of a task: its target in words, or its metric."""
    column = primary_column(results, board.task)
    if not target_of(results, board.task):
        if column is None:
            return "Neither a target nor a metric ranks the algorithms."
        return (
            "The task declares no target, so algorithms are ordered by the "
            f"{column['title']} at the end of the runs ({board.budget})."
        )
    target = target_in_words(results, board.task)
    text = f"A run ({board.budget}) succeeds {target}."
    if column and not board.table["converged"].any():
        return (
            f"{text} No run did, so that the {column['title']} at the end of the runs "
            "orders the algorithms."
        )
    if column:
        return f"{text} Medians are of the {column['title']} at the end of the runs."
    return text


def _metrics(results: Results, task: str, labels: list[str]) -> list[Table]:
    """Return the table of the medians of all metrics at the end, with real scores."""
    columns = columns_of(results, task)
    if len(columns) < 2:
        return []
    frame = rows_of(results.finished, task)
    last = frame.groupby(["key", "seed"], sort=False).tail(1)
    by_label = dict(list(last.groupby("label", sort=False)))
    scores = [real_score_of(results, task, column["name"]) for column in columns]
    rows = []
    if any(score is not None for score in scores):
        values = [np.nan if score is None else score for score in scores]
        rows.append([TableCell(REAL), *_numbers(values)])
    for label in labels:
        runs = by_label[label]
        known = [runs[column["name"]].dropna().to_numpy(float) for column in columns]
        medians = [
            float(stats.median(values)) if len(values) else np.nan for values in known
        ]
        rows.append([TableCell(label, label=True), *_numbers(medians)])
    arrows = {"lower": " ↓", "higher": " ↑", "neither": ""}
    headings = [f"#{column['name']}{arrows[column['better']]}" for column in columns]
    caption = (
        "All metrics at the last recorded step: medians over the runs that have a "
        "value (↓ lower is better, ↑ higher is better)"
    )
    return [Table(caption, ["Algorithm", *headings], rows, folded=True)]


def _numbers(values: Sequence[float]) -> list[TableCell]:
    return [TableCell(number(value), value) for value in values]

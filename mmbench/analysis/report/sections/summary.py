"""The leaderboard: success, ranks with ties, and costs, with confidence intervals."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmbench.analysis import stats, style
from mmbench.analysis.leaderboard import (
    DIFFERENT,
    MIN_SHARE_OF_WINS,
    MIN_SUCCESS_DIFFERENCE,
    NOT_TESTED,
    SIGNIFICANCE_LEVEL,
    TIED,
    Board,
    boards,
    separated_best,
    table_of,
)
from mmbench.analysis.numbers import number, percent, percents
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
    labels_of,
    primary_column,
    real_score_of,
    target_of,
)

PROSE = (
    "A run succeeds if it ends with the target of its task met at three or more "
    "consecutive recorded steps (status “converged”). Runs that diverged or failed "
    "count as unsuccessful. “Success” is the share of successful runs. The rank of an "
    "algorithm is one plus the number of algorithms that beat it in a paired test; "
    "algorithms that have a letter of “Group” in common do not differ significantly."
)
CAPTION = (
    "Intervals are 95 % confidence intervals. Algorithms with a common letter of "
    "“Group” do not differ significantly in paired permutation tests with Holm’s "
    "correction; bold marks one that differs from all others."
)
UNFINISHED = "Unfinished cells are not ranked, and this section leaves them out."
PICTURE = "0 to 100 %"  # heading of a picture of success
REAL = "real images"  # the name of a real score in tables
DETAILS = (
    "How intervals, ranks and costs are computed",
    "All intervals are 95 % confidence intervals for fresh seeds on the same tasks; "
    "their coverage was computed and is at least 94 %. The interval of a share of runs "
    "is Clopper and Pearson’s. For a mean over tasks, and for a mean difference of "
    "pairs of runs, it is the same at the number of runs with which a share would have "
    "the estimated variance. The interval of a median is between two runs in order; "
    "fewer than six runs give none, so that its ends are infinite. Tasks on which all "
    "runs are identical are taken as known.",
    "Runs with the same seed form a pair. One algorithm beats another if a permutation "
    f"test over these pairs gives p < {SIGNIFICANCE_LEVEL:g} after Holm’s correction "
    "for all pairs of algorithms in the table, and if their success differs by at "
    f"least {100 * MIN_SUCCESS_DIFFERENCE:.0f} percentage points. On a task without a "
    "target, the test uses signed ranks of the metric, and the winner must have the "
    f"better value in at least {100 * MIN_SHARE_OF_WINS:.0f} % of the pairs. With "
    f"fewer than {stats.MIN_PAIRS} pairs no test is made, and neither algorithm beats "
    "the other.",
    "Costs are counted in gradient-equivalents: 1 for a gradient of one player, 2 for "
    "a Hessian-vector product, ½ for an evaluation of the losses. “Cost” is the median "
    "over runs of all that a run spent. “Cost to target” is the median of what a run "
    "had spent when it reached the target and kept it; a dash means that no more than "
    "half of the runs did.",
)
VERDICTS = {
    DIFFERENT: "significantly different",
    TIED: "not significantly different",
    NOT_TESTED: NOT_TESTED,
}

Row = Mapping[Hashable, Any]  # of a board's table


def section(results: Results) -> Section | None:
    """Rank the algorithms over all tasks and on each; None if no cell is finished."""
    overall, by_task = boards(results)
    if not by_task:
        return None
    subsections = [
        _task_subsection(results, task, board) for task, board in by_task.items()
    ]
    pairs = [board.pairs.assign(task=task) for task, board in by_task.items()]
    if overall:
        subsections.insert(0, _overall_subsection(results, overall, by_task))
        pairs.insert(0, overall.pairs.assign(task="all"))
    files = {"leaderboard.csv": table_of(overall, by_task)}
    pairs = [table for table in pairs if len(table)]
    if pairs:
        files["comparisons.csv"] = pd.concat(pairs, ignore_index=True)
    return Section(
        title="Leaderboard",
        anchor="leaderboard",
        prose=(PROSE, UNFINISHED) if results.unfinished else (PROSE,),
        details=DETAILS,
        subsections=subsections,
        files=files,
    )


# ---- all tasks ----


def _overall_subsection(
    results: Results, board: Board, by_task: dict[str, Board]
) -> Subsection:
    styles = style.label_styles(labels_of(results))
    tasks = [task for task in by_task if target_of(results, task)]
    unfinished = {
        (results.footers[key]["task"], results.footers[key]["label"])
        for key in results.unfinished
    }
    by_task_and_label: dict[tuple[str, str], Row] = {
        (row["task"], row["label"]): row
        for task in tasks
        for row in by_task[task].table.to_dict("records")
    }
    rows, best = [], separated_best(board.table)
    for row in board.table.to_dict("records"):
        cells = [
            *_rank_and_label(row),
            *_success(row, is_best=row["label"] == best),
            _interval(row, styles[row["label"]]),
            TableCell(row["groups"]),
        ]
        for task in tasks:
            where = task, row["label"]
            if where in by_task_and_label:
                cells.append(_count(by_task_and_label[where]))
            else:
                absent = "unfinished" if where in unfinished else "not run"
                cells.append(TableCell(absent, -1.0))
        rows.append(cells)
    columns = ["#Rank", "Algorithm", "#Success", "#95 % interval", PICTURE, "Group"]
    names = _short_names(tasks)
    notes = []
    if (board.table["tasks"] < board.table["of"]).any():
        notes.append(
            "Not every algorithm was run on every task. The success of an algorithm is "
            "the mean over the tasks on which it was run, and two algorithms are "
            "compared on the tasks on which both were run."
        )
    return Subsection(
        title="All tasks" if len(tasks) > 1 else "",
        notes=notes,
        tables=[
            Table(
                "Mean success over tasks, and the number of successful runs on each "
                "task.",
                [*columns, *(f"#{names[task]}" for task in tasks)],
                rows,
            ),
            *_pairs(board, by_success=True),
        ],
    )


def _rank_and_label(row: Row) -> list[TableCell]:
    return [
        TableCell(str(row["place"]), row["place"]),
        TableCell(row["label"], label=True),
    ]


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


def _pairs(board: Board, *, by_success: bool) -> list[Table]:
    """Return the table of all comparisons of two algorithms, if there are any."""
    if board.pairs.empty:
        return []
    rows = []
    for row in board.pairs.to_dict("records"):
        cells = [
            TableCell(row["first"], label=True),
            TableCell(row["second"], label=True),
        ]
        if by_success:
            cells += [
                TableCell(_points(row["difference"]), row["difference"]),
                TableCell(
                    f"{_points(row['low'])} to {_points(row['high'])}", row["low"]
                ),
            ]
        else:
            cells.append(TableCell(percent(row["difference"]), row["difference"]))
        cells += [
            TableCell(str(row["pairs"]), row["pairs"]),
            TableCell(_p_value(row["p"]), row["p"]),
            TableCell(_p_value(row["p_holm"]), row["p_holm"]),
            TableCell(VERDICTS[row["verdict"]]),
        ]
        rows.append(cells)
    if by_success:
        compared = ["#Difference of success (points)", "#95 % interval"]
    else:
        compared = ["#Pairs won"]
    tested = ["#Pairs", "#p", "#p after correction", "Verdict"]
    columns = ["Algorithm", "Compared with", *compared, *tested]
    return [Table("Comparison of every two algorithms", columns, rows, folded=True)]


def _points(share: float) -> str:
    """Format a difference of shares in percentage points."""
    return "–" if np.isnan(share) else f"{100 * share:+.0f}".replace("-", "−")


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


# ---- one task ----


def _task_subsection(results: Results, task: str, board: Board) -> Subsection:
    target, column = target_of(results, task), primary_column(results, task)
    footer = next(
        footer for footer in results.footers.values() if footer["task"] == task
    )
    prose = footer["game"]["summary"]
    if target:
        prose += f" The target is {_explain(results, task, target)}."
        if column:
            prose += f" Medians are of the {column['title']} at the end of the runs."
    elif column:
        prose += (
            " The task declares no target, so algorithms are ordered by the "
            f"{column['title']} at the end of the runs."
        )
    else:
        prose += " Neither a target nor a metric ranks the algorithms."
    rows, best = [], separated_best(board.table)
    for row in board.table.to_dict("records"):
        cells, is_best = _rank_and_label(row), row["label"] == best
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
        cells.append(TableCell(row["groups"]))
        rows.append(cells)
    columns = ["#Rank", "Algorithm"]
    columns += ["#Converged", "#Success", "#95 % interval"] if target else ["#Runs"]
    if column:
        score = real_score_of(results, task, column["name"])
        real = "" if score is None else f" ({REAL}: {number(score)})"
        columns += [f"#Median {column['name']}{real}", "#95 % interval"]
    columns += ["#Cost", "#Cost to target", "Group"] if target else ["#Cost", "Group"]
    notes = []
    if starts := describe_starts(results, task):
        notes.append(" ".join(f"“{label}” {where}." for label, where in starts.items()))
    if board.table["alike"].any():
        labels = board.table["label"][board.table["alike"]]
        notes.append(
            f"The runs of {', '.join(f'“{label}”' for label in labels)} are identical "
            "for all seeds, so they count as one observation."
        )
    return Subsection(
        title=task,
        prose=[prose],
        notes=notes,
        tables=[
            Table("", columns, rows),
            *_metrics(results, task, list(board.table["label"])),
            *_pairs(board, by_success=bool(target)),
        ],
    )


def _explain(results: Results, task: str, target: str) -> str:
    """Return a target with the titles of the columns that it names."""
    names = re.findall(r"\w+", target)
    titles = [
        f"{column['name']}: {column['title']}"
        for column in columns_of(results, task)
        if column["name"] in names and column["name"] != column["title"]
    ]
    bounds = re.sub(r" ([≤≥]) ", "\u00a0\\1\u00a0", target)
    return f"{bounds} ({'; '.join(titles)})" if titles else bounds


def _metrics(results: Results, task: str, labels: list[str]) -> list[Table]:
    """Return the table of the medians of all metrics at the end, with real scores."""
    columns = columns_of(results, task)
    if len(columns) < 2:
        return []
    frame = results.finished.frame
    last = frame[frame["task"] == task].groupby(["key", "seed"], sort=False).tail(1)
    scores = [real_score_of(results, task, column["name"]) for column in columns]
    rows = []
    if any(score is not None for score in scores):
        values = [np.nan if score is None else score for score in scores]
        rows.append([TableCell(REAL), *_numbers(values)])
    for label in labels:
        runs = last[last["label"] == label]
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

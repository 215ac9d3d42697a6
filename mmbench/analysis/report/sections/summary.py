"""Summary: who reaches the targets, with intervals and shared places."""

import numpy as np
import pandas as pd

from mmbench.analysis import stats
from mmbench.analysis.leaderboard import LEVEL, MARGIN, WINS, Board, boards
from mmbench.analysis.report import style
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
    number,
    percent,
    percents,
)
from mmbench.analysis.results import (
    Results,
    columns_of,
    ideal_of,
    labels_of,
    primary,
    starts_of,
    target_of,
)

READING = (
    "A run succeeds when the target of its task held at its last three records or "
    "more (status “converged”); runs that diverged or broke down stay in every count "
    "as runs that did not. Success is the share of runs, beside it its 95 % interval. "
    "An entry’s place is one more than the number of entries that beat it; entries "
    "with a letter in common were not told apart."
)
WAITING = "Cells at work have no place yet and are left out."
REAL = "real images"  # what an ideal is called beside the numbers
DETAILS = (
    "How intervals, places and prices are found",
    "Intervals are at 95 %: Wilson’s for a share of runs, for a mean over tasks those "
    "of the tasks combined in quadrature, for a median the percentile bootstrap’s "
    "over runs. The interval of a difference resamples pairs within tasks and has no "
    "width where all pairs agree.",
    "One entry beats another when a permutation test over runs paired by seed gives "
    f"p < {LEVEL:g} after Holm’s correction for all pairs of the table, and their "
    f"success differs by at least {100 * MARGIN:.0f} percentage points. On a task "
    "without a target the test is on signed ranks of the metric, and the winner must "
    f"have the better value in at least {100 * WINS:.0f} % of the pairs. With fewer "
    f"than {stats.FEWEST_PAIRS} pairs nothing is tested and the two share a place.",
    "A price is the median over runs of their gradient-equivalents: 1 for a gradient "
    "of one player, 2 for a Hessian product, ½ for a value. The price to the target "
    "is what half of the runs needed until it held for good; a dash says that fewer "
    "than half came to hold it.",
)


def section(results: Results) -> Section | None:
    """Overall table, then one for each task; nothing while no cell has ended."""
    overall, by_task = boards(results)
    if not by_task:
        return None
    parts = [_task(results, task, board) for task, board in by_task.items()]
    tables = [board.table.assign(scope="task") for board in by_task.values()]
    pairs = [board.pairs.assign(task=task) for task, board in by_task.items()]
    if overall:
        parts.insert(0, _overall(results, overall, by_task))
        tables.insert(0, overall.table.assign(scope="overall"))
        pairs.insert(0, overall.pairs.assign(task="all"))
    leading = ["scope", "task", "place", "groups", "label"]
    table = pd.concat([one for one in tables if len(one)], ignore_index=True)
    table = table[[*leading, *(name for name in table if name not in leading)]]
    tested = [one for one in pairs if len(one)]
    files = {"leaderboard.csv": table}
    if tested:
        files["comparisons.csv"] = pd.concat(tested, ignore_index=True)
    return Section(
        title="Leaderboard",
        anchor="leaderboard",
        prose=(READING, WAITING) if results.at_work else (READING,),
        aside=DETAILS,
        parts=parts,
        files=files,
    )


# ---- all tasks ----


def _overall(results: Results, board: Board, by_task: dict[str, Board]) -> Subsection:
    tasks = [task for task in by_task if target_of(results, task)]
    at_work = {
        (results.footers[key]["task"], results.footers[key]["label"])
        for key in results.at_work
    }
    found = {
        (row["task"], row["label"]): row
        for task in tasks
        for row in by_task[task].table.to_dict("records")
    }
    rows = []
    for row in board.table.to_dict("records"):
        cells = [
            TableCell(str(row["place"]), row["place"]),
            TableCell(row["label"], label=True),
            TableCell(percent(row["success"]), row["success"]),
            TableCell(
                percents(row["success_low"], row["success_high"]), row["success_low"]
            ),
            TableCell(row["groups"]),
        ]
        for task in tasks:
            placement = task, row["label"]
            absent = "at work" if placement in at_work else "not run"
            cells.append(_share(found.get(placement), absent))
        rows.append(cells)
    columns = ["#Placement", "Algorithm", "#Success", "#95 % interval", "Letters"]
    short = _short(tasks)
    notes = []
    if (board.table["tasks"] < board.table["of"]).any():
        notes.append(
            "Not every entry was run on every task: its mean is over the tasks it was "
            "run on, and two entries are compared on the tasks both were run on."
        )
    figures = [_forest(results, board)]
    return Subsection(
        title="All tasks" if len(tasks) > 1 else "",
        figures=figures,
        notes=notes,
        tables=[
            Table(
                "Success is the mean over tasks; then runs that succeeded, by task.",
                [*columns, *(f"#{short[task]}" for task in tasks)],
                rows,
            ),
            *_pairs(board, by_success=True),
        ],
    )


def _share(row: dict | None, absent: str = "not run") -> TableCell:
    if row is None:
        return TableCell(absent, -1.0)
    return TableCell(
        f"{row['converged']}/{row['runs']}", row["success"], shade=row["success"]
    )


def _short(tasks: list[str]) -> dict[str, str]:
    """Tasks without their settings, where that still tells them apart."""
    bare = [task.partition("[")[0] for task in tasks]
    return {
        task: name if bare.count(name) == 1 else task
        for task, name in zip(tasks, bare, strict=True)
    }


def _forest(results: Results, board: Board) -> Figure:
    looks = style.looks(labels_of(results))
    table = board.table
    names, left = style.beside(list(table["label"]))
    height = 0.55 + 0.25 * len(table)
    with style.panel(4.6, height, (left + 0.1, 0.42, 0.2, 0.05)) as (figure, axes):
        for at, row in enumerate(table.to_dict("records")):
            look = looks[row["label"]]
            axes.plot(
                [100 * row["success_low"], 100 * row["success_high"]],
                [at, at],
                color=look.colour,
                linewidth=2,
                solid_capstyle="round",
            )
            axes.plot(
                100 * row["success"],
                at,
                color=look.colour,
                marker=look.marker,
                markersize=6,
                clip_on=False,
                zorder=3,
            )
        axes.set_yticks(range(len(table)), names)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("success over tasks (%), with 95 % interval")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, pad=8)
        axes.spines[["left", "top", "right"]].set_visible(False)
        drawn = style.svg(figure, "success")
    listing = "; ".join(
        f"{row['label']}: {percent(row['success'])}" for row in table.to_dict("records")
    )
    return Figure(
        f"Success of each entry with its interval. {listing}.", drawn, width=442
    )


def _pairs(board: Board, *, by_success: bool) -> list[Table]:
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
            TableCell(_chance(row["p"]), row["p"]),
            TableCell(_chance(row["p_holm"]), row["p_holm"]),
            TableCell(row["verdict"]),
        ]
        rows.append(cells)
    if by_success:
        said = ["#Difference (pp)", "#95 % interval (pp)"]
    else:
        said = ["#Wins of the first"]
    columns = ["Entry", "Against", *said, "#Pairs", "#p", "#p (Holm)", "Verdict"]
    return [Table("Every pair of entries and its test", columns, rows, folded=True)]


def _points(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:+.0f}".replace("-", "−")


def _chance(p: float) -> str:
    if np.isnan(p):
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


# ---- one task ----


def _task(results: Results, task: str, board: Board) -> Subsection:
    target, column = target_of(results, task), primary(results, task)
    footer = next(one for one in results.footers.values() if one["task"] == task)
    measured = column["title"] if column else ""
    prose = [footer["game"]["summary"]]
    if target:
        prose[0] += f" Target: {target}."
        if measured:
            prose[0] += f" Medians are of the {measured} at the end."
    elif measured:
        prose[0] += f" It declares no target; entries are ordered by {measured}."
    rows = []
    for row in board.table.to_dict("records"):
        cells = [
            TableCell(str(row["place"]), row["place"]),
            TableCell(row["label"], label=True),
        ]
        if target:
            cells += [
                _share(row),
                TableCell(percent(row["success"]), row["success"]),
                TableCell(
                    percents(row["success_low"], row["success_high"]),
                    row["success_low"],
                ),
            ]
        else:
            cells.append(TableCell(str(row["runs"]), row["runs"]))
        if "median" in row:
            low, high = number(row["median_low"]), number(row["median_high"])
            cells += [
                TableCell(number(row["median"]), row["median"]),
                TableCell(f"{low} to {high}", row["median_low"]),
            ]
        spent = row["gradient_equivalents"]
        cells.append(TableCell(number(spent), spent))
        if target:
            reached = row["to_target"]
            shown = "–" if reached == float("inf") else number(reached)
            cells.append(TableCell(shown, reached))
        cells.append(TableCell(row["groups"]))
        rows.append(cells)
    columns = ["#Placement", "Algorithm"]
    columns += ["#Converged", "#Success", "#95 % interval"] if target else ["#Runs"]
    if column:
        ideal = ideal_of(results, task, column["name"])
        real = "" if ideal is None else f" ({REAL}: {number(ideal)})"
        columns += [f"#Median {column['name']}{real}", "#95 % interval "]
    columns += ["#Price"]
    columns += ["#Price to target", "Letters"] if target else ["Letters"]
    notes = [f"“{label}” {where}." for label, where in starts_of(results, task).items()]
    if board.table["alike"].any():
        notes.append(
            "All runs of an entry without an interval went the same way, whatever "
            "their seed; they count as one observation."
        )
    return Subsection(
        title=task,
        prose=prose,
        notes=notes,
        tables=[
            Table("", columns, rows),
            *_scores(results, task, list(board.table["label"])),
            *_pairs(board, by_success=bool(target)),
        ],
    )


def _scores(results: Results, task: str, labels: list[str]) -> list[Table]:
    """Medians of all metrics at the end, with what real images get."""
    columns = columns_of(results, task)
    if len(columns) < 2:
        return []
    frame = results.ended.frame
    last = frame[frame["task"] == task].groupby(["key", "seed"], sort=False).tail(1)
    ideals = [ideal_of(results, task, column["name"]) for column in columns]
    rows = []
    if any(ideal is not None for ideal in ideals):
        values = [np.nan if ideal is None else ideal for ideal in ideals]
        rows.append([TableCell(REAL), *(TableCell(number(one), one) for one in values)])
    for label in labels:
        runs = last[last["label"] == label]
        values = [runs[column["name"]].median() for column in columns]
        rows.append(
            [
                TableCell(label, label=True),
                *(TableCell(number(one), one) for one in values),
            ]
        )
    arrows = {"lower": " ↓", "higher": " ↑", "neither": ""}
    headings = [f"#{one['name']}{arrows[one['better']]}" for one in columns]
    caption = (
        "All metrics at the last record, medians of the runs that have a value: "
        "↓ less is better, ↑ more is"
    )
    return [Table(caption, ["Algorithm", *headings], rows, folded=True)]

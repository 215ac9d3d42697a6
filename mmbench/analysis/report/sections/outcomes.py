"""The outcomes: how each run ended."""

from collections.abc import Sequence

import pandas as pd

from mmbench.analysis.report import style
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
    number,
)
from mmbench.analysis.results import Results, tasks_of
from mmbench.core.status import Status

PROSE = (
    "Every run ends with a status, which it reaches at a certain step. Failed runs are "
    "kept and count everywhere on this page."
)
MIN_SHARE_WITH_COUNT = (
    0.06  # share of runs from which on the bar has room for its count
)
LIGHT = (Status.FINISHED, Status.STOPPED, Status.DIVERGED)  # bars with dark text


def section(results: Results) -> Section:
    """Explain the statuses and show how many runs of each cell have them."""
    runs = _runs(results)
    statuses = [
        status for status in style.STATUS_COLOURS if (runs["status"] == status).any()
    ]
    meanings = Table(
        "Meaning of the statuses.",
        ["Status", "Meaning"],
        [[TableCell(str(status)), TableCell(status.meaning)] for status in statuses],
    )
    bars = Subsection(
        colour_legend=[
            (str(status), style.STATUS_COLOURS[status]) for status in statuses
        ],
        figures=[
            _bars(task, runs[runs["task"] == task], statuses)
            for task in tasks_of(results)
        ],
        tables=[_table(runs, statuses)],
    )
    return Section(
        title="Outcomes",
        anchor="outcomes",
        prose=(PROSE,),
        subsections=(Subsection(tables=[meanings, *_unfinished(results)]), bars),
        files={"outcomes.csv": runs},
    )


def _unfinished(results: Results) -> list[Table]:
    """Return the table of the progress of unfinished cells, if there are any."""
    rows = []
    for key in results.unfinished:
        footer = results.footers[key]
        progress = footer["at_work"]
        rows.append(
            [
                TableCell(footer["task"], code=True),
                TableCell(footer["label"], label=True),
                TableCell(
                    f"{progress['ended']} of {progress['planned']}", progress["ended"]
                ),
                TableCell(str(progress["runs"]), progress["runs"]),
                TableCell(
                    f"{number(progress['step'])} of {number(footer['steps'])}",
                    progress["step"],
                ),
            ]
        )
    if not rows:
        return []
    columns = ["Task", "Algorithm", "#Runs ended", "#Runs in progress", "#Step"]
    caption = "Progress of the unfinished cells at their last checkpoints."
    return [Table(caption, columns, rows)]


def _runs(results: Results) -> pd.DataFrame:
    """Return one row for each run."""
    columns = [
        "task",
        "label",
        "algorithm",
        "seed",
        "status",
        "stopped_at",
        "reason",
        "key",
    ]
    return results.frame.drop_duplicates(["key", "seed"])[columns].reset_index(
        drop=True
    )


def _table(runs: pd.DataFrame, statuses: Sequence[Status]) -> Table:
    rows = []
    for (_, task, label), cell in runs.groupby(["key", "task", "label"], sort=False):
        for status in statuses:
            selected = cell[cell["status"] == status]
            if selected.empty:
                continue
            steps = selected["stopped_at"].astype(float)
            first, median, last = steps.min(), steps.median(), steps.max()
            reasons = dict.fromkeys(selected["reason"].astype(str))
            rows.append(
                [
                    TableCell(str(task), code=True),
                    TableCell(str(label), label=True),
                    TableCell(str(status)),
                    TableCell(str(len(selected)), len(selected)),
                    TableCell(number(median), median),
                    TableCell(f"{number(first)} to {number(last)}", first),
                    TableCell("; ".join(reasons)),
                ]
            )
    numbers = ["#Runs", "#Median step", "#Range of steps"]
    columns = ["Task", "Algorithm", "Status", *numbers, "Reason"]
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    caption = "Number of runs by status, and the steps at which they reached it"
    return Table(caption, columns, rows, folded=True)


def _bars(task: str, runs: pd.DataFrame, statuses: Sequence[Status]) -> Figure:
    labels = list(dict.fromkeys(runs["label"]))
    counts = runs.groupby(["label", "status"]).size()
    descriptions = []
    names, left = style.wrap_axis_labels(labels)
    per_bar = 0.36 if any("\n" in name for name in names) else 0.26
    height = 0.5 + per_bar * len(labels)
    with style.panel(5.3, height, (left, 0.42, 0.25, 0.05)) as (figure, axes):
        for y, label in enumerate(labels):
            start, total = 0.0, counts[label].sum()
            for status in statuses:
                count = int(counts.get((label, str(status)), 0))
                if not count:
                    continue
                descriptions.append(f"{label}: {count} {status}")
                share = count / total
                axes.barh(
                    y,
                    share,
                    left=start,
                    height=0.72,
                    color=style.STATUS_COLOURS[status],
                    edgecolor="white",
                    linewidth=0.8,
                )
                if share >= MIN_SHARE_WITH_COUNT:
                    axes.text(
                        start + share / 2,
                        y,
                        str(count),
                        ha="center",
                        va="center_baseline",
                        color="black" if status in LIGHT else "white",
                    )
                start += share
        axes.set_yticks(range(len(labels)), names)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xticks(
            [0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"]
        )
        axes.set_xlabel("share of runs (counts in the bars)")
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "top", "right"]].set_visible(False)
        svg = style.svg(figure, "outcomes", task)
    alt = f"Number of runs by status on {task}. {'; '.join(descriptions)}."
    return Figure(alt, svg, title=task, width=509)

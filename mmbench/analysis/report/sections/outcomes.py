"""The outcomes: how each run ended."""

from collections.abc import Sequence

import pandas as pd

from mmbench.analysis import style
from mmbench.analysis.numbers import number
from mmbench.analysis.plot.bars import (
    STATUS_STYLES,
    bars_size,
    draw_bars,
    outcome_counts,
    runs_of,
)
from mmbench.analysis.report.sections.base import (
    MAX_LABELS,
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
    listing,
)
from mmbench.analysis.results import Results, tasks_of
from mmbench.core.status import Status

PROSE = (
    "Every run ends with a status, which it reaches at a certain step. Failed runs are "
    "kept and count everywhere on this page."
)

CUT = (
    f"Of more than {MAX_LABELS} algorithms, those are shown that reached the target of "
    "the task most often."
)


def section(results: Results) -> Section:
    """Explain the statuses and show how many runs of each cell have them."""
    runs = runs_of(results)
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
        notes=[CUT] if runs["label"].nunique() > MAX_LABELS else [],
    )
    return Section(
        title="Outcomes",
        anchor="outcomes",
        prose=(PROSE,),
        subsections=(
            Subsection(tables=[meanings, *_unfinished(results)]),
            bars,
            listing(_table(runs, statuses), "outcomes.csv"),
        ),
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
    counts = outcome_counts(runs, statuses)
    if len(counts) > MAX_LABELS:
        reached = runs["status"] == Status.CONVERGED
        most = reached.groupby(runs["label"]).mean().nlargest(MAX_LABELS, keep="first")
        counts = counts[counts.index.isin(most.index)]
    width, height, margins = bars_size(list(counts.index), 5.3)
    with style.panel(width, height, margins) as (figure, axes):
        draw_bars(axes, counts, STATUS_STYLES)
        svg = style.svg(figure, "outcomes", task)
    descriptions = [
        f"{label}: {count} {status}"
        for label, row in counts.iterrows()
        for status, count in row.items()
        if count
    ]
    alt = f"Number of runs by status on {task}. {'; '.join(descriptions)}."
    return Figure(alt, svg, title=task, width=509)

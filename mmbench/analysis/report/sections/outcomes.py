"""Outcomes: how each run ended."""

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
    "Every run ends with a status and the step at which it came to it. Runs that break "
    "down are kept, and count, everywhere on this page."
)
NARROW = 0.06  # a share of runs whose count has no room in its bar


def section(results: Results) -> Section:
    """What the statuses mean, bars for each task, and a table."""
    ended = _ended(results)
    met = [one for one in style.STATUS_COLOURS if (ended["status"] == one).any()]
    meanings = Table(
        "What the statuses mean.",
        ["Status", "Meaning"],
        [[TableCell(str(status)), TableCell(status.meaning)] for status in met],
    )
    of_tasks = [(task, ended[ended["task"] == task]) for task in tasks_of(results)]
    bars = Subsection(
        chips=[(str(status), style.STATUS_COLOURS[status]) for status in met],
        figures=[_bars(task, runs, met) for task, runs in of_tasks],
        tables=[_table(ended, met)],
    )
    return Section(
        title="Outcomes",
        anchor="outcomes",
        prose=(PROSE,),
        parts=(Subsection(tables=[meanings, *_at_work(results)]), bars),
        files={"outcomes.csv": ended},
    )


def _at_work(results: Results) -> list[Table]:
    """How far the cells at work have come."""
    rows = []
    for key in results.at_work:
        footer = results.footers[key]
        far = footer["at_work"]
        rows.append(
            [
                TableCell(footer["task"], code=True),
                TableCell(footer["label"], label=True),
                TableCell(f"{far['ended']} of {far['planned']}", far["ended"]),
                TableCell(str(far["runs"]), far["runs"]),
                TableCell(
                    f"{number(far['step'])} of {number(footer['steps'])}", far["step"]
                ),
            ]
        )
    if not rows:
        return []
    columns = ["Task", "Algorithm", "#Runs ended", "#Runs at work", "#At step"]
    return [Table("Cells at work, at their last checkpoints.", columns, rows)]


def _ended(results: Results) -> pd.DataFrame:
    """One row for each run."""
    told = [
        "task",
        "label",
        "algorithm",
        "seed",
        "status",
        "stopped_at",
        "reason",
        "key",
    ]
    return results.frame.drop_duplicates(["key", "seed"])[told].reset_index(drop=True)


def _table(ended: pd.DataFrame, met: Sequence[Status]) -> Table:
    rows = []
    for (_, task, label), runs in ended.groupby(["key", "task", "label"], sort=False):
        for status in met:
            of = runs[runs["status"] == status]
            if of.empty:
                continue
            steps = of["stopped_at"].astype(float)
            first, middle, last = steps.min(), steps.median(), steps.max()
            rows.append(
                [
                    TableCell(str(task), code=True),
                    TableCell(str(label), label=True),
                    TableCell(str(status)),
                    TableCell(str(len(of)), len(of)),
                    TableCell(number(middle), middle),
                    TableCell(f"{number(first)} to {number(last)}", first),
                    TableCell("; ".join(dict.fromkeys(of["reason"].astype(str)))),
                ]
            )
    numbers = ["#Runs", "#Step (median)", "#Steps"]
    columns = ["Task", "Algorithm", "Status", *numbers, "Reason"]
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    caption = "Runs of each status and the steps at which they came to it."
    return Table(caption, columns, rows, folded=True)


def _bars(task: str, ended: pd.DataFrame, met: Sequence[Status]) -> Figure:
    labels = list(dict.fromkeys(ended["label"]))
    counts = ended.groupby(["label", "status"]).size()
    told = []
    names, left = style.beside(labels)
    height = 0.5 + 0.26 * len(labels)
    with style.panel(4.6, height, (left, 0.42, 0.25, 0.05)) as (figure, axes):
        for at, label in enumerate(labels):
            start, runs = 0.0, counts[label].sum()
            for status in met:
                count = int(counts.get((label, str(status)), 0))
                if not count:
                    continue
                told.append(f"{label}: {count} {status}")
                axes.barh(
                    at,
                    count / runs,
                    left=start,
                    height=0.72,
                    color=style.STATUS_COLOURS[status],
                    edgecolor="white",
                    linewidth=0.8,
                )
                if count / runs >= NARROW:
                    pale = status in (Status.FINISHED, Status.STOPPED, Status.DIVERGED)
                    axes.text(
                        start + count / runs / 2,
                        at,
                        str(count),
                        ha="center",
                        va="center_baseline",
                        color="black" if pale else "white",
                    )
                start += count / runs
        axes.set_yticks(range(len(labels)), names)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xticks(
            [0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"]
        )
        axes.set_xlabel("share of runs; counts in the bars")
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "top", "right"]].set_visible(False)
        drawn = style.svg(figure, f"outcomes-{task}")
    return Figure(
        f"How the runs ended. {'; '.join(told)}.", drawn, title=task, width=442
    )

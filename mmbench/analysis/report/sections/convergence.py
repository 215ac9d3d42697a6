"""The convergence curves: metrics against steps, and against seconds.

Those of the first metric against cost are in another section, `equal_cost`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmbench.analysis import style
from mmbench.analysis.numbers import number
from mmbench.analysis.plot.curves import AXES, FLOOR, NAMES, curves_of, draw_curves
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
)
from mmbench.analysis.results import (
    Column,
    Results,
    describe_starts,
    labels_of,
    real_score_of,
    tasks_of,
)

MAX_TITLE_CHARACTERS = 50  # of a figure; longer titles are set in a smaller font
MARGINS = (0.62, 0.42, 0.12, 0.32)  # the title stands in the top margin
CSV_COLUMNS = ["task", "label", "metric", "shown", "step", "cost", "seconds", *NAMES]

PROSE = (
    "Each line is the median over the runs of an algorithm, and its band reaches from "
    "the lower to the upper quartile. Runs that diverged or failed keep their last "
    "values and stay in both. A run without a value counts as the worst, so a line "
    "ends where half of the runs or more have none; where neither lower nor higher is "
    "better, such runs are left out. For counts of modes or digits, the line is the "
    "share of runs that reach the number in the title. A gradient-equivalent is one "
    "gradient of one player; a Hessian-vector product counts 2, an evaluation of the "
    "losses ½. Seconds are the training time of all runs that were computed together, "
    "without the time of measuring."
)
FLOORED = (
    f"On logarithmic axes, values below {style.power_of_ten(FLOOR)} are drawn at "
    f"{style.power_of_ten(FLOOR)}."
)


def section(results: Results) -> Section | None:
    """Draw the metrics of each task; None if no metric changes."""
    subsections, tables, floored = [], list[pd.DataFrame](), False
    if results.curves is not None:  # which are those at equal cost alone
        return None
    for task in tasks_of(results):
        curves = curves_of(results, task)
        if not curves:
            continue
        floored |= any(_is_floored(table, column) for column, table in curves)
        subsections.append(_subsection(results, task, curves))
        tables += [
            table.drop(columns="finished").assign(
                task=task, metric=column["name"], shown=column["title"]
            )
            for column, table in curves
        ]
    if not subsections:
        return None
    return Section(
        title="Convergence",
        anchor="convergence",
        prose=(PROSE, FLOORED) if floored else (PROSE,),
        subsections=subsections,
        files={"curves.csv": pd.concat(tables, ignore_index=True)[CSV_COLUMNS]},
    )


def _subsection(
    results: Results, task: str, curves: Sequence[tuple[Column, pd.DataFrame]]
) -> Subsection:
    styles = style.label_styles(labels_of(results))
    figures = []
    for index, (column, table) in enumerate(curves):
        score = real_score_of(results, task, column["name"])
        figures += [
            _figure(task, table, column, x, styles, score)
            for x in (("step", "seconds") if index == 0 else ("step",))
        ]
    legend = list(dict.fromkeys(curves[0][1]["label"]))
    return Subsection(
        title=task, legend=legend, figures=figures, notes=_notes(results, task)
    )


def _notes(results: Results, task: str) -> list[str]:
    """Explain the curves that start where others ended, and those that end early."""
    notes = []
    if starts := describe_starts(results, task):
        sentences = [f"“{label}” {where}." for label, where in starts.items()]
        notes.append(" ".join([*sentences, "Steps and costs are counted from there."]))
    for key in results.unfinished:
        footer = results.footers[key]
        if footer["task"] == task:
            progress = footer["at_work"]
            state = (
                f"its {progress['ended']} ended runs of {progress['planned']} are shown"
                if progress["ended"]
                else f"it is at step {number(progress['step'])} of "
                f"{number(footer['steps'])}"
            )
            notes.append(f"“{footer['label']}” is unfinished: {state}.")
    return notes


def _is_floored(curves: pd.DataFrame, column: Column) -> bool:
    """Check whether a value lies below the range of a logarithmic axis."""
    values = curves[NAMES].to_numpy()
    is_below = np.isfinite(values) & (values < FLOOR)
    return column["scale"] == "log" and bool(is_below.any())


def _figure(
    task: str,
    curves: pd.DataFrame,
    column: Column,
    x: str,
    styles: dict[str, style.LabelStyle],
    score: float | None,
) -> Figure:
    """Draw the curves of a metric.

    Args:
        task: the task's spec.
        curves: tables of all labels from `curve_of`, and whether the cell is finished.
        column: the metric's column.
        x: what the curves are drawn against, a key of `AXES`.
        styles: the style of each label.
        score: the value that real data get; None for no line.
    """
    with style.panel(3.55, 2.95, MARGINS) as (figure, axes):
        draw_curves(axes, curves, column, x, styles, score)
        # Above the axis, as there is no room for every title beside it.
        title = style.shorten(column["title"], 2 * MAX_TITLE_CHARACTERS)
        size = 8.5 * min(1, MAX_TITLE_CHARACTERS / max(1, len(title)))
        figure.text(0.02, 0.99, title, size=size, va="top")
        svg = style.svg(figure, "convergence", task, column["name"], x)
    alt = (
        f"Curves of the {column['title']} against {AXES[x]} on {task}, one for each "
        "algorithm."
    )
    if score is not None and (score > 0 or column["scale"] != "log"):
        alt += f" Real images: {number(score)}."
    return Figure(alt, svg, width=341)

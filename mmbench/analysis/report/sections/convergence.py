"""The convergence curves: metrics against steps, gradient-equivalents and seconds."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mmbench.analysis.report import style
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    is_count,
    number,
)
from mmbench.analysis.results import (
    Column,
    Results,
    columns_of,
    describe_starts,
    labels_of,
    primary_column,
    real_score_of,
    target_of,
    tasks_of,
)
from mmbench.analysis.stats import median, quantile
from mmbench.core.cost import gradient_equivalents

MAX_METRICS = 4  # metrics of a task that are drawn
FLOOR = 1e-16  # smaller values are drawn here on logarithmic axes
CEILING = 1e150  # values of larger size are drawn here
WIDE_RATIO = 4  # from this ratio of the cells' costs on, their axis is logarithmic
LEFT_OUT_RATIO = 20  # such an axis begins at this fraction of the cheapest cell
MAX_TITLE_CHARACTERS = 50  # of a figure; longer titles are set in a smaller font
MAX_LABELS_WITH_BANDS = 5  # with more of them, bands are fainter
MARGINS = (0.62, 0.42, 0.12, 0.32)  # the title stands in the top margin
MARKERS_PER_LINE = 6
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}
NAMES = list(QUARTILES)
CSV_COLUMNS = ["task", "label", "metric", "shown", "step", "cost", "seconds", *NAMES]

AXES = {
    "step": "steps",
    "cost": "gradient-equivalents per run",
    "seconds": "training seconds, runs computed together",
}

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
    for task in tasks_of(results):
        curves = _curves(results, task)
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


def _curves(results: Results, task: str) -> list[tuple[Column, pd.DataFrame]]:
    """Select the metrics of a task that are drawn, and compute their quartiles."""
    frame = results.frame[results.frame["task"] == task]
    # A metric of a whole run has the same value at all records.
    columns = [
        column for column in columns_of(results, task) if _varies(frame, column["name"])
    ]
    if not columns or frame["step"].nunique() < 2:
        return []
    primary = primary_column(results, task)
    if primary in columns:
        # Counts under other rules have a table of their own.
        columns = [
            primary,
            *(
                column
                for column in columns
                if column != primary and not is_count(column)
            ),
        ]
    columns.sort(key=lambda column: column["better"] == "neither")
    curves = []
    for column in columns[:MAX_METRICS]:
        wanted = _wanted_count(results, task, column)
        table = pd.concat(
            [
                _curve(cell, column, wanted).assign(
                    finished=key not in results.unfinished
                )
                for key, cell in frame.groupby("key", sort=False)
            ]
        )
        if np.isfinite(table["median"]).any():
            curves.append((_of_share(column, wanted), table))
    return curves


def _wanted_count(results: Results, task: str, column: Column) -> float | None:
    """Return the number of modes or digits that runs should reach; None for no count.

    It is that of the target or, where the target has none, the largest reached.
    """
    if not is_count(column):
        return None
    bound = re.search(
        rf"\b{re.escape(column['name'])} ≥ (\d+)", target_of(results, task)
    )
    if bound:
        return float(bound[1])
    of_task = results.frame["task"] == task
    return float(results.frame.loc[of_task, column["name"]].max())


def _of_share(column: Column, wanted: float | None) -> Column:
    """Return the description of the share of runs that reach a count."""
    if wanted is None:
        return column
    title = f"share of runs with at least {wanted:g} {column['title']}"
    return {**column, "title": title, "scale": "linear"}


def _subsection(
    results: Results, task: str, curves: Sequence[tuple[Column, pd.DataFrame]]
) -> Subsection:
    styles = style.label_styles(labels_of(results))
    figures = []
    for index, (column, table) in enumerate(curves):
        score = real_score_of(results, task, column["name"])
        figures += [
            _figure(task, table, column, x, styles, score)
            for x in (AXES if index == 0 else ("step",))
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


def _varies(frame: pd.DataFrame, name: str) -> bool:
    """Check whether a column changes within some run."""
    runs = frame.groupby(["key", "seed"])[name]
    return bool((runs.min() < runs.max()).any())


def _curve(
    cell: pd.DataFrame, column: Column, wanted: float | None = None
) -> pd.DataFrame:
    """Compute the quartiles over a cell's runs at each record.

    Args:
        cell: the rows of the cell.
        column: the metric's column.
        wanted: a count; the median is then the share of runs that reach it, without
            quartiles.
    """
    runs = cell["seed"].nunique()

    def by_run(values: pd.Series) -> np.ndarray:
        return values.to_numpy(float).reshape(runs, -1)

    values = by_run(cell[column["name"]])
    worst = {"lower": np.inf, "higher": -np.inf}.get(column["better"])
    if wanted is not None:
        share = (values >= wanted).mean(axis=0)
        quartiles = {"low": np.nan, "median": share, "high": np.nan}
    elif worst is None:
        known = cell.groupby("step")[column["name"]]  # runs without a value left out
        quartiles = {
            name: known.quantile(share).to_numpy() for name, share in QUARTILES.items()
        }
    else:
        values = np.where(np.isnan(values), worst, values)
        quartiles = {name: quantile(values, share) for name, share in QUARTILES.items()}
    cost = gradient_equivalents(
        *(cell[name] for name in ("grad_x", "grad_y", "hvps", "values"))
    )
    return pd.DataFrame(
        {
            "label": cell["label"].iloc[0],
            "step": by_run(cell["step"])[0],
            "cost": median(by_run(cost)),
            "seconds": median(by_run(cell["cell_seconds"])),
            **quartiles,
        }
    )


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
        curves: tables of all labels from `_curve`, and whether the cell is finished.
        column: the metric's column.
        x: what the curves are drawn against, a key of `AXES`.
        styles: the style of each label.
        score: the value that real data get; None for no line.
    """
    curves = curves.replace([np.inf, -np.inf], np.nan)
    curves[NAMES] = curves[NAMES].clip(-CEILING, CEILING)
    is_log = column["scale"] == "log"
    if is_log:
        curves[NAMES] = curves[NAMES].clip(lower=FLOOR)
    if is_log and score is not None and score <= 0:
        score = None
    values = curves[NAMES].to_numpy().ravel()
    if score is not None:
        values = np.append(values, score)
    with style.panel(3.55, 2.95, MARGINS) as (figure, axes):
        if is_log:
            style.set_log_range(axes, values)
        elif is_count(column):  # a share
            axes.set_ylim(-0.04, 1.04)
        elif (np.nan_to_num(values) * 4 % 1 == 0).all():  # quartiles of whole numbers
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        # A cell that has just started would distort the axis.
        chosen = curves[curves["finished"]] if curves["finished"].any() else curves
        ends = chosen.groupby("label")[x].max()
        for label, curve in curves.groupby("label", sort=False):
            label_style = styles[str(label)]
            axes.plot(
                curve[x],
                curve["median"],
                color=label_style.colour,
                linestyle=label_style.linestyle,
                marker=label_style.marker,
                markevery=max(1, len(curve) // MARKERS_PER_LINE),
                markersize=4.5,
                markeredgewidth=0,
            )
            axes.fill_between(
                curve[x],
                curve["low"],
                curve["high"],
                color=label_style.colour,
                alpha=0.15 if len(ends) <= MAX_LABELS_WITH_BANDS else 0.07,
                linewidth=0,
            )
        if score is not None:
            _draw_real_score(axes, score, column["better"])
        axes.set_xlabel(AXES[x])
        # Above the axis, as there is no room for every title beside it.
        title = style.shorten(column["title"], 2 * MAX_TITLE_CHARACTERS)
        size = 8.5 * min(1, MAX_TITLE_CHARACTERS / max(1, len(title)))
        figure.text(0.02, 0.99, title, size=size, va="top")
        if ends.max() > WIDE_RATIO * ends.min() > 0:
            style.set_log_scale(axes, "x")
            axes.set_xlim(left=ends.min() / LEFT_OUT_RATIO)
        else:
            axes.set_xlim(left=0)
            axes.locator_params(axis="x", nbins=5)
        sns.despine(ax=axes)
        svg = style.svg(figure, "convergence", task, column["name"], x)
    alt = (
        f"Curves of the {column['title']} against {AXES[x]} on {task}, one for each "
        "algorithm."
    )
    if score is not None:
        alt += f" Real images: {number(score)}."
    return Figure(alt, svg, width=341)


def _draw_real_score(axes: Axes, score: float, better: str) -> None:
    """Draw a dashed line at the score of real images.

    Its text is above the line if curves fall towards it, and below if they rise.
    """
    is_above = better == "lower"
    axes.axhline(score, color=style.GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "real images",
        (0, score),
        xycoords=("axes fraction", "data"),
        xytext=(3, 2 if is_above else -2),  # points
        textcoords="offset points",
        va="bottom" if is_above else "top",
        color=style.GREY,
        size=7.5,
    )

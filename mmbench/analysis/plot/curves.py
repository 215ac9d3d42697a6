"""Curves of metrics against steps, gradient-equivalents and seconds."""

import re
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Literal

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mmbench.analysis import style
from mmbench.analysis.leaderboard import Contest, contests
from mmbench.analysis.plot.axes import (
    Given,
    add_legend,
    check_choice,
    drawing_on,
    one_task,
)
from mmbench.analysis.results import (
    Column,
    Results,
    columns_of,
    is_count,
    labels_of,
    primary_column,
    real_score_of,
    results_of,
    rows_of,
    target_of,
    with_unique_names,
)
from mmbench.analysis.stats import median, quantile
from mmbench.core.cost import gradient_equivalents
from mmbench.core.errors import DescriptionError, check_keywords

MAX_METRICS = 4  # metrics of a task that are drawn
FLOOR = 1e-16  # smaller values are drawn here on logarithmic axes
CEILING = 1e150  # values of larger size are drawn here
WIDE_RATIO = 4  # from this ratio of the cells' costs on, their axis is logarithmic
LEFT_OUT_RATIO = 20  # such an axis begins at this fraction of the cheapest cell
MAX_LABELS_WITH_BANDS = 5  # with more of them, bands are fainter
MARKERS_PER_LINE = 6
LINE_CHARACTERS = 38  # of a metric's title beside an axis
QUARTILES = {"low": 0.25, "median": 0.5, "high": 0.75}
NAMES = list(QUARTILES)
# What is published of a curve: the key of its cell, and the count of `curve_of`.
PUBLISHED = ["key", "wanted", "step", "cost", *NAMES]

AXES = {
    "step": "steps",
    "cost": "gradient-equivalents per run",
    "seconds": "training seconds, runs computed together",
}


@check_keywords
def convergence(
    results: Given,
    task: str | None = None,
    metric: str | None = None,
    *,
    against: Literal["step", "cost", "seconds"] = "step",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the medians of a metric over runs, with bands from quartile to quartile.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of the task; None where there is only one.
        metric: name of its column; None for the first that has a direction.
        against: what the curves are drawn against: "step", "cost" in
            gradient-equivalents, or "seconds" of training.
        legend: whether a legend tells the algorithms apart.
        ax: where to draw; None makes a figure.

    Raises:
        DescriptionError: when there is nothing to draw.
    """
    check_choice("against", against, AXES)
    shown = results_of(results)
    task = one_task(shown, task)
    if metric is None:
        curves = curves_of(shown, task)
        if not curves:
            raise DescriptionError(
                f"The results of {task} must have a metric that changes between two "
                "records; they have none."
            )
        column, table = curves[0]
    else:
        columns = {column["name"]: column for column in columns_of(shown, task)}
        check_choice("metric", metric, columns)
        column, table = curve_of(shown, task, columns[metric])
    styles = style.label_styles(labels_of(shown))
    with drawing_on(ax, (4.6, 3.2)) as axes:
        score = real_score_of(shown, task, column["name"])
        draw_curves(axes, table, column, against, styles, score)
        axes.set_ylabel(fill(column["title"], LINE_CHARACTERS))
        if legend:
            labels = list(dict.fromkeys(table["label"]))
            add_legend(axes, {label: styles[label] for label in labels}, beside=not ax)
    return axes


def curves_of(results: Results, task: str) -> list[tuple[Column, pd.DataFrame]]:
    """Select the metrics of a task that are drawn, and compute their curves.

    Returns:
        The column of each metric with its table; see `curve_of`.
    """
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
    curves = [curve_of(results, task, column) for column in columns[:MAX_METRICS]]
    return [curve for curve in curves if np.isfinite(curve[1]["median"]).any()]


def curve_of(
    results: Results, task: str, column: Column
) -> tuple[Column, pd.DataFrame]:
    """Compute the quartiles of a metric over the runs of each cell of a task.

    Returns:
        The column as it is drawn, and a table with label, step, cost, seconds, low,
        median, high, and whether the cell is finished. For counts, the median is the
        share of runs that reach the largest count.
    """
    frame = results.frame[results.frame["task"] == task]
    wanted = _wanted_count(results, task, column)
    table = pd.concat(
        [
            _quartiles(cell, column, wanted).assign(
                finished=key not in results.unfinished
            )
            for key, cell in frame.groupby("key", sort=False)
        ]
    )
    return _of_share(column, wanted), table


def contest_curves(
    results: Results, contest: Contest
) -> tuple[Column, pd.DataFrame] | None:
    """Compute the quartiles of the first metric over all runs of each label.

    Args:
        results: the results, published or not.
        contest: what is ranked together.

    Returns:
        The column as it is drawn, and a table with key, label, step, cost, low, median,
        high, and that it is finished; the key is that of the first of a label's cells.
        None where there is no metric with a direction.
    """
    column = primary_column(results, contest.task)
    if column is None:
        return None
    labels = {key: results.footers[key]["label"] for key in contest.keys}
    if results.curves is not None:
        table = results.curves[results.curves["key"].isin(labels)]
        counts = table["wanted"].dropna()
        table = table.astype(dict.fromkeys(NAMES, float))
        table = table.assign(label=table["key"].map(labels), finished=True)
        return _of_share(column, counts.iloc[0] if len(counts) else None), table
    wanted = _wanted_count(results, contest.task, column)
    frame = results.frame[results.frame["key"].isin(labels)]
    tables = [
        _quartiles(cells, column, wanted).assign(key=cells["key"].iloc[0])
        for _, cells in frame.groupby("label", sort=False)
    ]
    return _of_share(column, wanted), pd.concat(tables).assign(
        wanted=wanted, finished=True
    )


def curves_to_publish(results: Results) -> pd.DataFrame:
    """Return the curves of the first metric in each contest, with `PUBLISHED`."""
    if results.curves is not None:
        kept = results.curves["key"].isin(results.footers)
        return results.curves[kept].reset_index(drop=True)
    results = with_unique_names(results)
    made = (contest_curves(results, one) for one in contests(results).values())
    tables = [one[1] for one in made if one]
    if not tables:
        return pd.DataFrame({name: [] for name in PUBLISHED})
    curves = pd.concat(tables, ignore_index=True)[PUBLISHED]
    # What is finite stays so in single precision.
    most = float(np.finfo(np.float32).max)
    finite = curves[NAMES].clip(-most, most).where(np.isfinite(curves[NAMES]))
    curves[NAMES] = finite.fillna(curves[NAMES])
    return curves.astype(dict.fromkeys(["wanted", *NAMES], "float32"))


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
    return float(rows_of(results, task)[column["name"]].max())


def _of_share(column: Column, wanted: float | None) -> Column:
    """Return the description of the share of runs that reach a count."""
    if wanted is None:
        return column
    title = f"share of runs with at least {wanted:g} {column['title']}"
    return {**column, "title": title, "scale": "linear"}


def _varies(frame: pd.DataFrame, name: str) -> bool:
    """Check whether a column changes within some run."""
    runs = frame.groupby(["key", "seed"])[name]
    return bool((runs.min() < runs.max()).any())


def _quartiles(
    cell: pd.DataFrame, column: Column, wanted: float | None = None
) -> pd.DataFrame:
    """Compute the quartiles over a cell's runs at each record.

    Args:
        cell: the rows of the cell.
        column: the metric's column.
        wanted: a count; the median is then the share of runs that reach it, without
            quartiles.
    """
    runs = len(cell[["key", "seed"]].drop_duplicates())

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
    # With a budget, records are at equal costs.
    has_budget = "steps_made" in cell and cell["steps_made"].notna().all()
    steps = "steps_made" if has_budget else "step"
    cost = gradient_equivalents(
        *(cell[name] for name in ("grad_x", "grad_y", "hvps", "values"))
    )
    return pd.DataFrame(
        {
            "label": cell["label"].iloc[0],
            "step": median(by_run(cell[steps])),
            "cost": median(by_run(cost)),
            "seconds": median(by_run(cell["cell_seconds"])),
            **quartiles,
        }
    )


def draw_curves(
    axes: Axes,
    curves: pd.DataFrame,
    column: Column,
    x: str,
    styles: Mapping[str, style.LabelStyle],
    score: float | None,
) -> None:
    """Draw the curves of a metric.

    Args:
        axes: where to draw.
        curves: the table of `curve_of`.
        column: the metric's column.
        x: what the curves are drawn against, a key of `AXES`.
        styles: the style of each label; those without one are thin and grey.
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
    if is_log:
        style.set_log_range(axes, values)
    elif is_count(column):  # a share
        axes.set_ylim(-0.04, 1.04)
    elif (np.nan_to_num(values) * 4 % 1 == 0).all():  # quartiles of whole numbers
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    # A cell that has just started would distort the axis.
    chosen = curves[curves["finished"]] if curves["finished"].any() else curves
    ends = chosen.groupby("label")[x].max()
    draw_faintly(
        axes,
        [
            (curve[x].to_numpy(), curve["median"].to_numpy())
            for label, curve in curves.groupby("label", sort=False)
            if label not in styles
        ],
    )
    for label, curve in curves.groupby("label", sort=False):
        if str(label) not in styles:
            continue
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
    if ends.max() > WIDE_RATIO * ends.min() > 0:
        style.set_log_scale(axes, "x")
        axes.set_xlim(left=ends.min() / LEFT_OUT_RATIO)
    else:
        axes.set_xlim(left=0)
        axes.locator_params(axis="x", nbins=5)
    sns.despine(ax=axes)


def draw_faintly(axes: Axes, curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw the curves of labels that are too many to be told apart, as one line.

    Args:
        axes: where to draw.
        curves: x and y of each.
    """
    if curves:
        # A point without numbers lifts the pen.
        x, y = (
            np.concatenate([[*one, np.nan] for one in part])
            for part in zip(*curves, strict=True)
        )
        (line,) = axes.plot(x, y, color=style.GREY, linewidth=0.6, alpha=0.5, zorder=1)
        # Simplified, it would lose pieces.
        line.get_path().should_simplify = False


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

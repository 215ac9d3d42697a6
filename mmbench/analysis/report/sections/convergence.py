"""Convergence: metrics against steps, gradient-equivalents and seconds."""

from typing import Any

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
    Results,
    columns_of,
    ideal_of,
    labels_of,
    primary,
    starts_of,
    tasks_of,
)
from mmbench.analysis.stats import quantile
from mmbench.core.cost import gradient_equivalents

FURTHER = 3  # metrics of a task drawn beside its first
FLOOR = 1e-16  # values below are drawn there on logarithmic axes
WIDELY = 4  # between the prices of two cells, so that their axis is logarithmic
BEFORE = 20  # how much of the cheapest cell such an axis leaves out, as a divisor
LONG = 36  # letters of a title that fit beside a figure in full size
MARKED = 6  # markers on a line
SHARES = (0.25, 0.5, 0.75)
ENDS = ("low", "middle", "high")  # columns of those quartiles

AXES = {
    "step": "steps",
    "price": "gradient-equivalents of a run",
    "seconds": "seconds, runs of a chunk side by side",
}

PROSE = (
    "Lines are medians over the runs of a cell, bands reach from their lower to their "
    "upper quartile. Runs that diverged or broke down are frozen where they were and "
    "stay in both; a run without a value counts as the worst, so a line that ends has "
    "lost half of its runs. A gradient-equivalent is one gradient of one player; a "
    "Hessian product counts 2, a value ½. Seconds are those of training all the runs "
    "that were computed side by side; measuring is not part of them."
)
FLOORED = f"Values below {style.power(FLOOR)} are drawn there on logarithmic axes."


def section(results: Results) -> Section | None:
    """One part for each task that has a metric."""
    parts, floored = [], False
    for task in tasks_of(results):
        curves = _curves(results, task)
        if not curves:
            continue
        floored |= any(_is_floored(of, column) for column, of in curves)
        parts.append(_part(results, task, curves))
    if not parts:
        return None
    prose = (PROSE, FLOORED) if floored else (PROSE,)
    return Section(title="Convergence", anchor="convergence", prose=prose, parts=parts)


def _curves(results: Results, task: str) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The metrics drawn of a task, its first before others, with their quartiles."""
    frame = results.frame[results.frame["task"] == task]
    # A metric of a whole run repeats at all records: nothing to draw.
    moving = [
        column for column in columns_of(results, task) if _moves(frame, column["name"])
    ]
    if not moving or frame["step"].nunique() < 2:
        return []
    first = primary(results, task)
    if first in moving:
        # Counts by other rules have a table of their own.
        others = [one for one in moving if one is not first and not is_count(one)]
        moving = [first, *others]
    moving.sort(key=lambda one: one["better"] == "neither")
    found = []
    for column in moving[: FURTHER + 1]:
        cells = frame.groupby("key", sort=False)
        of = pd.concat(
            [
                _curve(cell, column).assign(ended=key not in results.at_work)
                for key, cell in cells
            ]
        )
        if np.isfinite(of["middle"]).any():
            found.append((column, of))
    return found


def _part(
    results: Results, task: str, curves: list[tuple[dict[str, Any], pd.DataFrame]]
) -> Subsection:
    looks = style.looks(labels_of(results))
    figures = []
    for at, (column, of) in enumerate(curves):
        shown = ("step",) if at else AXES
        ideal = ideal_of(results, task, column["name"])
        figures += [_figure(task, of, column, along, looks, ideal) for along in shown]
    legend = list(dict.fromkeys(curves[0][1]["label"]))
    return Subsection(
        title=task, legend=legend, figures=figures, notes=_notes(results, task)
    )


def _notes(results: Results, task: str) -> list[str]:
    """What one has to know of curves that begin or end elsewhere than others."""
    notes = [
        f"“{label}” {where}; its steps and gradients are counted from there."
        for label, where in starts_of(results, task).items()
    ]
    for key in results.at_work:
        footer = results.footers[key]
        if footer["task"] == task:
            far = footer["at_work"]
            seen = f"at step {number(far['step'])} of {number(footer['steps'])}"
            if far["ended"]:
                seen = f"with {far['ended']} of {far['planned']} runs ended and shown"
            notes.append(f"“{footer['label']}” is at work, {seen}.")
    return notes


def _is_floored(curves: pd.DataFrame, column: dict[str, Any]) -> bool:
    """Whether some value lies below a logarithmic axis."""
    ends = curves[list(ENDS)].to_numpy()
    return column["scale"] == "log" and bool((np.isfinite(ends) & (ends < FLOOR)).any())


def _moves(frame: pd.DataFrame, name: str) -> bool:
    """Whether a column changes in the course of some run."""
    runs = frame.groupby(["key", "seed"])[name]
    return bool((runs.min() < runs.max()).any())


def _curve(cell: pd.DataFrame, column: dict[str, Any]) -> pd.DataFrame:
    """Quartiles of a cell's runs at each record."""
    runs = cell["seed"].nunique()

    def table(values: pd.Series) -> np.ndarray:
        return values.to_numpy(float).reshape(runs, -1)

    values = table(cell[column["name"]])
    worst = {"lower": np.inf, "higher": -np.inf}.get(column["better"])
    if worst is None:
        known = cell.groupby("step")[column["name"]]  # runs without a value left out
        quartiles = [known.quantile(share).to_numpy() for share in SHARES]
    else:
        values = np.where(np.isnan(values), worst, values)
        quartiles = [quantile(values, share) for share in SHARES]
    price = gradient_equivalents(
        *(cell[name] for name in ("grad_x", "grad_y", "hvps", "values"))
    )
    return pd.DataFrame(
        {
            "label": cell["label"].iloc[0],
            "step": table(cell["step"])[0],
            "price": quantile(table(price), 0.5),
            "seconds": quantile(table(cell["cell_seconds"]), 0.5),
            **dict(zip(ENDS, quartiles, strict=True)),
        }
    )


def _figure(
    task: str,
    curves: pd.DataFrame,
    column: dict[str, Any],
    along: str,
    looks: dict[str, style.Look],
    ideal: float | None,
) -> Figure:
    of = {label: looks[label] for label in dict.fromkeys(curves["label"])}
    curves = curves.replace([np.inf, -np.inf], np.nan)
    if column["scale"] == "log":
        curves[list(ENDS)] = curves[list(ENDS)].clip(lower=FLOOR)
    ends = curves[list(ENDS)].to_numpy()
    if column["scale"] == "log" and ideal is not None and ideal <= 0:
        ideal = None  # a logarithmic axis has no place for it
    if ideal is not None:
        ends = np.append(ends, ideal)
    with style.panel(3.55, 2.75) as (figure, axes):
        if column["scale"] == "log":
            style.log_range(axes, ends)
        elif (np.nan_to_num(ends) * 4 % 1 == 0).all():  # quartiles of whole numbers
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        for label, look in of.items():
            curve = curves[curves["label"] == label]
            axes.plot(
                curve[along],
                curve["middle"],
                color=look.colour,
                linestyle=look.line,
                marker=look.marker,
                markevery=max(1, len(curve) // MARKED),
                markersize=4.5,
                markeredgewidth=0,
            )
            axes.fill_between(
                curve[along],
                curve["low"],
                curve["high"],
                color=look.colour,
                alpha=0.15,
                linewidth=0,
            )
        if ideal is not None:
            _draw_ideal(axes, ideal, column["better"])
        axes.set_xlabel(AXES[along])
        title = column["title"]
        axes.set_ylabel(title, size=8.5 * min(1, LONG / len(title)))
        # A cell that has just begun says nothing about the axis.
        whole = curves[curves["ended"]] if curves["ended"].any() else curves
        ends = whole.groupby("label")[along].max()
        if ends.max() > WIDELY * ends.min() > 0:
            style.log_ticks(axes, "x")
            axes.set_xlim(left=ends.min() / BEFORE)
        else:
            axes.set_xlim(left=0)
            axes.locator_params(axis="x", nbins=5)
        sns.despine(ax=axes)
        drawn = style.svg(figure, f"convergence-{task}-{column['name']}-{along}")
    alt = f"{column['title']} against {AXES[along]} on {task}, by algorithm."
    if ideal is not None:
        alt += f" Real images: {number(ideal)}."
    return Figure(alt, drawn, width=341)


def _draw_ideal(axes: Axes, ideal: float, better: str) -> None:
    """A dashed line at what real images get, its name where curves have yet to come."""
    axes.axhline(ideal, color=style.GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "real images",
        (0, ideal),
        xycoords=("axes fraction", "data"),
        xytext=(3, 2 if better == "lower" else -2),  # points
        textcoords="offset points",
        va="bottom" if better == "lower" else "top",
        color=style.GREY,
        size=7.5,
    )

"""Success and cost of every method on every game, as a grid of rectangles."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize

from mmbench.analysis import stats, style
from mmbench.analysis.leaderboard import Contest, contests, entries_of
from mmbench.analysis.numbers import number, percent
from mmbench.analysis.plot.axes import Given, check_choice, drawing_on
from mmbench.analysis.results import (
    Results,
    labels_of,
    require_one_track,
    results_of,
    target_of,
    tasks_of,
)
from mmbench.core.errors import DescriptionError, check_keywords

ROW_INCHES, COLUMN_INCHES = 0.34, 0.72
LEANING = 0.72  # height and width of a text that leans by 45 degrees, of its length


class View(NamedTuple):
    """What a grid shows of each method on each game.

    Args:
        column: the column that colours the rectangles.
        title: what it is.
        short: the title in few words.
        text: returns the text in the rectangle of a row of `games_table`.
        norm: maps the column to `style.SHADES`.
    """

    column: str
    title: str
    short: str
    text: Callable[[Mapping[Any, Any]], str]
    norm: Normalize


@check_keywords
def games(
    results: Given,
    what: Literal["success", "cost"] = "success",
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the success, or the cost to the target, of all methods on all games.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        what: "success" or "cost".
        ax: where to draw; None makes a figure.

    Raises:
        DescriptionError: when no task declares a target.
    """
    check_choice("what", what, ("success", "cost"))
    shown = results_of(results).finished
    found = games_with_target(shown)
    if not found:
        raise DescriptionError(
            "A task of the results must declare a target; none does, and no run of "
            f"theirs can succeed: {', '.join(tasks_of(shown))}."
        )
    rows, tasks = games_table(shown, found), list(found)
    order = by_success(rows)
    width, height, _ = grid_size(order, tasks)
    with drawing_on(ax, (width, height)) as axes:
        view = success_view() if what == "success" else cost_view(rows)
        draw_grid(axes, rows, order, tasks, view)
    return axes


def games_with_target(results: Results) -> dict[str, Contest]:
    """Return what is ranked together on tasks that declare a target, by name."""
    return {
        name: contest
        for name, contest in contests(results).items()
        if target_of(results, contest.task)
    }


def games_table(results: Results, games: Mapping[str, Contest]) -> pd.DataFrame:
    """Return one row for each label and game, of results of one track."""
    require_one_track(results)
    rows = []
    for game, contest in games.items():
        for entry in entries_of(results, contest):
            runs, converged = len(entry.success), int(entry.success.sum())
            low, high = map(float, stats.proportion_interval(converged, runs))
            if entry.unit is not None:
                shares = entry.over_units(entry.success, np.mean)
                low, high = stats.mean_interval([shares])
            rows.append(
                {
                    "task": game,
                    "label": entry.label,
                    "runs": runs,
                    "converged": converged,
                    "success": converged / runs,
                    # Identical runs are one observation, which has no interval.
                    "success_low": np.nan if entry.identical else low,
                    "success_high": np.nan if entry.identical else high,
                    "to_target": float(stats.median(entry.cost_to_target)),
                }
            )
    order = {label: place for place, label in enumerate(labels_of(results))}
    table = pd.DataFrame(rows)
    return table.sort_values(
        "label", key=lambda column: column.map(order), kind="stable"
    )


def by_success(rows: pd.DataFrame) -> list[str]:
    """Return the labels in the order of their mean success over games."""
    means = rows.groupby("label", sort=False)["success"].mean()
    return list(means.sort_values(ascending=False, kind="stable").index)


def success_view() -> View:
    """Return the view of the share of runs that reach the target."""

    def text(row: Mapping[Any, Any]) -> str:
        share = percent(row["success"])
        if np.isnan(row["success_low"]):
            return share
        low, high = 100 * row["success_low"], 100 * row["success_high"]
        return f"{share}\n{low:.0f}–{high:.0f}"

    title = "Share of runs that reach the target"
    return View("success", title, "Share of successful runs", text, Normalize(0, 1))


def cost_view(rows: pd.DataFrame) -> View:
    """Return the view of the cost to the target."""
    known = rows["to_target"][np.isfinite(rows["to_target"])]
    low, high = (known.min(), known.max()) if len(known) else (1.0, 10.0)
    return View(
        "to_target",
        "Cost to the target, gradient-equivalents",
        "Cost to the target",
        lambda row: "–" if np.isinf(row["to_target"]) else number(row["to_target"]),
        LogNorm(max(low, 1.0), max(high, low + 1, 10.0)),
    )


def grid_size(
    order: Sequence[str], games: Sequence[str]
) -> tuple[float, float, style.Margins]:
    """Return width, height and margins in inches of a grid."""
    left = style.wrap_axis_labels(order)[1]
    top = right = LEANING * style.wrap_axis_labels(games)[1]
    width = left + COLUMN_INCHES * len(games) + right
    height = top + ROW_INCHES * len(order) + 0.05
    return width, height, (left, 0.05, right, top)


def draw_grid(
    axes: Axes,
    rows: pd.DataFrame,
    order: Sequence[str],
    games: Sequence[str],
    view: View,
) -> None:
    """Draw a rectangle with a text for each method and game.

    Args:
        axes: where to draw.
        rows: the table of `games_table`.
        order: labels from top to bottom.
        games: tasks from left to right.
        view: what is shown.
    """
    for row in rows.to_dict("records"):
        at = games.index(row["task"]), order.index(row["label"])
        value, text = row[view.column], view.text(row)
        _rectangle(axes, at, value, text, style.SHADES, view.norm)
    axes.set_xlim(-0.5, len(games) - 0.5)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.xaxis.tick_top()
    headings, _ = style.wrap_axis_labels(games)
    axes.set_xticks(range(len(games)), headings, rotation=45, ha="left")
    axes.set_yticks(range(len(order)), style.wrap_axis_labels(order)[0])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _rectangle(
    axes: Axes,
    at: tuple[int, int],
    value: float,
    text: str,
    colours: Colormap,
    norm: Normalize,
) -> None:
    position = float(norm(value)) if np.isfinite(value) else 0.0
    axes.bar(
        at[0],
        0.94,
        width=0.96,
        bottom=at[1] - 0.47,
        color=colours(position),
        linewidth=0,
    )
    axes.text(
        *at,
        text,
        ha="center",
        va="center",
        fontsize=7,
        linespacing=1.1,
        color="white" if position > style.DARK else "black",
    )

"""Which method for which game: success and cost of every method on every game."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize

from mmbench.analysis import stats
from mmbench.analysis.leaderboard import entries_of
from mmbench.analysis.report import style
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    number,
    percent,
)
from mmbench.analysis.results import Results, labels_of, target_of, tasks_of

PROSE = (
    "Each row is a method and each column a game. The first picture shows the share of "
    "runs that reach the target of the game and stay there, and below it the 95 % "
    "confidence interval of the share (Wilson’s). The second picture shows at which "
    "cost, in gradient-equivalents: the median over runs, where more than half of them "
    "do. Methods are in the order of their mean success over games."
)
CAUTION = (
    "A target is what a game declares as its solution. On some games a method is right "
    "not to reach it; the description of each game says so."
)
MIN_GAMES = 3  # below that, the tables of the leaderboard show as much
ROW_INCHES, COLUMN_INCHES = 0.34, 0.72
LEANING = 0.72  # height and width of a text that leans by 45 degrees, of its length
DARK = 0.55  # position on the scale of colours beyond which text is white


def section(results: Results) -> Section | None:
    """Show two pictures of all methods and games; None for fewer than three games."""
    finished = results.finished
    games = [task for task in tasks_of(finished) if target_of(finished, task)]
    if len(games) < MIN_GAMES:
        return None
    rows = _rows(finished, games)
    means = rows.groupby("label", sort=False)["success"].mean()
    order = list(means.sort_values(ascending=False, kind="stable").index)
    return Section(
        title="Which method for which game",
        anchor="games",
        prose=(PROSE,),
        subsections=(
            Subsection(
                figures=(_success(rows, order, games), _cost(rows, order, games)),
                notes=(CAUTION,),
            ),
        ),
        files={"games.csv": rows},
    )


def _rows(results: Results, games: Sequence[str]) -> pd.DataFrame:
    """Return one row for each label and game."""
    rows = []
    for game in games:
        for entry in entries_of(results, game):
            runs, converged = len(entry.success), int(entry.success.sum())
            low, high = (float(end) for end in stats.wilson(converged, runs))
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


def _success(rows: pd.DataFrame, order: list[str], games: list[str]) -> Figure:
    def text(row: pd.Series) -> str:
        share = percent(row["success"])
        if np.isnan(row["success_low"]):
            return share
        low, high = 100 * row["success_low"], 100 * row["success_high"]
        return f"{share}\n{low:.0f}–{high:.0f}"

    return _picture(
        rows,
        order,
        games,
        "success",
        "Share of runs that reach the target",
        text,
        style.SHADES,
        Normalize(0, 1),
    )


def _cost(rows: pd.DataFrame, order: list[str], games: list[str]) -> Figure:
    known = rows["to_target"][np.isfinite(rows["to_target"])]
    low, high = (known.min(), known.max()) if len(known) else (1.0, 10.0)
    return _picture(
        rows,
        order,
        games,
        "to_target",
        "Cost to the target, gradient-equivalents",
        lambda row: "–" if np.isinf(row["to_target"]) else number(row["to_target"]),
        style.SHADES,
        LogNorm(max(low, 1.0), max(high, low + 1, 10.0)),
    )


def _picture(
    rows: pd.DataFrame,
    order: list[str],
    games: list[str],
    column: str,
    title: str,
    text: Callable[[pd.Series], str],
    colours: Colormap,
    norm: Normalize,
) -> Figure:
    """Draw a rectangle with a text for each method and game."""
    labels, left = style.wrap_axis_labels(order)
    headings, longest = style.wrap_axis_labels(games)
    top = right = LEANING * longest
    width = left + COLUMN_INCHES * len(games) + right
    height = top + ROW_INCHES * len(order) + 0.05
    margins = (left, 0.05, right, top)
    with style.panel(width, height, margins) as (figure, axes):
        for row in rows.to_dict("records"):
            at = games.index(row["task"]), order.index(row["label"])
            _rectangle(axes, at, row[column], text(pd.Series(row)), colours, norm)
        axes.set_xlim(-0.5, len(games) - 0.5)
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.xaxis.tick_top()
        axes.set_xticks(range(len(games)), headings, rotation=45, ha="left")
        axes.set_yticks(range(len(order)), labels)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        svg = style.svg(figure, "games", column)
    alt = f"{title}. " + "; ".join(
        f"{row['label']} on {row['task']}: {text(pd.Series(row))}".replace("\n", ", ")
        for row in rows.to_dict("records")
    )
    return Figure(alt, svg, title=title, width=round(96 * width))


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
        color="white" if position > DARK else "black",
    )

"""The leaderboard as dots with intervals."""

from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from mmbench.analysis import style
from mmbench.analysis.leaderboard import Board, boards, place_in_words
from mmbench.analysis.plot.axes import Given, check_choice, drawing_on
from mmbench.analysis.results import (
    Column,
    Results,
    labels_of,
    primary_column,
    results_of,
)
from mmbench.core.errors import DescriptionError, check_keywords

ROW_INCHES = 0.3
NONE = "–"  # instead of a place, or of a median that is infinite or unknown


@check_keywords
def leaderboard(
    results: Given, task: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw the place of each algorithm with its success, or its median, and interval.

    The places that the tests of every two algorithms allow stand before the names.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of the task; None for all tasks that declare a target, or for the
            only task.
        ax: where to draw; None makes a figure.

    Raises:
        DescriptionError: when there is nothing to rank.
    """
    shown = results_of(results)
    board, column = board_of(shown, task)
    styles = style.label_styles(labels_of(shown))
    with drawing_on(ax, (4.6, board_height(board))) as axes:
        draw_board(axes, board.table, styles, column)
    return axes


def board_of(results: Results, task: str | None) -> tuple[Board, Column | None]:
    """Return the board that is drawn, and the column that ranks where success does not.

    Raises:
        DescriptionError: when there is nothing to rank.
    """
    overall, by_task = boards(results)
    if not by_task:
        raise DescriptionError("The results must have a finished cell; they have none.")
    if task is None and overall and len(by_task) > 1:
        if len(overall) > 1:
            raise DescriptionError(
                "task must be given where tasks have several budgets, which are never "
                f"ranked together: {', '.join(by_task)}."
            )
        return overall[0], None
    if task is None and len(by_task) > 1:
        raise DescriptionError(
            "task must be given where there are several and none declares a target: "
            f"{', '.join(by_task)}."
        )
    task = task or next(iter(by_task))
    check_choice("task", task, by_task)
    board = by_task[task]
    if "success" in board.table:
        return board, None
    task = board.task
    column = primary_column(results.finished, task)
    if column is None:
        raise DescriptionError(
            f"{task} must declare a target or have a metric with a direction; it has "
            "neither, so that nothing ranks the algorithms."
        )
    return board, column


def board_height(board: Board) -> float:
    """Return the height in inches of the picture of a board."""
    return 0.6 + ROW_INCHES * len(board.table)


def draw_board(
    axes: Axes,
    table: pd.DataFrame,
    styles: dict[str, style.LabelStyle],
    column: Column | None,
) -> None:
    """Draw the rows of a board from top to bottom.

    Args:
        axes: where to draw.
        table: the table of the board.
        styles: the style of each label.
        column: the column whose medians are drawn; None draws success.
    """
    name = "median" if column else "success"
    for y, row in enumerate(table.to_dict("records")):
        value, low, high = (row[one] for one in (name, f"{name}_low", f"{name}_high"))
        one = styles[row["label"]]
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [y, y], color=one.colour, linewidth=1.5)
        if np.isfinite(value):
            axes.plot(value, y, color=one.colour, marker=one.marker, markersize=5.5)
        else:
            axes.annotate(NONE, (0.5, y), xycoords=("axes fraction", "data"))
    rows = table.to_dict("records")
    places = [place_in_words(row).replace(" to ", "–") for row in rows]
    names = [
        f"{place}. {row['label']}" if place else f"{NONE} {row['label']}"
        for place, row in zip(places, rows, strict=True)
    ]
    axes.set_yticks(range(len(names)), style.wrap_axis_labels(names)[0])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    if column is None:
        axes.set_xlim(-0.02, 1.02)
        ticks = ["0 %", "25 %", "50 %", "75 %", "100 %"]
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ticks)
        axes.set_xlabel("success and 95 % interval")
    else:
        ends = table[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
        if column["scale"] == "log" and (ends[np.isfinite(ends)] > 0).all():
            style.set_log_scale(axes, "x")
        axes.set_xlabel(fill(f"median {column['title']} and 95 % interval", 36))
    sns.despine(ax=axes, left=True)

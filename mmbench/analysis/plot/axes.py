"""What all plots share: axes in the style of the report, choices, legends."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmbench.analysis import style
from mmbench.analysis.results import Results, tasks_of
from mmbench.core.errors import DescriptionError, unknown_name

LEGEND_CHARACTERS = 30  # of a text in a legend; longer ones are shortened

Given = pd.DataFrame | Results | Path | str  # results, as `results_of` takes them


@contextmanager
def drawing_on(ax: Axes | None, size: tuple[float, float]) -> Iterator[Axes]:
    """Give the axes to draw on: the user's, or those of a new figure.

    Args:
        ax: the user's axes, which keep their style; None makes a figure.
        size: width and height of a new figure in inches.
    """
    if ax is not None:
        with mpl.rc_context({"text.parse_math": False}):  # labels are the user's
            yield ax
        return
    with style.theme():
        _, axes = plt.subplots(figsize=size, layout="constrained")
        yield axes
        # Further ticks are made when the figure is shown, in another style.
        axes.tick_params(labelsize=mpl.rcParams["xtick.labelsize"])


def one_task(results: Results, task: str | None) -> str:
    """Return the task that is drawn.

    Raises:
        DescriptionError: when there are several and none is given, or it is unknown.
    """
    tasks = tasks_of(results)
    if task is None and len(tasks) == 1:
        return tasks[0]
    if task is None:
        raise DescriptionError(
            f"task must be given where there are several: {', '.join(tasks)}."
        )
    check_choice("task", task, tasks)
    return task


def check_choice(kind: str, given: str, known: Collection[str]) -> None:
    """Check that a name is one of those that are known.

    Raises:
        UnknownNameError: with the nearest name.
    """
    if given not in known:
        raise unknown_name(kind, str(given), known)


def add_legend(
    axes: Axes, styles: Mapping[str, style.LabelStyle], *, beside: bool
) -> None:
    """Add a legend of labels, beside the axes or inside."""
    _legend(axes, {label: handle(one) for label, one in styles.items()}, beside=beside)


def add_colours(axes: Axes, colours: Mapping[str, str], *, beside: bool) -> None:
    """Add a legend of texts with the colours that they explain."""
    patches = {text: Patch(color=colour) for text, colour in colours.items()}
    _legend(axes, patches, beside=beside)


def handle(one: style.LabelStyle) -> Line2D:
    """Return the line and marker of a label, for a legend."""
    return Line2D(
        [],
        [],
        color=one.colour,
        linestyle=one.linestyle,  # type: ignore[arg-type]  # "-" or a dash
        marker=one.marker,
        markersize=4.5,
        markeredgewidth=0,
    )


def _legend(axes: Axes, handles: Mapping[str, Line2D | Patch], *, beside: bool) -> None:
    where: dict[str, Any] = {"loc": "best"}
    if beside:
        where = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
    texts = [style.shorten(text, LEGEND_CHARACTERS) for text in handles]
    axes.legend(list(handles.values()), texts, frameon=False, **where)

"""Phase portraits: the paths of runs on games of two variables, on their field."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes

from mmbench.analysis import style
from mmbench.analysis.plot.animation import HEAD, PATH
from mmbench.analysis.plot.axes import (
    Given,
    add_legend,
    check_choice,
    drawing_on,
    one_task,
)
from mmbench.analysis.results import Results, labels_of, results_of
from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError, MmbenchError, check_keywords
from mmbench.core.placement import Placement
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS

ARROWS_PER_SIDE = 13
ARROWS_EXTENT = 0.93  # extent of the arrows' grid, as a share of the window
POINTS_PER_SIDE = 161  # of the grid on which the set of solutions is drawn
SOLUTION_RADIUS = (
    0.022  # distance up to which it is drawn, in half-widths of the window
)
MAX_PATHS = 4  # runs drawn
MAX_START = 1e100  # coordinate of a start that is shown; its square is a number, too
WINDOW_RATIO = 1.5  # half-width of the window over the largest coordinate of a start


@check_keywords
def phase_portrait(
    results: Given,
    task: str | None = None,
    label: str | None = None,
    *,
    runs: int = 1,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the paths of runs in the plane of x and y, on the field of their game.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of a task of two variables; None where there is only one.
        label: the algorithm whose paths are drawn; None draws those of all.
        runs: number of first runs of each algorithm, at most `MAX_PATHS`.
        legend: whether a legend tells the algorithms apart.
        ax: where to draw; None makes a figure.

    Raises:
        DescriptionError: when there are no paths.
    """
    shown = results_of(results)
    task = one_task(shown, task)
    paths = paths_of(shown, task)
    if not paths:
        raise DescriptionError(
            f"The runs of {task} must have paths, which games of two variables have, "
            f"kept in the store or by mmbench.run; there are none in {shown.place}."
        )
    if label is not None:
        check_choice("label with a path", label, paths)
        paths = {label: paths[label]}
    styles = style.label_styles(labels_of(shown))
    background = background_of(task, paths.values())
    with drawing_on(ax, (4.2 if legend else 3.2, 3)) as axes:
        drawn = [(path[:runs], styles[label]) for label, path in paths.items()]
        draw_portrait(axes, drawn, background)
        if legend:
            used = {label: styles[label] for label in paths}
            add_legend(axes, used, beside=not ax)
    return axes


class Background(NamedTuple):
    """What is drawn behind the paths of a task.

    Args:
        half_width: half-width of the window.
        arrows: unit vectors of −F on the coarse grid, shape (ARROWS_PER_SIDE,
            ARROWS_PER_SIDE, 2); None if the task is not part of mmbench.
        distance: distance to the solutions on the fine grid, shape (POINTS_PER_SIDE,
            POINTS_PER_SIDE); None if the solutions are not declared.
    """

    half_width: float
    arrows: np.ndarray | None
    distance: np.ndarray | None


def paths_of(results: Results, task: str) -> dict[str, np.ndarray]:
    """Return the paths of the first runs on a task, by label.

    Returns:
        Label to paths, shape (runs, points, 2); none if there are none.
    """
    paths: dict[str, np.ndarray] = {}
    for key, footer in results.footers.items():
        if footer["task"] == task:
            arrays = results.arrays(key)
            if "path" in arrays:
                paths[footer["label"]] = arrays["path"][:MAX_PATHS]
    return paths


def _largest_start(paths: Iterable[np.ndarray]) -> float:
    """Return the largest absolute coordinate of a start; 1 if none is finite."""
    starts = np.abs(np.concatenate([path[:, 0] for path in paths]).astype(float))
    finite = starts[np.isfinite(starts)]
    return min(max(float(finite.max()), 1e-3), MAX_START) if finite.size else 1.0


def _grid(half_width: float, count: int) -> np.ndarray:
    """Return the points of a square grid, shape (count, count, 2)."""
    side = np.linspace(-half_width, half_width, count)
    return np.stack(np.meshgrid(side, side), axis=-1)


def _arrow_grid(half_width: float) -> np.ndarray:
    return _grid(ARROWS_EXTENT * half_width, ARROWS_PER_SIDE)


def background_of(task: str, paths: Iterable[np.ndarray]) -> Background:
    """Compute the window of paths, and the field and the solutions of their task."""
    half_width = WINDOW_RATIO * _largest_start(paths)
    try:
        description = TASKS.build(task, external=False)
        game = description.build(Placement(dtype=torch.float64))
    except MmbenchError:  # the task is an external class
        return Background(half_width, None, None)
    coarse = _arrow_grid(half_width)
    z = torch.from_numpy(coarse).reshape(-1, 2)
    field = Point(game, z, tuple(range(len(z)))).field.numpy().reshape(coarse.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(field, axis=-1, keepdims=True)
        arrows = -np.divide(field, norms, where=norms > 0, out=np.zeros_like(field))
    distance = None
    if Capability.SOLUTION in description.gives:
        fine = _grid(half_width, POINTS_PER_SIDE)
        distances = game.distance(torch.from_numpy(fine).reshape(-1, 2), "declared")
        distance = distances.numpy().reshape(fine.shape[:2])
    return Background(half_width, arrows, distance)


def draw_portrait(
    axes: Axes,
    drawn: Sequence[tuple[np.ndarray, style.LabelStyle]],
    background: Background,
) -> int:
    """Draw paths on their background, and return how many have a finite point.

    Args:
        axes: where to draw.
        drawn: paths of shape (runs, points, 2) with the style of their label.
        background: what is drawn behind them.
    """
    half_width = background.half_width
    finite = [
        (path[np.isfinite(path).all(axis=-1)].astype(float), label_style)
        for paths, label_style in drawn
        for path in paths
    ]
    finite = [(path, label_style) for path, label_style in finite if len(path)]
    if finite:
        _draw_background(axes, background)
    else:
        axes.text(0, 0, "no finite point", ha="center", va="center")
    for path, label_style in finite:
        clipped = np.clip(path, -3 * half_width, 3 * half_width)
        _draw_path(axes, clipped, label_style)
    axes.set_xlim(-half_width, half_width)
    axes.set_ylim(-half_width, half_width)
    axes.set_aspect("equal")
    axes.set_xlabel("x", labelpad=1)
    axes.set_ylabel("y", labelpad=-2)
    axes.grid(visible=False)
    axes.locator_params(nbins=5)
    sns.despine(ax=axes)
    return len(finite)


def _draw_background(axes: Axes, background: Background) -> None:
    half_width = background.half_width
    if background.arrows is not None:
        coarse = _arrow_grid(half_width)
        axes.quiver(
            coarse[..., 0],
            coarse[..., 1],
            background.arrows[..., 0],
            background.arrows[..., 1],
            color=style.GREY,
            alpha=0.55,
            angles="xy",
            pivot="mid",
            scale=ARROWS_PER_SIDE * 1.35,
            scale_units="width",
            width=0.005,
        )
    if background.distance is not None:
        fine = _grid(half_width, POINTS_PER_SIDE)
        axes.contourf(
            fine[..., 0],
            fine[..., 1],
            background.distance,
            levels=[-1, max(SOLUTION_RADIUS * half_width, 1e-12)],
            colors=[style.INK],
            alpha=0.75,
        )


def _draw_path(axes: Axes, path: np.ndarray, label_style: style.LabelStyle) -> None:
    axes.plot(*path.T, color=label_style.colour, linewidth=1, alpha=0.9, label=PATH)
    axes.plot(
        *path[0],
        marker="o",
        markersize=4,
        markerfacecolor="none",
        markeredgecolor=label_style.colour,
    )
    axes.plot(
        *path[-1],
        marker=label_style.marker,
        markersize=5,
        color=label_style.colour,
        markeredgecolor="white",
        markeredgewidth=0.5,
        label=HEAD,
    )

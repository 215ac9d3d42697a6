"""Phase portraits: the paths of runs on games of two variables, on their field."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes

from mmbench.analysis.report import style
from mmbench.analysis.report.sections.base import Figure, Section, Subsection
from mmbench.analysis.results import Results, labels_of, tasks_of
from mmbench.core.capability import Capability
from mmbench.core.errors import MmbenchError
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

PROSE = (
    "Each panel shows the paths of an algorithm’s first runs in the plane of x and y. "
    "A path starts at a ring and ends at the marker of the algorithm. Arrows of equal "
    "length show −F, the direction in which both players’ gradients push; the dark "
    "spot or band is the declared set of solutions. Paths are cut off at the edge of "
    "the panel, and points that are not finite are left out."
)


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


def section(results: Results) -> Section | None:
    """Draw the paths of each task that has some; None if there are none at all."""
    subsections = []
    styles = style.label_styles(labels_of(results))
    for task in tasks_of(results):
        paths: dict[str, np.ndarray] = {}
        for key, footer in results.footers.items():
            if footer["task"] == task:
                arrays = results.arrays(key)
                if "path" in arrays:
                    paths[footer["label"]] = arrays["path"][:MAX_PATHS]
        if not paths:
            continue
        background = _background(task, WINDOW_RATIO * _largest_start(paths.values()))
        figures = [
            _portrait(task, label, path, background, styles[label])
            for label, path in paths.items()
        ]
        prose = []
        if background.arrows is None:
            prose.append(
                "This task is not part of mmbench, so its paths are drawn without the "
                "field."
            )
        subsections.append(Subsection(title=task, prose=prose, figures=figures))
    if not subsections:
        return None
    return Section(
        title="Phase portraits",
        anchor="portraits",
        prose=(PROSE,),
        subsections=subsections,
    )


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


def _background(task: str, half_width: float) -> Background:
    """Compute the field and the solutions of a task from its spec."""
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


def _portrait(
    task: str,
    label: str,
    paths: np.ndarray,
    background: Background,
    label_style: style.LabelStyle,
) -> Figure:
    half_width = background.half_width
    finite = [path[np.isfinite(path).all(axis=-1)].astype(float) for path in paths]
    finite = [path for path in finite if len(path)]
    with style.panel(2.15, 2.07, (0.42, 0.37, 0.03, 0.03)) as (figure, axes):
        if finite:
            _draw_background(axes, background)
        else:
            axes.text(0, 0, "no finite point", ha="center", va="center")
        for path in finite:
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
        svg = style.svg(figure, "portrait", task, label)
    alt = f"Paths of {len(finite)} runs of {label} on {task}."
    return Figure(alt, svg, title=label, label=True, width=206)


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
    axes.plot(*path.T, color=label_style.colour, linewidth=1, alpha=0.9)
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
    )

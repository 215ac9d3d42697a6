"""Portraits: games of two variables, with field, solutions and the runs' paths."""

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

ARROWS = 13  # along each side
FINE = 161  # points along each side where the solution set is looked for
NEAR = 0.022  # of the window's half-width: how thick the solution set is drawn
PATHS = 4  # runs drawn
WINDOW = 1.5  # half-width, by the farthest start

PROSE = (
    "Paths of the first runs of each cell, from a ring to the marker of the algorithm. "
    "Arrows show −F, the direction in which both players’ gradients push, all at one "
    "length; the dark spot or band is the declared solution set. Paths that leave the "
    "window are cut off there, and points that are not finite are left out."
)


class Ground(NamedTuple):
    """What lies under the paths of one task.

    Args:
        reach: half-width of the window.
        arrows: direction of −F on the coarse grid, shape (ARROWS, ARROWS, 2).
        distance: to the solutions on the fine grid; None where they are not declared.
    """

    reach: float
    arrows: np.ndarray | None
    distance: np.ndarray | None


def section(results: Results) -> Section | None:
    """One part for each task with paths."""
    parts = []
    looks = style.looks(labels_of(results))
    for task in tasks_of(results):
        paths = {
            footer["label"]: results.arrays(key)
            for key, footer in results.footers.items()
            if footer["task"] == task
        }
        paths = {
            label: arrays["path"][:PATHS]
            for label, arrays in paths.items()
            if "path" in arrays
        }
        if not paths:
            continue
        ground = _ground(task, WINDOW * _farthest(list(paths.values())))
        figures = [
            _portrait(task, label, path, ground, looks[label])
            for label, path in paths.items()
        ]
        prose = []
        if ground.arrows is None:
            prose.append(
                "The task is not one of mmbench’s own: paths without the field."
            )
        parts.append(Subsection(title=task, prose=prose, figures=figures))
    if not parts:
        return None
    return Section(
        title="Phase portraits", anchor="portraits", prose=(PROSE,), parts=parts
    )


def _farthest(paths: list[np.ndarray]) -> float:
    """The largest coordinate of a start; 1 where none is finite."""
    starts = np.abs(np.concatenate([path[:, 0] for path in paths]).astype(float))
    finite = starts[np.isfinite(starts)]
    return max(float(finite.max()), 1e-3) if finite.size else 1.0


def _grid(reach: float, count: int) -> np.ndarray:
    side = np.linspace(-reach, reach, count)
    return np.stack(np.meshgrid(side, side), axis=-1)


def _ground(task: str, reach: float) -> Ground:
    """Field and solutions; none where the task cannot be built from its words."""
    try:
        described = TASKS.build(task, external=False)
        game = described.build(Placement(dtype=torch.float64))
    except MmbenchError:  # an outside class
        return Ground(reach, None, None)
    coarse, fine = _grid(0.93 * reach, ARROWS), _grid(reach, FINE)
    z = torch.from_numpy(coarse).reshape(-1, 2)
    field = Point(game, z, tuple(range(len(z)))).field.numpy().reshape(coarse.shape)
    norms = np.linalg.norm(field, axis=-1, keepdims=True)
    arrows = -np.divide(field, norms, where=norms > 0, out=np.zeros_like(field))
    distance = None
    if Capability.SOLUTION in described.gives:
        at = torch.from_numpy(fine).reshape(-1, 2)
        distance = game.distance(at, "declared").numpy().reshape(FINE, FINE)
    return Ground(reach, arrows, distance)


def _portrait(
    task: str, label: str, paths: np.ndarray, ground: Ground, look: style.Look
) -> Figure:
    reach = ground.reach
    finite = [path[np.isfinite(path).all(axis=-1)].astype(float) for path in paths]
    finite = [path for path in finite if len(path)]
    with style.panel(2.15, 2.07, (0.42, 0.37, 0.03, 0.03)) as (figure, axes):
        if finite:
            _draw_ground(axes, ground)
        else:
            axes.text(0, 0, "no finite point", ha="center", va="center")
        for path in finite:
            _draw_path(axes, np.clip(path, -3 * reach, 3 * reach), look)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.set_aspect("equal")
        axes.set_xlabel("x", labelpad=1)
        axes.set_ylabel("y", labelpad=-2)
        axes.grid(visible=False)
        axes.locator_params(nbins=5)
        sns.despine(ax=axes)
        drawn = style.svg(figure, f"portrait-{task}-{label}")
    return Figure(
        f"Paths of {len(finite)} runs of {label} on {task}.",
        drawn,
        title=label,
        label=True,
        width=206,
    )


def _draw_ground(axes: Axes, ground: Ground) -> None:
    reach = ground.reach
    if ground.arrows is not None:
        coarse = _grid(0.93 * reach, ARROWS)
        axes.quiver(
            coarse[..., 0],
            coarse[..., 1],
            ground.arrows[..., 0],
            ground.arrows[..., 1],
            color=style.GREY,
            alpha=0.55,
            angles="xy",
            pivot="mid",
            scale=ARROWS * 1.35,
            scale_units="width",
            width=0.005,
        )
    if ground.distance is not None:
        fine = _grid(reach, FINE)
        axes.contourf(
            fine[..., 0],
            fine[..., 1],
            ground.distance,
            levels=[-1, max(NEAR * reach, 1e-12)],
            colors=[style.INK],
            alpha=0.75,
        )


def _draw_path(axes: Axes, path: np.ndarray, look: style.Look) -> None:
    axes.plot(*path.T, color=look.colour, linewidth=1, alpha=0.9)
    axes.plot(
        *path[0],
        marker="o",
        markersize=4,
        markerfacecolor="none",
        markeredgecolor=look.colour,
    )
    axes.plot(
        *path[-1],
        marker=look.marker,
        markersize=5,
        color=look.colour,
        markeredgecolor="white",
        markeredgewidth=0.5,
    )

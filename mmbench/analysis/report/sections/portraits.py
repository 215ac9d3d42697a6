"""Phase portraits: the paths of runs on games of two variables, on their field."""

import numpy as np

from mmbench.analysis import style
from mmbench.analysis.plot.portraits import (
    Background,
    background_of,
    draw_portrait,
    paths_of,
)
from mmbench.analysis.report.sections.base import Figure, Section, Subsection
from mmbench.analysis.results import Results, labels_of, tasks_of

PROSE = (
    "Each panel shows the paths of an algorithm’s first runs in the plane of x and y. "
    "A path starts at a ring and ends at the marker of the algorithm. Arrows of equal "
    "length show −F, the direction in which both players’ gradients push; the dark "
    "spot or band is the declared set of solutions. Paths are cut off at the edge of "
    "the panel, and points that are not finite are left out."
)


def section(results: Results) -> Section | None:
    """Draw the paths of each task that has some; None if there are none at all."""
    subsections = []
    styles = style.label_styles(labels_of(results))
    for task in tasks_of(results):
        paths = paths_of(results, task)
        if not paths:
            continue
        background = background_of(task, paths.values())
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


def _portrait(
    task: str,
    label: str,
    paths: np.ndarray,
    background: Background,
    label_style: style.LabelStyle,
) -> Figure:
    with style.panel(2.15, 2.07, (0.42, 0.37, 0.03, 0.03)) as (figure, axes):
        shown = draw_portrait(axes, [(paths, label_style)], background)
        svg = style.svg(figure, "portrait", task, label)
    alt = f"Paths of {shown} runs of {label} on {task}."
    return Figure(alt, svg, title=label, label=True, width=206)

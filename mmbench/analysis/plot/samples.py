"""Samples at the end of the first runs: points of the plane, or images."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from mmbench.analysis import style
from mmbench.analysis.plot.axes import Given, check_choice, drawing_on, one_task
from mmbench.analysis.results import Results, labels_of, results_of
from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError, MmbenchError, check_keywords
from mmbench.core.game import with_modes
from mmbench.core.placement import Placement
from mmbench.metrics.mode_coverage import VISUAL_RADIUS
from mmbench.tasks import TASKS

MAX_RUNS = 4  # of a cell whose samples are shown, if there is room
MAX_IMAGE_PIXELS = 300  # width of all images in a row
IMAGES_PER_SIDE = 10  # images of a run in a row, and number of rows
COLOUR_LEVELS = 64  # indistinguishable from 256, and the file is a third smaller


@check_keywords
def samples(
    results: Given,
    task: str | None = None,
    label: str | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw the samples at the end of the first runs of an algorithm, side by side.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of a task with samples; None where there is only one.
        label: the algorithm; None where there is only one.
        ax: where to draw; None makes a figure.

    Raises:
        DescriptionError: when there are no samples.
    """
    shown = results_of(results)
    task = one_task(shown, task)
    sheets = {
        label: sheet
        for label, sheet in sheets_of(shown, task).items()
        if is_points(sheet) or is_images(sheet)
    }
    if not sheets:
        raise DescriptionError(
            f"The runs of {task} must have samples, kept in the store or by "
            f"mmbench.run; there are none in {shown.place}."
        )
    if label is None and len(sheets) > 1:
        raise DescriptionError(
            f"label must be given where there are several: {', '.join(sheets)}."
        )
    label = label or next(iter(sheets))
    check_choice("label with samples", label, sheets)
    one_style = style.label_styles(labels_of(shown))[label]
    with drawing_on(ax, sheet_size(sheets[label])) as axes:
        draw_sheet(axes, sheets[label], true_modes(task), one_style)
    return axes


def sheet_size(sheet: np.ndarray, height: float = 1.3) -> tuple[float, float]:
    """Return width and height in inches of the picture of a sheet."""
    runs = len(sheet) if is_points(sheet) else runs_in_row(sheet)
    return height * runs, height


def draw_sheet(
    axes: Axes,
    sheet: np.ndarray,
    modes: np.ndarray,
    label_style: style.LabelStyle,
) -> None:
    """Draw points or images, the runs side by side."""
    if is_points(sheet):
        draw_points(axes, sheet, modes, label_style)
        return
    axes.imshow(tile(sheet[: runs_in_row(sheet)]), interpolation="nearest")
    axes.set_axis_off()


def sheets_of(results: Results, task: str) -> dict[str, np.ndarray]:
    """Return the samples of the first runs on a task, by label."""
    sheets: dict[str, np.ndarray] = {}
    for key, footer in results.footers.items():
        if footer["task"] == task:
            sheet = results.arrays(key).get("sheet")
            if sheet is not None:
                sheets[footer["label"]] = sheet[:MAX_RUNS].astype(np.float32)
    return sheets


def true_modes(task: str) -> np.ndarray:
    """Return the modes of a task's data, shape (modes, 2); none if they are unknown."""
    try:
        description = TASKS.build(task, external=False)
    except MmbenchError:  # the task is an external class
        return np.empty((0, 2))
    if Capability.MODES not in description.gives:
        return np.empty((0, 2))
    return with_modes(description.build(Placement())).modes.cpu().numpy()


def is_points(sheet: np.ndarray) -> bool:
    """Return whether a sheet has points of the plane."""
    return sheet.ndim == 3 and sheet.shape[2] == 2


def is_images(sheet: np.ndarray) -> bool:
    """Return whether a sheet has images, grey or with one colour or three."""
    return sheet.ndim == 4 or (sheet.ndim == 5 and sheet.shape[4] in (1, 3))


def images_per_side(sheet: np.ndarray) -> int:
    """Return the images in a row of the square of a run, as many as rows."""
    return min(IMAGES_PER_SIDE, int(np.sqrt(sheet.shape[1])))


def runs_in_row(sheet: np.ndarray) -> int:
    """Return the number of runs whose images fit side by side."""
    width = images_per_side(sheet) * (sheet.shape[3] + 1)
    return min(len(sheet), max(1, MAX_IMAGE_PIXELS // width))


def draw_points(
    axes: Axes,
    sheet: np.ndarray,
    modes: np.ndarray,
    label_style: style.LabelStyle,
) -> None:
    """Draw samples in the plane, the runs side by side.

    Args:
        axes: where to draw.
        sheet: points of shape (runs, count, 2).
        modes: the true modes, shape (modes, 2).
        label_style: the style of the algorithm.
    """
    half_width = 1.3 * max(1.25, float(np.abs(modes).max(initial=0)))
    runs = len(sheet)
    for run, points in enumerate(sheet):
        centre = 2 * half_width * run
        inside = np.abs(np.nan_to_num(points, nan=np.inf)).max(axis=1) < half_width
        axes.scatter(
            points[inside, 0] + centre,
            points[inside, 1],
            s=3,
            color=label_style.colour,
            alpha=0.35,
            linewidth=0,
        )
        for mode in modes:
            axes.add_patch(
                Circle(
                    (mode[0] + centre, mode[1]),
                    VISUAL_RADIUS,
                    fill=False,
                    color=style.GREY,
                    lw=0.8,
                )
            )
        if run:
            axes.axvline(centre - half_width, color=style.GREY, linewidth=0.5)
    axes.set_xlim(-half_width, (2 * runs - 1) * half_width)
    axes.set_ylim(-half_width, half_width)
    axes.set_aspect("equal")
    axes.set_axis_off()


def tile(sheet: np.ndarray) -> np.ndarray:
    """Return the images of each run as a square, the runs side by side.

    Args:
        sheet: grey images, shape (runs, images, height, width), or coloured ones with
            the colours on a last axis; values from -1 to 1.

    Returns:
        Red, green, blue and opacity from 0 to 1; the gaps are transparent.
    """
    height, width = sheet.shape[2:4]
    side = images_per_side(sheet)
    blocks = []
    for images in sheet:
        shape = side * (height + 1) - 1, side * (width + 1) - 1
        block = np.full((*shape, 3), np.nan)
        for index, image in enumerate(images[: side**2]):
            top, left = index // side * (height + 1), index % side * (width + 1)
            coloured = image if image.ndim == 3 else image[..., None]
            block[top : top + height, left : left + width] = _to_levels(coloured)
        blocks += [block, np.full((len(block), 8, 3), np.nan)]
    picture = np.concatenate(blocks[:-1], axis=1)
    # Gaps are transparent and take the colour of the page.
    is_opaque = np.isfinite(picture).all(axis=-1, keepdims=True)
    return np.concatenate([np.nan_to_num(picture), is_opaque], axis=-1)


def _to_levels(image: np.ndarray) -> np.ndarray:
    """Map values from -1 to 1 to COLOUR_LEVELS levels from 0 to 1; NaN becomes grey."""
    finite = np.clip(np.nan_to_num(image, posinf=1, neginf=-1), -1, 1)
    return np.round((finite + 1) / 2 * (COLOUR_LEVELS - 1)) / (COLOUR_LEVELS - 1)

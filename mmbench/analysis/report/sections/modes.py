"""The samples: how they look at the end, and how many modes they cover."""

import io

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.image import imsave
from matplotlib.patches import Circle

from mmbench.analysis.report import style
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
    is_count,
    number,
    percent,
)
from mmbench.analysis.results import Results, columns_of, labels_of, tasks_of
from mmbench.core.capability import Capability
from mmbench.core.errors import MmbenchError
from mmbench.core.game import with_modes
from mmbench.core.placement import Placement
from mmbench.metrics.mode_coverage import VISUAL_RADIUS
from mmbench.tasks import TASKS

PROSE = (
    "Samples are those of the first runs of each algorithm; they were not selected. "
    "Modes are counted at the last recorded step, and in a failed run where it stopped."
)
MAX_RUNS = 4  # of a cell whose samples are shown, if there is room
MAX_IMAGE_PIXELS = 300  # width of all images in a row
IMAGES_PER_SIDE = 10  # images of a run in a row, and number of rows
COLOUR_LEVELS = 64  # indistinguishable from 256, and the file is a third smaller


def section(results: Results) -> Section | None:
    """Show the samples of each task that has some; None if there are none at all."""
    subsections = [
        subsection
        for task in tasks_of(results)
        for subsection in (_counts(results, task), _samples(results, task))
        if subsection
    ]
    if not subsections:
        return None
    return Section(
        title="Samples", anchor="samples", prose=(PROSE,), subsections=subsections
    )


# ---- counts ----


def _counts(results: Results, task: str) -> Subsection | None:
    """Show how many runs cover how many modes or digits."""
    columns = [column for column in columns_of(results, task) if is_count(column)]
    if not columns:
        return None
    frame = results.frame[results.frame["task"] == task]
    last = frame[frame["step"] == frame.groupby("key")["step"].transform("max")]
    names = [column["name"] for column in columns]
    largest = int(np.nan_to_num(last[names].to_numpy(float)).max())
    styles = style.label_styles(labels_of(results))
    figures = [
        _histogram(task, str(label), runs[names[0]], largest, styles[str(label)])
        for label, runs in last.groupby("label", sort=False)
    ]
    rows: list[list[TableCell]] = []
    for label, runs in last.groupby("label", sort=False):
        for column in columns:
            values = runs[column["name"]]
            title = column["title"]
            if missing := int(values.isna().sum()):
                title += f"; {missing} without a value"
            cells = [TableCell(str(label), label=True), TableCell(title)]
            for count in range(largest + 1):
                number_of_runs = int((values == count).sum())
                share = number_of_runs / len(values)
                cells.append(
                    TableCell(str(number_of_runs), number_of_runs, shade=share)
                )
            mean = float(values.mean())
            cells.append(TableCell("–" if np.isnan(mean) else f"{mean:.2f}", mean))
            rows.append(cells)
    counts = [f"#{count}" for count in range(largest + 1)]
    return Subsection(
        title=task,
        prose=[
            f"Share of runs by {columns[0]['title']}. The number above a bar is the "
            "number of runs."
        ],
        figures=figures,
        tables=[
            Table(
                "Number of runs by count at the last recorded step, under each rule",
                ["Algorithm", "Rule", *counts, "#Mean"],
                rows,
                folded=len(columns) > 1,
            )
        ],
    )


def _histogram(
    task: str,
    label: str,
    values: pd.Series,
    largest: int,
    label_style: style.LabelStyle,
) -> Figure:
    runs = [int((values == count).sum()) for count in range(largest + 1)]
    shares = [number_of_runs / len(values) for number_of_runs in runs]
    with style.panel(1.75, 1.35, (0.45, 0.22, 0.02, 0.02)) as (figure, axes):
        sns.barplot(
            x=list(range(largest + 1)),
            y=shares,
            color=label_style.colour,
            saturation=1,
            ax=axes,
        )
        for count, share in enumerate(shares):
            if share:
                text = str(runs[count])
                axes.text(count, share + 0.02, text, ha="center", va="bottom")
        axes.set_ylim(0, 1.18)
        axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", length=0)
        sns.despine(ax=axes, left=True)
        svg = style.svg(figure, "modes", task, label)
    distribution = ", ".join(
        f"{count} in {percent(share)} of the runs"
        for count, share in enumerate(shares)
        if share
    )
    alt = f"Counts of {label}: {distribution}."
    return Figure(alt, svg, title=label, label=True, width=168)


# ---- samples ----


def _samples(results: Results, task: str) -> Subsection | None:
    """Show the sample sheets of a task: points of the plane, or images."""
    styles = style.label_styles(labels_of(results))
    sheets: dict[str, np.ndarray] = {}
    remarks: dict[str, str] = {}
    for key, footer in results.footers.items():
        if footer["task"] != task:
            continue
        label, sheet = footer["label"], results.arrays(key).get("sheet")
        if sheet is not None:
            sheets[label] = sheet[:MAX_RUNS].astype(np.float32)
        if key in results.unfinished and not footer["at_work"]["ended"]:
            remarks[label] = f"unfinished, step {number(footer['at_work']['step'])}"
    points = {
        label: sheet
        for label, sheet in sheets.items()
        if sheet.ndim == 3 and sheet.shape[2] == 2
    }
    images = {label: sheet for label, sheet in sheets.items() if _is_images(sheet)}
    if points:
        modes = _true_modes(task)
        figures = [
            _scatter(label, sheet, modes, styles[label], remarks.get(label, ""))
            for label, sheet in points.items()
        ]
        count = next(iter(points.values())).shape[1]
        prose = (
            f"Each panel shows {count} samples from the end of one of the first runs."
        )
        if len(modes):
            prose += f" Circles of radius {VISUAL_RADIUS} mark the true modes."
        prose += " Samples outside the panel are not shown."
    elif images:
        figures = [
            _tiles(label, sheet, remarks.get(label, ""))
            for label, sheet in images.items()
        ]
        prose = "Images from the end of the first runs, one block for each run."
        if all(_runs_in_row(sheet) == 1 for sheet in images.values()):
            prose = "Images from the end of the first run."
    else:
        return None
    return Subsection(title=f"{task}: samples", prose=[prose], figures=figures)


def _true_modes(task: str) -> np.ndarray:
    """Return the modes of a task's data, shape (modes, 2); none if they are unknown."""
    try:
        description = TASKS.build(task, external=False)
    except MmbenchError:  # the task is an external class
        return np.empty((0, 2))
    if Capability.MODES not in description.gives:
        return np.empty((0, 2))
    return with_modes(description.build(Placement())).modes.cpu().numpy()


def _scatter(
    label: str,
    sheet: np.ndarray,
    modes: np.ndarray,
    label_style: style.LabelStyle,
    remark: str,
) -> Figure:
    """Draw samples in the plane, one panel for each run."""
    half_width = 1.3 * max(1.25, float(np.abs(modes).max(initial=0)))
    runs = len(sheet)
    with style.panel(1.3 * runs, 1.3, style.NO_MARGINS) as (figure, axes):
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
        png = style.png(figure)
    return Figure(
        f"Samples from {runs} run{'s' if runs > 1 else ''} of {label}.",
        png=png,
        title=label,
        label=True,
        remark=remark,
        width=round(125 * runs),
    )


def _is_images(sheet: np.ndarray) -> bool:
    """Return whether a sheet has images, grey or with one colour or three."""
    return sheet.ndim == 4 or (sheet.ndim == 5 and sheet.shape[4] in (1, 3))


def _images_per_side(sheet: np.ndarray) -> int:
    return min(IMAGES_PER_SIDE, int(np.sqrt(sheet.shape[1])))


def _runs_in_row(sheet: np.ndarray) -> int:
    """Return the number of runs whose images fit side by side."""
    width = _images_per_side(sheet) * (sheet.shape[3] + 1)
    return min(len(sheet), max(1, MAX_IMAGE_PIXELS // width))


def _tiles(label: str, sheet: np.ndarray, remark: str) -> Figure:
    """Draw the images of each run as a square.

    Args:
        label: the algorithm's label.
        sheet: grey images, shape (runs, images, height, width), or coloured ones with
            the colours on a last axis; values from -1 to 1.
        remark: text after the title.
    """
    sheet = sheet[: _runs_in_row(sheet)]
    runs, _, height, width = sheet.shape[:4]
    side = _images_per_side(sheet)
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
    rgba = np.concatenate([np.nan_to_num(picture), is_opaque], axis=-1)
    buffer = io.BytesIO()
    imsave(
        buffer,
        (255 * rgba).round().astype(np.uint8),
        format="png",
        metadata={"Software": None},  # type: ignore[dict-item]  # None leaves it out
        pil_kwargs={"optimize": True},
    )
    is_small = width < 16  # digits of 8 x 8 pixels
    source = f"each of {runs} runs" if runs > 1 else "one run"
    return Figure(
        f"{side**2} images from {source} of {label}.",
        png=style.data_uri(buffer.getvalue()),
        title=label,
        label=True,
        remark=remark,
        width=picture.shape[1] * (2 if is_small else 1),
        pixelated=is_small,
    )


def _to_levels(image: np.ndarray) -> np.ndarray:
    """Map values from -1 to 1 to COLOUR_LEVELS levels from 0 to 1; NaN becomes grey."""
    finite = np.clip(np.nan_to_num(image, posinf=1, neginf=-1), -1, 1)
    return np.round((finite + 1) / 2 * (COLOUR_LEVELS - 1)) / (COLOUR_LEVELS - 1)

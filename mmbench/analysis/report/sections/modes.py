"""Samples: what they look like at the end, and how many modes they cover."""

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
from mmbench.core.placement import Placement
from mmbench.metrics.mode_coverage import VISUAL_RADIUS
from mmbench.tasks import TASKS

PROSE = (
    "Samples are those of the first runs of each cell, not chosen. Counts of modes are "
    "those of the last record; runs that broke down are counted where they stopped."
)
RUNS = 4  # of a cell whose samples are shown, where images are small enough
ROOM = 300  # pixels of all images in a row
ACROSS = 10  # images of a run in a row, and as many rows
LEVELS = 64  # of each colour; the eye misses none, and a file is a third smaller


def section(results: Results) -> Section | None:
    """One part for each task whose samples are counted or kept."""
    parts = []
    for task in tasks_of(results):
        parts += [
            part for part in (_counts(results, task), _sheets(results, task)) if part
        ]
    if not parts:
        return None
    return Section(title="Samples", anchor="samples", prose=(PROSE,), parts=parts)


# ---- counts ----


def _counts(results: Results, task: str) -> Subsection | None:
    columns = [one for one in columns_of(results, task) if is_count(one)]
    if not columns:
        return None
    frame = results.frame[results.frame["task"] == task]
    last = frame[frame["step"] == frame.groupby("key")["step"].transform("max")]
    names = [one["name"] for one in columns]
    most = int(np.nan_to_num(last[names].to_numpy(float)).max())
    looks = style.looks(labels_of(results))
    figures = [
        _histogram(task, str(label), runs[names[0]], most, looks[str(label)])
        for label, runs in last.groupby("label", sort=False)
    ]
    rows = []
    for label, runs in last.groupby("label", sort=False):
        for column in columns:
            values = runs[column["name"]]
            cells = [TableCell(str(label), label=True), TableCell(column["title"])]
            for count in range(most + 1):
                of = int((values == count).sum())
                cells.append(TableCell(str(of), of, shade=of / len(values)))
            cells.append(TableCell(f"{values.mean():.2f}", values.mean()))
            if values.isna().any():
                cells[1] = TableCell(
                    f"{column['title']}; {values.isna().sum()} without"
                )
            rows.append(cells)
    counted = [f"#{count}" for count in range(most + 1)]
    return Subsection(
        title=task,
        prose=[f"Share of runs by {columns[0]['title']}."],
        figures=figures,
        tables=[
            Table(
                "Runs by count at the last record, by each rule.",
                ["Algorithm", "Rule", *counted, "#Mean"],
                rows,
                folded=len(columns) > 1,
            )
        ],
    )


def _histogram(
    task: str, label: str, values: pd.Series, most: int, look: style.Look
) -> Figure:
    counts = [int((values == count).sum()) for count in range(most + 1)]
    shares = [count / len(values) for count in counts]
    with style.panel(1.75, 1.35, (0.45, 0.22, 0.02, 0.02)) as (figure, axes):
        sns.barplot(
            x=list(range(most + 1)), y=shares, color=look.colour, saturation=1, ax=axes
        )
        for at, (count, share) in enumerate(zip(counts, shares, strict=True)):
            if count:
                axes.text(at, share + 0.02, str(count), ha="center", va="bottom")
        axes.set_ylim(0, 1.18)
        axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", length=0)
        sns.despine(ax=axes, left=True)
        drawn = style.svg(figure, f"modes-{task}-{label}")
    told = ", ".join(
        f"{count} in {percent(share)} of runs"
        for count, share in enumerate(shares)
        if share
    )
    return Figure(f"{label}: {told}.", drawn, title=label, label=True, width=168)


# ---- samples ----


def _sheets(results: Results, task: str) -> Subsection | None:
    looks = style.looks(labels_of(results))
    found, said = {}, {}
    for key, footer in results.footers.items():
        if footer["task"] != task:
            continue
        sheet = results.arrays(key).get("sheet")
        if sheet is not None:
            found[footer["label"]] = sheet[:RUNS].astype(np.float32)
        if key in results.at_work and not footer["at_work"]["ended"]:
            said[footer["label"]] = f"at work, step {number(footer['at_work']['step'])}"
    points = {
        label: sheet
        for label, sheet in found.items()
        if sheet.ndim == 3 and sheet.shape[2] == 2
    }
    images = {label: sheet for label, sheet in found.items() if sheet.ndim >= 4}
    if points:
        modes = _true_modes(task)
        figures = [
            _scatter(label, sheet, modes, looks[label], said.get(label, ""))
            for label, sheet in points.items()
        ]
        rings = (
            f" Rings of radius {VISUAL_RADIUS} mark the true modes; "
            "samples far out are cut off."
            if len(modes)
            else ""
        )
        count = next(iter(points.values())).shape[1]
        prose = f"{count} samples of each of the first runs, at the end.{rings}"
    elif images:
        figures = [
            _tiles(label, sheet, said.get(label, "")) for label, sheet in images.items()
        ]
        prose = "Images from the first runs, at the end; one block a run."
        if all(_runs_beside(sheet) == 1 for sheet in images.values()):
            prose = "Images from the first run, at the end."
    else:
        return None
    return Subsection(title=f"{task}: samples", prose=[prose], figures=figures)


def _true_modes(task: str) -> np.ndarray:
    """Where the modes are; none where the task cannot be built from its words."""
    try:
        description = TASKS.build(task, external=False)
    except MmbenchError:  # an outside class
        return np.empty((0, 2))
    if Capability.MODES not in description.gives:
        return np.empty((0, 2))
    return description.build(Placement()).modes.cpu().numpy()


def _scatter(
    label: str, sheet: np.ndarray, modes: np.ndarray, look: style.Look, said: str
) -> Figure:
    reach = 1.3 * max(1.25, float(np.abs(modes).max(initial=0)))
    runs = len(sheet)
    with style.panel(1.3 * runs, 1.3, style.BARE) as (figure, axes):
        for run, points in enumerate(sheet):
            centre = 2 * reach * run
            inside = np.abs(np.nan_to_num(points, nan=np.inf)).max(axis=1) < reach
            shown = points[inside] + np.array((centre, 0))
            axes.scatter(*shown.T, s=3, color=look.colour, alpha=0.35, linewidth=0)
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
                axes.axvline(centre - reach, color=style.GREY, linewidth=0.5)
        axes.set_xlim(-reach, (2 * runs - 1) * reach)
        axes.set_ylim(-reach, reach)
        axes.set_aspect("equal")
        axes.set_axis_off()
        address = style.png(figure)
    return Figure(
        f"Samples of {runs} runs of {label}.",
        address=address,
        title=label,
        label=True,
        said=said,
        width=round(125 * runs),
    )


def _runs_beside(sheet: np.ndarray) -> int:
    """Runs whose images have room side by side."""
    across = min(ACROSS, int(np.sqrt(sheet.shape[1])))
    block = across * (sheet.shape[3] + 1)
    return min(len(sheet), max(1, ROOM // block))


def _tiles(label: str, sheet: np.ndarray, said: str) -> Figure:
    """Images in squares of rows and columns, one a run; grey, or colours last."""
    sheet = sheet[: _runs_beside(sheet)]
    runs, count, height, width = sheet.shape[:4]
    across = min(ACROSS, int(np.sqrt(count)))
    blocks = []
    for images in sheet:
        shape = across * (height + 1) - 1, across * (width + 1) - 1
        block = np.full((*shape, 3), np.nan)
        for index, image in enumerate(images[: across**2]):
            top, left = index // across * (height + 1), index % across * (width + 1)
            coloured = image if image.ndim == 3 else image[..., None]
            block[top : top + height, left : left + width] = _seen(coloured)
        blocks += [block, np.full((len(block), 8, 3), np.nan)]
    picture = np.concatenate(blocks[:-1], axis=1)
    # Gaps are transparent, so that they take the colour of the page.
    opaque = np.isfinite(picture).all(axis=-1, keepdims=True)
    shown = np.concatenate([np.nan_to_num(picture), opaque], axis=-1)
    buffer = io.BytesIO()
    imsave(
        buffer,
        (255 * shown).round().astype(np.uint8),
        format="png",
        metadata={"Software": None},
        pil_kwargs={"optimize": True},
    )
    small = width < 16  # the digits of 8 x 8 pixels
    return Figure(
        f"{across**2} images from {f'each of {runs} runs' if runs > 1 else 'a run'} of "
        f"{label}.",
        address=style.address(buffer.getvalue()),
        title=label,
        label=True,
        said=said,
        width=picture.shape[1] * (2 if small else 1),
        crisp=small,
    )


def _seen(image: np.ndarray) -> np.ndarray:
    """An image from -1 to 1 as one from 0 to 1, in LEVELS steps; NaN is grey."""
    whole = np.clip(np.nan_to_num(image, posinf=1, neginf=-1), -1, 1)
    return np.round((whole + 1) / 2 * (LEVELS - 1)) / (LEVELS - 1)

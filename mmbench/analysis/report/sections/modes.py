"""The samples: how they look at the end, and how many modes they cover."""

import io

import numpy as np
import pandas as pd
from matplotlib.image import imsave

from mmbench.analysis import style
from mmbench.analysis.numbers import number, percent
from mmbench.analysis.plot.counts import draw_histogram, last_records
from mmbench.analysis.plot.samples import (
    draw_points,
    images_per_side,
    is_images,
    is_points,
    runs_in_row,
    sheets_of,
    tile,
    true_modes,
)
from mmbench.analysis.report.sections.base import (
    Figure,
    Section,
    Subsection,
    Table,
    TableCell,
)
from mmbench.analysis.results import (
    Results,
    columns_of,
    is_count,
    labels_of,
    target_in_words,
    target_of,
    tasks_of,
)
from mmbench.metrics.mode_coverage import VISUAL_RADIUS

PROSE = (
    "Samples are those of the first runs of each algorithm; they were not selected. "
    "Modes are counted at the last recorded step, and in a failed run where it stopped."
)


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
    last = last_records(results, task)
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
    prose = (
        f"Share of runs by {columns[0]['title']}. The number above a bar is the number "
        "of runs."
    )
    if target_of(results, task):
        target = target_in_words(results, task)
        prose += f" A run succeeds {target}, which a count alone does not show."
    return Subsection(
        title=task,
        prose=[prose],
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
    with style.panel(1.75, 1.35, (0.45, 0.22, 0.02, 0.02)) as (figure, axes):
        shares = draw_histogram(axes, values, largest, label_style)
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
    sheets = sheets_of(results, task)
    remarks: dict[str, str] = {}
    for key in results.unfinished:
        footer = results.footers[key]
        if footer["task"] == task and not footer["at_work"]["ended"]:
            step = number(footer["at_work"]["step"])
            remarks[footer["label"]] = f"unfinished, step {step}"
    points = {label: sheet for label, sheet in sheets.items() if is_points(sheet)}
    images = {label: sheet for label, sheet in sheets.items() if is_images(sheet)}
    if points:
        modes = true_modes(task)
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
        if all(runs_in_row(sheet) == 1 for sheet in images.values()):
            prose = "Images from the end of the first run."
    else:
        return None
    return Subsection(title=f"{task}: samples", prose=[prose], figures=figures)


def _scatter(
    label: str,
    sheet: np.ndarray,
    modes: np.ndarray,
    label_style: style.LabelStyle,
    remark: str,
) -> Figure:
    """Draw samples in the plane, one panel for each run."""
    runs = len(sheet)
    with style.panel(1.3 * runs, 1.3, style.NO_MARGINS) as (figure, axes):
        draw_points(axes, sheet, modes, label_style)
        png = style.png(figure)
    return Figure(
        f"Samples from {runs} run{'s' if runs > 1 else ''} of {label}.",
        png=png,
        title=label,
        label=True,
        remark=remark,
        width=round(125 * runs),
    )


def _tiles(label: str, sheet: np.ndarray, remark: str) -> Figure:
    """Draw the images of each run as a square.

    Args:
        label: the algorithm's label.
        sheet: grey images, shape (runs, images, height, width), or coloured ones with
            the colours on a last axis; values from -1 to 1.
        remark: text after the title.
    """
    sheet = sheet[: runs_in_row(sheet)]
    (runs, _, _, width), side = sheet.shape[:4], images_per_side(sheet)
    picture = tile(sheet)
    buffer = io.BytesIO()
    imsave(
        buffer,
        (255 * picture).round().astype(np.uint8),
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

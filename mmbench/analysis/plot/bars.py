"""Bars of the shares of runs, one bar for each algorithm."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from mmbench.analysis import style
from mmbench.analysis.plot.axes import Given, add_colours, drawing_on, one_task
from mmbench.analysis.results import Results, results_of
from mmbench.core.errors import check_keywords
from mmbench.core.status import Status

MIN_SHARE_WITH_COUNT = (
    0.06  # share of runs from which on the bar has room for its count
)
LIGHT = (Status.FINISHED, Status.STOPPED, Status.DIVERGED)  # bars with dark text
# Status to the colours of its bar and of the text in it.
STATUS_STYLES: dict[Any, tuple[str, str]] = {
    status: (colour, "black" if status in LIGHT else "white")
    for status, colour in style.STATUS_COLOURS.items()
}


@check_keywords
def outcomes(
    results: Given,
    task: str | None = None,
    *,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw how the runs of each algorithm ended, as shares of a bar.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of the task; None where there is only one.
        legend: whether a legend explains the colours.
        ax: where to draw; None makes a figure.
    """
    shown = results_of(results)
    task = one_task(shown, task)
    runs = runs_of(shown)
    counts = outcome_counts(runs[runs["task"] == task])
    width, height, _ = bars_size(list(counts.index), 5.3)
    with drawing_on(ax, (width, height)) as axes:
        draw_bars(axes, counts, STATUS_STYLES)
        if legend:
            colours = {str(one): STATUS_STYLES[one][0] for one in counts}
            add_colours(axes, colours, beside=True)
    return axes


def runs_of(results: Results) -> pd.DataFrame:
    """Return one row for each run."""
    columns = [
        "task",
        "label",
        "algorithm",
        "seed",
        "status",
        "stopped_at",
        "reason",
        "key",
    ]
    return results.frame.drop_duplicates(["key", "seed"])[columns].reset_index(
        drop=True
    )


def outcome_counts(
    runs: pd.DataFrame, statuses: Sequence[Status] = tuple(style.STATUS_COLOURS)
) -> pd.DataFrame:
    """Count the runs of each label, in rows, with each status that occurs."""
    counts = pd.crosstab(runs["label"], runs["status"])
    labels = list(dict.fromkeys(runs["label"]))
    there = [status for status in statuses if status in counts]
    return counts.reindex(index=labels, columns=there)


def bars_size(
    labels: Sequence[str], width: float
) -> tuple[float, float, style.Margins]:
    """Return width, height and margins in inches of bars with these labels."""
    names, left = style.wrap_axis_labels(labels)
    per_bar = 0.36 if any("\n" in name for name in names) else 0.26
    return width, 0.5 + per_bar * len(labels), (left, 0.42, 0.25, 0.05)


def draw_bars(
    axes: Axes, counts: pd.DataFrame, styles: Mapping[Any, tuple[str, str]]
) -> None:
    """Draw the share of each kind of runs as a part of a bar.

    Args:
        axes: where to draw.
        counts: number of runs, with a row for each label and a column for each kind.
        styles: kind to the colours of its part and of the text in it.
    """
    labels = list(counts.index)
    for y, (_, row) in enumerate(counts.iterrows()):
        start, total = 0.0, row.sum()
        for kind, count in row.items():
            if not count:
                continue
            share = count / total
            colour, ink = styles[kind]
            axes.barh(
                y,
                share,
                left=start,
                height=0.72,
                color=colour,
                edgecolor="white",
                linewidth=0.8,
            )
            if share >= MIN_SHARE_WITH_COUNT:
                axes.text(
                    start + share / 2,
                    y,
                    str(count),
                    ha="center",
                    va="center_baseline",
                    color=ink,
                )
            start += share
    axes.set_yticks(range(len(labels)), style.wrap_axis_labels(labels)[0])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlabel("share of runs (counts in the bars)")
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "top", "right"]].set_visible(False)

"""How many modes or digits the runs cover at their ends."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from mmbench.analysis import style
from mmbench.analysis.plot.axes import (
    Given,
    add_colours,
    check_choice,
    drawing_on,
    one_task,
)
from mmbench.analysis.plot.bars import bars_size, draw_bars
from mmbench.analysis.results import (
    Results,
    columns_of,
    is_count,
    labels_of,
    results_of,
)
from mmbench.core.errors import DescriptionError, check_keywords

NO_VALUE = -1  # the count of runs that have none


@check_keywords
def modes(
    results: Given,
    task: str | None = None,
    label: str | None = None,
    *,
    metric: str | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw the shares of runs by the number of modes or digits that they cover.

    Args:
        results: the table of `mmbench.run` or `mmbench.load`, or the folder of a store.
        task: spec of a task with modes; None where there is only one.
        label: the algorithm of which a histogram is drawn; None draws a bar for each.
        metric: name of a column of counts; None for the first.
        legend: whether a legend explains the colours of the bars.
        ax: where to draw; None makes a figure.

    Raises:
        DescriptionError: when no column counts modes or digits.
    """
    shown = results_of(results)
    task = one_task(shown, task)
    columns = {
        column["name"]: column for column in columns_of(shown, task) if is_count(column)
    }
    if not columns:
        raise DescriptionError(
            f"The results of {task} must have a column that counts modes or digits, "
            "such as modes or digits; they have none."
        )
    name = metric or next(iter(columns))
    check_choice("column of counts", name, columns)
    last = last_records(shown, task)
    if label is not None:
        check_choice("label", label, list(dict.fromkeys(last["label"])))
        one_style = style.label_styles(labels_of(shown))[label]
        largest = int(np.nan_to_num(last[name].to_numpy(float)).max())
        with drawing_on(ax, (3.2, 2.4)) as axes:
            values = last.loc[last["label"] == label, name]
            draw_histogram(axes, values, largest, one_style)
            axes.set_xlabel(columns[name]["title"])
        return axes
    counts = mode_counts(last, name)
    width, height, _ = bars_size(list(counts.index), 5.3)
    with drawing_on(ax, (width, height)) as axes:
        styles = count_styles(int(max(counts.columns)))
        draw_bars(axes, counts, styles)
        axes.set_xlabel(f"share of runs by {columns[name]['title']}")
        if legend:
            add_colours(axes, count_colours(counts, styles), beside=True)
    return axes


def last_records(results: Results, task: str) -> pd.DataFrame:
    """Return the last record of each run on a task."""
    frame = results.frame[results.frame["task"] == task]
    return frame[frame["step"] == frame.groupby("key")["step"].transform("max")]


def mode_counts(last: pd.DataFrame, name: str) -> pd.DataFrame:
    """Count the runs of each label, in rows, that cover each number of modes.

    The largest number comes first, and `NO_VALUE` stands for runs without one.
    """
    labels = list(dict.fromkeys(last["label"]))
    counts = pd.crosstab(last["label"], last[name].fillna(NO_VALUE).astype(int))
    return counts.reindex(index=labels)[sorted(counts.columns, reverse=True)]


def count_styles(largest: int) -> dict[int, tuple[str, str]]:
    """Return the colours of each count and of text on it, the darker the more."""
    shares = {count: count / max(largest, 1) for count in range(largest + 1)}
    return {NO_VALUE: (style.GREY, "black")} | {
        count: (to_hex(style.SHADES(share)), "white" if share > style.DARK else "black")
        for count, share in shares.items()
    }


def count_colours(
    counts: pd.DataFrame, styles: Mapping[int, tuple[str, str]]
) -> dict[str, str]:
    """Return the colour of each count, for a legend."""
    return {
        "no value" if count == NO_VALUE else str(count): styles[count][0]
        for count in counts.columns.astype(int)
    }


def draw_histogram(
    axes: Axes, values: pd.Series, largest: int, label_style: style.LabelStyle
) -> Sequence[float]:
    """Draw the shares of runs by count, and return them.

    Args:
        axes: where to draw.
        values: the count of each run; NaN where there is none.
        largest: the largest count on the axis.
        label_style: the style of the algorithm.
    """
    runs = [int((values == count).sum()) for count in range(largest + 1)]
    shares = [number_of_runs / len(values) for number_of_runs in runs]
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
    return shares

"""Maps of stable step sizes, by theory and by runs, side by side."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mmbench.analysis import style
from mmbench.analysis.numbers import percent
from mmbench.studies import stability
from mmbench.studies.figures import PAIRS

LEVELS = (0, 0.9, 0.99, 1)  # of radii, between which shades change
SHADES = [style.SHADES(share) for share in (1.0, 0.6, 0.25)]
ACROSS = 4  # methods side by side
CONVERGES, UNLIKE = style.COLOURS[2], style.COLOURS[3]
TICKS = (0.001, 0.03, 1)
TITLE_CHARACTERS = 28  # of a line above two maps
IN_CORNER = {"size": 6.5, "va": "top", "ha": "left"}


def differing(table: pd.DataFrame) -> tuple[int, int]:
    """Count the pairs at which theory and runs differ, and those far from radius 1."""
    unlike = (table["radius"] < 1) != table["converged"]
    far = (table["radius"] - 1).abs() > stability.NEAR
    return int(unlike.sum()), int((unlike & far).sum())


def alike(table: pd.DataFrame) -> list[list[str]]:
    """Group methods with the same radii, up to rounding, in order."""
    radii: dict[bytes, list[str]] = {}
    for method, rows in table.groupby("method", sort=False):
        found = rows["radius"].to_numpy().round(9).tobytes()
        radii.setdefault(found, []).append(str(method))
    return list(radii.values())


def stability_figure(table: pd.DataFrame) -> tuple[Figure, str]:
    """Draw the stable step sizes of every method that has some, and say what is seen.

    Args:
        table: the table of `mmbench.testing.stable_regions`.

    Returns:
        The figure, which is drawn in the style of the caller, and sentences.
    """
    stable = table.groupby("method", sort=False)["radius"].min() < 1
    groups = alike(table[table["method"].isin(stable.index[stable])])
    rows = -(-len(groups) // ACROSS)
    figure = Figure(figsize=(6.75, 0.98 * rows + 0.75), layout="constrained")
    grid = figure.subplots(rows, 2 * ACROSS, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[2 * len(groups) :]:
        axes.set_axis_off()
    for at, group in enumerate(groups):
        exact, by_runs = grid.flat[2 * at : 2 * at + 2]
        rows_of_first = table[table["method"] == group[0]]
        _draw(exact, rows_of_first, runs=False)
        _draw(by_runs, rows_of_first, runs=True)
        exact.set_title(_title(group), fontsize=7, loc="left", pad=3)
        if at < ACROSS:
            for axes, text in ((exact, "exact"), (by_runs, "by runs")):
                axes.text(0.05, 0.94, text, transform=axes.transAxes, **IN_CORNER)
    figure.supxlabel("step size of x", fontsize=8)
    figure.supylabel("step size of y", fontsize=8)
    texts = ["radius < 0.9", "< 0.99", "< 1", "run converges", "unlike exact"]
    handles = [Patch(color=one) for one in (*SHADES, CONVERGES, UNLIKE)]
    figure.legend(
        handles, texts, loc="outside upper center", ncols=5, frameon=False, fontsize=7.5
    )
    return figure, _sentences(table, stable)


def _title(group: Sequence[str]) -> str:
    names = [
        method.replace("[is_aligned=false]", ", not aligned").replace("_", " ")
        for method in group
    ]
    return fill(", ".join(names), TITLE_CHARACTERS)


def _draw(axes: Axes, rows: pd.DataFrame, *, runs: bool) -> None:
    at_x, at_y = (np.unique(rows[f"step_size_{player}"]) for player in "xy")
    rows = rows.sort_values(["step_size_y", "step_size_x"])
    radius, reached = (
        rows[name].to_numpy().reshape(len(at_y), len(at_x))
        for name in ("radius", "converged")
    )
    if runs:  # a shade where they converge, another where that is unlike theory
        unlike = reached != (radius < 1)
        shown = np.where(unlike, 1.0, np.where(reached, 0.0, np.nan))
        colours = ListedColormap([CONVERGES, UNLIKE])
        axes.pcolormesh(at_x, at_y, shown, cmap=colours, vmin=0, vmax=1)
    else:
        levels = BoundaryNorm(LEVELS, len(SHADES))
        stable = np.where(radius < 1, radius, np.nan)
        axes.pcolormesh(at_x, at_y, stable, cmap=ListedColormap(SHADES), norm=levels)
    for pair in PAIRS:
        p, q = map(float, pair.strip("()").split(","))
        axes.plot(
            p, q, marker="o", markersize=3, color="black", markerfacecolor="white"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(labelsize=6.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_locator(FixedLocator(TICKS))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _sentences(table: pd.DataFrame, stable: "pd.Series[bool]") -> str:
    unlike, far = differing(table)
    never = ", ".join(str(name) for name in stable.index[~stable])
    shares = (
        table.assign(stable=table["radius"] < 1).groupby("method")["stable"].mean()
    ).sort_values(ascending=False)
    pairs = len(table) // table["method"].nunique()
    reasons: dict[str, list[str]] = {}
    for method, reason in stability.NOT_LINEAR.items():
        reasons.setdefault(reason, []).append(method)
    without = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    return (
        f"Spectral radii of {table['method'].nunique()} methods at {pairs} pairs of "
        f"step sizes each, and runs of {stability.STEPS} steps: they differ at "
        f"{unlike} of {len(table)} pairs, {far} of them farther than "
        f"{stability.NEAR:g} from radius 1. The largest share of the map is stable "
        f"under {shares.index[0]} ({percent(shares.iloc[0])}; gda "
        f"{percent(shares['gda'])}), and nowhere under {never}. Circles are the three "
        f"pairs of the paper. Not on the map are {without}."
    )

"""Shares of runs that reached their target against cost, and profiles over tasks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from mmbench.analysis import stats, style
from mmbench.analysis.leaderboard import Entry
from mmbench.analysis.plot.curves import draw_faintly

POINTS = 60  # of a curve
DECADES = 3  # of costs that a curve shows at most
RATIOS = np.geomspace(1, 32, POINTS)  # of costs to the least one
TICKS = [0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"]


class Curve(NamedTuple):
    """A share against cost.

    Args:
        cost: costs, or ratios of costs, shape (points,).
        share: from 0 to 1, shape (points,).
        low: lower ends of intervals; NaN for none, shape (points,).
        high: upper ends, shape (points,).
    """

    cost: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def shares_of(entries: Sequence[Entry]) -> dict[str, Curve]:
    """Return the share of runs that reached their target within a cost, by label.

    The curve of an entry ends at the largest cost that a run of it spent.

    Args:
        entries: those of one task.
    """
    first = min(float(entry.cost_to_target.min()) for entry in entries)
    curves = {}
    for entry in entries:
        last = float(entry.cost.max())
        start = max(min(first / 1.25, last / 2), last / 10**DECADES)
        budgets = np.append(np.geomspace(start, last, POINTS)[:-1], last)
        # A run that broke down cannot reach its target at any cost.
        missed = np.where(entry.dead, np.inf, entry.cost)
        costs = np.where(entry.success, entry.cost_to_target, missed)
        share, low, high = stats.share_reached(costs, entry.success, budgets)
        if entry.unit is not None:
            share, low, high = _over_units(entry, costs, budgets)
        if entry.identical:
            low, high = np.full((2, POINTS), np.nan)
        curves[entry.label] = Curve(budgets, share, low, high)
    return curves


def _over_units(
    entry: Entry, costs: np.ndarray, budgets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean share of the units of an entry, and its interval.

    Args:
        entry: an entry of several instances or repetitions.
        costs: as `stats.share_reached` takes them.
        budgets: the same.
    """
    shares = entry.over_units(
        np.arange(len(costs)),
        lambda runs: stats.share_reached(costs[runs], entry.success[runs], budgets)[0],
    )
    mean, squares = shares.mean(axis=0), (shares**2).mean(axis=0)
    low, high = stats.interval_of_moments(
        mean[:, None], squares[:, None], float(len(shares))
    )
    return mean, low, high


def data_profiles(entries: Mapping[str, Sequence[Entry]]) -> dict[str, Curve]:
    """Return the mean over tasks of the shares of runs that reached their target.

    Costs are shares of the equal cost of a task: what every run of it has spent that
    neither reached its target nor broke down, so that no run is censored.

    Args:
        entries: label to its entries, one for each task, tasks in the same order.
    """
    tasks = list(zip(*entries.values(), strict=True))
    equal = np.array([equal_cost(of_task) for of_task in tasks])
    shown = np.linspace(1 / POINTS, 1, POINTS)
    curves = {}
    for label, own in entries.items():
        first, second, units = [], [], []
        for entry, cost in zip(own, equal, strict=True):
            reached = entry.cost_to_target[:, None] <= cost * shown
            # Of units, as instances, the shares; otherwise the runs themselves.
            values = entry.over_units(reached.astype(float), _mean_of_runs)
            first.append(values.mean(axis=0))
            second.append((values**2).mean(axis=0))
            units.append(len(values))
        means = np.stack(first, axis=1)
        low, high = stats.interval_of_moments(
            means, np.stack(second, axis=1), float(min(units))
        )
        curves[label] = Curve(shown, means.mean(axis=1), low, high)
    return curves


def _mean_of_runs(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis."""
    return values.mean(axis=0)


def equal_cost(entries: Sequence[Entry]) -> float:
    """Return the cost up to which all runs of a task can be compared."""
    spent = np.concatenate([one.cost[~one.success & ~one.dead] for one in entries])
    if len(spent):
        return float(spent.min())
    return max(float(one.cost.max()) for one in entries)


def performance_profiles(entries: Mapping[str, Sequence[Entry]]) -> dict[str, Curve]:
    """Return the share of tasks solved within a ratio to the least cost, by label.

    A task is solved at the median cost to its target of all runs.

    Args:
        entries: as `data_profiles` takes them.
    """
    costs = np.array(
        [
            [float(stats.median(entry.cost_to_target)) for entry in own]
            for own in entries.values()
        ]
    )
    none = np.full(POINTS, np.nan)
    shares = stats.performance_profile(costs, RATIOS)
    return {
        label: Curve(RATIOS, share, none, none)
        for label, share in zip(entries, shares, strict=True)
    }


def draw_shares(
    axes: Axes, curves: Mapping[str, Curve], styles: Mapping[str, style.LabelStyle]
) -> None:
    """Draw shares from 0 to 100 % with their intervals.

    Args:
        axes: where to draw.
        curves: the curve of each label.
        styles: the style of each label; those without one are thin and grey.
    """
    kept = {label: _without_flat(curve) for label, curve in curves.items()}
    faint = [one[:2] for label, one in kept.items() if label not in styles]
    draw_faintly(axes, faint)
    for label, look in styles.items():
        curve = kept[label]
        axes.plot(
            curve.cost,
            curve.share,
            color=look.colour,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=0.17,  # of the diagonal
            markersize=4.5,
            markeredgewidth=0,
        )
        axes.fill_between(
            curve.cost, curve.low, curve.high, color=look.colour, alpha=0.1, linewidth=0
        )
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks(*TICKS)


def _without_flat(curve: Curve) -> Curve:
    """Return a curve without the points within stretches that do not change."""
    values = np.stack([curve.share, curve.low, curve.high])
    changes = (np.nan_to_num(np.diff(values)) != 0).any(axis=0)
    kept = np.ones(len(curve.cost), bool)
    kept[1:-1] = changes[:-1] | changes[1:]
    return Curve(*(part[kept] for part in curve))

"""Shares of runs against cost, and profiles over tasks, of entries made by hand."""

import re

import numpy as np
import pytest

from mmbench.analysis import style
from mmbench.analysis.leaderboard import Entry
from mmbench.analysis.plot.curves import draw_faintly
from mmbench.analysis.plot.shares import (
    RATIOS,
    data_profiles,
    equal_cost,
    performance_profiles,
    shares_of,
)

INF = np.inf


def entry(label: str, to_target: list[float], spent: list[float], dead: int = 0):
    """Return an entry whose last runs broke down."""
    costs, runs = np.array(to_target), len(to_target)
    return Entry(
        task="t",
        label=label,
        key=label,
        seeds=np.arange(runs),
        success=np.isfinite(costs),
        dead=np.arange(runs) >= runs - dead,
        scores=np.zeros(runs),
        cost=np.array(spent, float),
        cost_to_target=costs,
        identical=False,
    )


def test_a_run_that_ended_early_is_censored() -> None:
    """After it ended without its target, half of those left reach it: 1/4, then 5/8."""
    one = entry("a", [10, 40, INF, INF], [50, 50, 20, 50])
    curve = shares_of([one])["a"]
    assert curve.cost[-1] == 50
    share = curve.share[np.searchsorted(curve.cost, [15, 45])]
    assert share.tolist() == [0.25, 1 - 0.75 / 2]
    assert (curve.low <= curve.share).all()
    assert (curve.share <= curve.high).all()


def test_a_run_that_broke_down_is_a_miss() -> None:
    one = entry("a", [10, 40, INF, INF], [50, 50, 20, 5], dead=2)
    assert shares_of([one])["a"].share[-1] == 0.5


def test_identical_runs_have_no_interval() -> None:
    one = entry("a", [10, 10], [50, 50])._replace(identical=True)
    assert np.isnan(shares_of([one])["a"].low).all()


def test_costs_are_equal_up_to_the_first_run_that_is_censored() -> None:
    entries = [
        entry("a", [10, INF], [50, 60]),
        entry("b", [INF, INF], [80, 5], dead=1),
    ]
    assert equal_cost(entries) == 60
    assert equal_cost([entry("a", [10, 20], [10, 20])]) == 20


def test_data_profiles_are_means_over_tasks() -> None:
    of_a = [entry("a", [10, 50], [100, 100]), entry("a", [100], [100])]
    of_b = [entry("b", [INF, INF], [100, 100]), entry("b", [INF], [100])]
    profiles = data_profiles({"a": of_a, "b": of_b})
    curve = profiles["a"]
    shares = [
        float(curve.share[np.searchsorted(curve.cost, at)]) for at in (0.2, 0.6, 1)
    ]
    assert shares == [0.25, 0.5, 1.0]
    assert profiles["b"].share.tolist() == [0] * len(curve.cost)
    assert 0 < profiles["b"].high[-1] < 1


def test_performance_profiles_are_ratios_to_the_cheapest() -> None:
    of_a = [entry("a", [10], [100]), entry("a", [100], [100])]
    of_b = [entry("b", [30], [100]), entry("b", [INF], [100])]
    profiles = performance_profiles({"a": of_a, "b": of_b})
    assert profiles["a"].share.tolist() == [1] * len(RATIOS)
    expected = np.where(RATIOS >= 3, 0.5, 0)
    assert profiles["b"].share == pytest.approx(expected)


def test_units_are_what_intervals_are_of() -> None:
    """Two instances of two runs each count as two observations, not as four."""
    runs = entry("a", [10, 10, INF, INF], [50, 50, 50, 50])
    family = runs._replace(unit=np.array([0, 0, 1, 1]))
    for found in (shares_of, lambda one: data_profiles({"a": one})):
        curve, of_units = found([runs])["a"], found([family])["a"]
        assert curve.share[-1] == of_units.share[-1] == 0.5
        assert of_units.low[-1] < curve.low[-1]
        assert of_units.high[-1] > curve.high[-1]


def test_faint_curves_are_one_line_with_all_their_points() -> None:
    """Each is begun anew, and none of its points is left out."""
    x = np.geomspace(1, 32, 60)
    curves = [(x, np.where(x > at, at, 0.0)) for at in range(1, 9)]
    with style.panel(3, 3) as (figure, axes):
        draw_faintly(axes, curves)
        style.set_log_scale(axes, "x")
        drawn = style.svg(figure, "faint")
    path = max(re.findall(r' d="([^"]*)"', drawn), key=len)
    assert (path.count("M"), path.count("L")) == (8, 8 * 59)

"""The contract of metrics."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from mmbench.metrics.base import IterateMetric, Metric, Point, TrajectoryMetric
from mmbench.tasks.base import Task
from mmbench.testing.descriptions import check_description
from mmbench.testing.tools import PLACEMENT, SEEDS, require, start_runs


def check_metric(metric: Metric, task: Task) -> None:
    """Check the contract of a metric on a task.

    The metric must be a description that fills the columns it declares, one number for
    each run, and gives the same number wherever a run stands among the others.

    Args:
        metric: metric to check.
        task: task that the metric fits: it gives all that the metric needs.

    Raises:
        AssertionError: one sentence about what does not hold.
    """
    check_description(metric)
    names = [column.name for column in metric.columns]
    require(names and len(set(names)) == len(names), f"{metric} must name its columns")
    order = [2, 0, 1]
    if isinstance(metric, TrajectoryMetric):
        steps = tuple(range(0, 101, 10))
        values = np.exp(np.outer(np.arange(11), [-1.0, -0.1, 0.1]))
        measured = metric.summarise(steps, values)
        permuted = metric.summarise(steps, values[:, order])
    else:
        assert isinstance(metric, IterateMetric)
        game, (_, z) = task.build(PLACEMENT), start_runs(task)
        seeds = tuple(SEEDS[i] for i in order)
        measured = _arrays(metric.measure(Point(game, z, SEEDS)))
        permuted = _arrays(metric.measure(Point(game, z[order], seeds)))
    who = f"{metric} on {task}"
    require(list(measured) == names, f"{who} must fill {names}; got {list(measured)}")
    for name, values in measured.items():
        one_each = values.shape == (len(SEEDS),)
        require(one_each, f"{who} must give one {name} a run; got {values.shape}")
        same = np.array_equal(values[order], permuted[name], equal_nan=True)
        require(same, f"{who} must permute {name} as the runs are permuted")


def check_repetition(metric: IterateMetric, task: Task) -> None:
    """Check that a metric measures the same of the same iterates each time.

    Args:
        metric: metric to check.
        task: task that the metric fits.

    Raises:
        AssertionError: one sentence about what does not hold.
    """
    first, again = (
        _arrays(
            metric.measure(Point(task.build(PLACEMENT), start_runs(task)[1], SEEDS))
        )
        for _ in range(2)
    )
    for name, values in first.items():
        same = np.array_equal(values, again[name], equal_nan=True)
        require(same, f"{metric} on {task} must give the same {name} each time")


def _arrays(measured: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in measured.items()}

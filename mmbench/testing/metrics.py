"""What every metric must keep."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from mmbench.metrics.base import IterateMetric, Metric, Point, TrajectoryMetric
from mmbench.tasks.base import Task
from mmbench.testing.descriptions import check_description
from mmbench.testing.tools import PLACEMENT, SEEDS, begin, must


def check_metric(metric: Metric, task: Task) -> None:
    """Check all that a metric must keep, on a task whose game it fits."""
    check_description(metric)
    names = [column.name for column in metric.columns]
    must(names and len(set(names)) == len(names), f"{metric} must name its columns")
    order = [2, 0, 1]
    if isinstance(metric, TrajectoryMetric):
        steps = tuple(range(0, 101, 10))
        values = np.exp(np.outer(np.arange(11), [-1.0, -0.1, 0.1]))
        measured = metric.summarise(steps, values)
        permuted = metric.summarise(steps, values[:, order])
    else:
        assert isinstance(metric, IterateMetric)
        game, (_, z) = task.build(PLACEMENT), begin(task)
        seeds = tuple(SEEDS[i] for i in order)
        measured = _arrays(metric.measure(Point(game, z, SEEDS)))
        permuted = _arrays(metric.measure(Point(game, z[order], seeds)))
    who = f"{metric} on {task}"
    must(list(measured) == names, f"{who} must fill {names}; got {list(measured)}")
    for name, values in measured.items():
        one_each = values.shape == (len(SEEDS),)
        must(one_each, f"{who} must give one {name} a run; got {values.shape}")
        same = np.array_equal(values[order], permuted[name], equal_nan=True)
        must(same, f"{who} must permute {name} as the runs are permuted")


def _arrays(measured: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in measured.items()}

"""Cells: what does not fit is refused when one is made, with a sentence."""

from typing import Any

import pytest

from mmbench.algorithms import ALGORITHMS
from mmbench.core.errors import MisfitError
from mmbench.engine.cell import Cell
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS


def cell_of(task: str, *metrics: str, **settings: Any) -> Cell:
    """Return a cell of GDA."""
    built = TASKS.build(task)
    return Cell(
        task=built,
        algorithm=ALGORITHMS.build("gda"),
        seeds=(0,),
        metrics=metrics_for(built, [METRICS.build(spec) for spec in metrics]),
        **settings,
    )


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("cifar10[images=3]", "precision_recall[count=50]"),
        ("cifar10[images=1]", "frechet_distance[count=50]"),
        ("cifar10[images=1]", "kernel_distance[count=50]"),
        ("cifar10[images=19]", "frechet_infinity[count=50]"),
        ("digits01", "precision_recall[features=digitscnn,count=500,k=283]"),
        ("digits01", "precision_recall[features=digitscnn,count=500,split=test,k=77]"),
        ("cifar10[images=499]", "drift"),
        ("digits01", "drift"),
    ],
)
def test_metrics_that_need_more_real_images_are_refused(task: str, metric: str) -> None:
    """The message names what the metric needs and what the task has."""
    with pytest.raises(MisfitError, match=r"needs .* images.*; .* has \d+"):
        cell_of(task, metric)


def test_metrics_with_just_enough_real_images_are_planned() -> None:
    """One image more than the k-th neighbour suffices."""
    cell_of("cifar10[images=6]", "precision_recall[count=50]")
    cell_of("digits01", "precision_recall[features=digitscnn,count=500,k=282]")
    cell_of("digits01", "drift[images=283]")

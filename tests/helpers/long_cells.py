"""Cells that would take long, for the lines and the bar of a run."""

from dataclasses import replace
from typing import Any

from mmbench.engine.cell import Cell
from mmbench.runner.plan import plan
from mmbench.suites.base import Grid, Suite


def cells_of_images(label: str = "GDA", **options: Any) -> tuple[Cell, ...]:
    """Return a short cell, and a long one of three runs."""
    grid = Grid(tasks=("bilinear",), algorithms=("gda",), seeds=997, steps=1, records=1)
    words = f"{label} = gda[step_size=0.001]"
    metrics = ("frechet_distance", "losses")
    images = Grid(
        tasks=("cifar10",), algorithms=(words,), metrics=metrics, seeds=3, steps=100_000
    )
    return plan(Suite(name="x", grids=(grid, replace(images, **options))))

"""Extremes of each field: refused when made, with a sentence, or one step works."""

import sys
import typing
from typing import Annotated, Any, Literal

import pytest
from playable import playable

from mmbench.algorithms import ALGORITHMS
from mmbench.core.description import field_types
from mmbench.core.domains import Domain
from mmbench.core.errors import MmbenchError
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS

BASES: dict[str, dict[str, Any]] = {
    "bilinear": {},
    "quadratic": {},
    "dirac_gan": {},
    "four_gaussians": {"hidden": 2, "noise": 1, "batch": 2},
    "digits01": {"hidden": 2, "noise": 1, "batch": 2},
}
METRICS_OF = {
    "four_gaussians": ("mode_coverage[samples=2]",),
    "digits01": ("digit_coverage[samples=2]",),
}
ALGORITHM_EXTREMES = (
    {"step_size": sys.float_info.max},
    {"step_size": (sys.float_info.max, 5e-324)},
    {"floor": sys.float_info.max},
)


def extremes(annotation: Any) -> list[Any]:
    """Return the bounds of a field, and numbers that overflow or underflow float32."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return list(arguments)
    if origin is Annotated:
        domains = [one for one in arguments[1:] if isinstance(one, Domain)]
        low, high = max(one.low for one in domains), min(one.high for one in domains)
        if arguments[0] is int:
            return [int(low), int(low) + 1, *([int(high)] if high < 2**60 else [])]
        largest = sys.float_info.max
        return [max(low, -largest), min(high, largest), 5e-324, 1e-30, 1e300, -1e300]
    if annotation is bool:
        return [False, True]
    if origin is tuple:
        return [(value, value) for value in extremes(arguments[0])]
    return [value for one in arguments for value in extremes(one)]


def run_one_step(task: Any, algorithm: Any, metrics: tuple = ()) -> str:
    """Return the reason for which a run of one step ended, "" where none did."""
    cell = Cell(
        task=task,
        algorithm=algorithm,
        seeds=(0,),
        steps=1,
        records=1,
        metrics=metrics_for(task, [METRICS.build(spec) for spec in metrics]),
    )
    return run_cell(cell).reason


@pytest.mark.parametrize("name", BASES)
def test_extremes_of_tasks_are_refused_or_run(name: str) -> None:
    """Nothing that is planned dies at its first step."""
    cls, gda, run = TASKS[name], ALGORITHMS.build("gda"), 0
    for field, annotation in field_types(cls).items():
        for value in extremes(annotation):
            try:
                task = cls(**{**BASES[name], field: value})
            except MmbenchError:
                continue
            assert run_one_step(task, gda, METRICS_OF.get(name, ())) == "", (
                field,
                value,
            )
            run += 1
    assert run > len(field_types(cls))


@pytest.mark.parametrize("values", ALGORITHM_EXTREMES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_extremes_of_algorithms_are_refused_or_run(name: str, values: dict) -> None:
    """A step size beyond float32 makes a run that is not finite, and no error."""
    cls = ALGORITHMS[name]
    if not set(values) <= set(field_types(cls)):
        return
    try:
        algorithm = cls(**values)
    except MmbenchError:
        return
    assert run_one_step(TASKS.build(playable(name, "bilinear")), algorithm) == ""

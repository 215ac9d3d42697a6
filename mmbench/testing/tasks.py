"""The contract of tasks."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from mmbench.algorithms import ALGORITHMS
from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.engine.cell import Cell
from mmbench.engine.run_cell import run_cell
from mmbench.metrics import METRICS
from mmbench.metrics.base import Point
from mmbench.metrics.field_norm import FieldNorm
from mmbench.tasks.base import Task
from mmbench.testing.descriptions import check_description
from mmbench.testing.tools import PLACEMENT, SEEDS, equal, require, start_runs

# Step sizes of the central differences: several, as there may be a kink within one.
STEP_SIZES = (1e-6, 1e-7, 1e-8)


def check_task(task: Task, metrics: Sequence[str] = ()) -> None:
    """Check the contract of a task; its data files must be present.

    The task must be a description with reproducible starts, losses with the gradients
    that it declares, runs that do not depend on each other, and a zero field at its
    solution. It must survive ten steps of GDA.

    Args:
        task: task to check.
        metrics: specs of the metrics of its short run, in place of the task's own,
            which may need many images; the task's own must then only fit it.

    Raises:
        AssertionError: one sentence about what does not hold.
    """
    check_description(task)
    z = start_runs(task)[1]
    game = task.build(PLACEMENT)
    require(bool(z.isfinite().all()), f"{task} must start at finite points")
    require(
        bool((start_runs(task)[1] == z).all()),
        f"{task} must give a seed the same start each time",
    )
    zero_sum = Capability.ZERO_SUM in task.gives
    require(
        game.zero_sum == zero_sum, f"{task} and its game must agree on being zero-sum"
    )
    if Capability.PLANE in task.gives:
        require(game.dim == 2, f"{task} must have two variables to be a plane")
    projected = game.project(z)
    require(
        torch.equal(game.project(projected), projected),
        f"{task} must project a projected z to itself",
    )
    check_losses(task)
    check_field(task)
    _check_solution(task, game)
    cell = Cell(
        task=task,
        algorithm=ALGORITHMS.build("gda[step_size=0.001]"),
        seeds=SEEDS,
        steps=10,
        records=2,
        dtype="float64",
        metrics=tuple(METRICS.coerce(one) for one in task.metrics),
    )
    if metrics:
        chosen = tuple(METRICS.build(spec) for spec in metrics)
        cell = replace(cell, metrics=chosen)
    ran = run_cell(cell, PLACEMENT)
    require(not ran.reason, f"{task} must run; {ran.reason}")
    require(
        not any(status.is_failure for status in ran.status),
        f"{task} must survive ten GDA steps",
    )
    if task.target:
        names = {column.name for column in METRICS.build(task.target.metric).columns}
        asked = {name for name, _ in (*task.target.at_most, *task.target.at_least)}
        require(asked <= names, f"{task} must aim at columns of {task.target.metric}")


def check_losses(task: Task) -> None:
    """Check that losses are reproducible, one for each run and player, of that run."""
    oracle, z = start_runs(task)
    oracle.resample()
    losses = oracle.losses(z)
    for loss in losses:
        require(
            loss.shape == (len(z),),
            f"{task} must give one loss a run; got {loss.shape}",
        )
        require(not loss.isnan().any(), f"{task} must give losses that are not NaN")
    if Capability.ZERO_SUM in task.gives:
        require(
            torch.equal(losses[0], -losses[1]),
            f"{task} must be zero-sum, as it declares",
        )
    disturbed = z.clone()
    disturbed[1] += 1
    for loss, other in zip(losses, oracle.losses(disturbed), strict=True):
        independent = torch.equal(loss[[0, 2]], other[[0, 2]])
        require(
            independent,
            f"{task} must keep its runs independent; one run's z moved another's loss",
        )
    again, z = start_runs(task)
    again.resample()
    require(
        equal(losses, again.losses(z)),
        f"{task} must give the same losses for the same seeds",
    )


def check_field(task: Task, tolerance: float = 1e-6) -> float:
    """Check gradients against central differences of the losses in three directions.

    Args:
        task: task to check.
        tolerance: most difference of a slope, relative to one plus its size.

    Returns:
        Largest difference of a slope, relative to one plus its size.
    """
    largest = 0.0
    oracle, z = start_runs(task)
    oracle.resample()
    random = torch.Generator().manual_seed(0)
    # Away from the start, where zero biases put rectifiers exactly on their kink.
    z = z + 0.01 * torch.randn(z.shape, generator=random, dtype=z.dtype)
    field = oracle.field(z)
    for player, row in enumerate((oracle.row(1.0, 0.0), oracle.row(0.0, 1.0))):
        for _ in range(3):
            v = row * torch.randn(z.shape, generator=random, dtype=z.dtype)
            declared, errors = (field * v).sum(1), []
            for step in STEP_SIZES:
                ahead, behind = (
                    oracle.losses(z + s * v)[player] for s in (step, -step)
                )
                slope = (ahead - behind) / (2 * step)
                errors.append((slope - declared).abs() / (1 + declared.abs()))
            error = float(torch.stack(errors).amin(0).max())
            require(
                error <= tolerance,
                f"{task} must have the gradients of its losses; player "
                f"{'xy'[player]} is off by {error:.1e}",
            )
            largest = max(largest, error)
    return largest


def _check_solution(task: Task, game: Game) -> None:
    """Check that the field is zero at the origin if that is a declared solution."""
    origin = torch.zeros(len(SEEDS), game.dim, dtype=PLACEMENT.dtype)
    for concept, capability in (("declared", "SOLUTION"), ("nash", "NASH")):
        if Capability[capability] not in task.gives:
            continue
        if bool(game.distance(origin, concept).any()):
            continue
        point = Point(game, origin, SEEDS)
        norm = float(FieldNorm().measure(point)["field_norm"].max())
        require(
            norm <= 1e-12, f"{task} must have a zero field at its solution; got {norm}"
        )

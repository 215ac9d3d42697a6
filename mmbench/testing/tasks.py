"""What every task must keep."""

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
from mmbench.testing.tools import PLACEMENT, SEEDS, begin, equal, must

# Several, since a kink may lie within one of them.
DIFFERENCES = (1e-6, 1e-7, 1e-8)


def check_task(task: Task, metrics: Sequence[str] = ()) -> None:
    """Check all that a task must keep; its data must be there.

    Args:
        task: the one to check.
        metrics: words of what its short run measures in place of the task's own, which
            may ask for many images; its own are then only checked for whether they fit.
    """
    check_description(task)
    z = begin(task)[1]
    game = task.build(PLACEMENT)
    must(
        bool((begin(task)[1] == z).all()),
        f"{task} must start a seed where it did before",
    )
    zero_sum = Capability.ZERO_SUM in task.gives
    must(game.zero_sum == zero_sum, f"{task} and its game must agree on being zero-sum")
    if Capability.PLANE in task.gives:
        must(game.dim == 2, f"{task} must have two variables to be a plane")
    projected = game.project(z)
    must(torch.equal(game.project(projected), projected), f"{task} must project once")
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
        metrics=tuple(METRICS.build(words) for words in task.metrics),
    )
    if metrics:
        chosen = tuple(METRICS.build(words) for words in metrics)
        cell = replace(cell, metrics=chosen)
    ran = run_cell(cell, PLACEMENT)
    must(not ran.reason, f"{task} must run; {ran.reason}")
    must(
        not any(one.is_failure for one in ran.status),
        f"{task} must survive ten GDA steps",
    )
    if task.target:
        names = {one.name for one in METRICS.build(task.target.metric).columns}
        asked = {name for name, _ in (*task.target.at_most, *task.target.at_least)}
        must(asked <= names, f"{task} must aim at columns of {task.target.metric}")


def check_losses(task: Task) -> None:
    """Losses are one number a run and player, each run's own; twice the same."""
    oracle, z = begin(task)
    oracle.resample()
    losses = oracle.losses(z)
    for loss in losses:
        must(
            loss.shape == (len(z),),
            f"{task} must give one loss a run; got {loss.shape}",
        )
    if Capability.ZERO_SUM in task.gives:
        must(torch.equal(losses[0], -losses[1]), f"{task} must be zero-sum, as it says")
    disturbed = z.clone()
    disturbed[1] += 1
    for loss, other in zip(losses, oracle.losses(disturbed), strict=True):
        apart = torch.equal(loss[[0, 2]], other[[0, 2]])
        must(
            apart, f"{task} must keep the runs apart; one run's z moved another's loss"
        )
    again, z = begin(task)
    again.resample()
    must(
        equal(losses, again.losses(z)),
        f"{task} must give the same losses for the same seeds",
    )


def check_field(task: Task, tolerance: float = 1e-6) -> None:
    """Gradients agree with central differences of the losses along some directions."""
    oracle, z = begin(task)
    oracle.resample()
    random = torch.Generator().manual_seed(0)
    # Off the start, where zero biases put rectifiers exactly on their kink.
    z = z + 0.01 * torch.randn(z.shape, generator=random, dtype=z.dtype)
    field = oracle.field(z)
    for player, row in enumerate((oracle.row(1.0, 0.0), oracle.row(0.0, 1.0))):
        for _ in range(3):
            v = row * torch.randn(z.shape, generator=random, dtype=z.dtype)
            told, off = (field * v).sum(1), []
            for step in DIFFERENCES:
                ahead, behind = (
                    oracle.losses(z + s * v)[player] for s in (step, -step)
                )
                slope = (ahead - behind) / (2 * step)
                off.append((slope - told).abs() / (1 + told.abs()))
            wrong = float(torch.stack(off).amin(0).max())
            must(
                wrong <= tolerance,
                f"{task} must have the gradients of its losses; player "
                f"{'xy'[player]} is off by {wrong:.1e}",
            )


def _check_solution(task: Task, game: Game) -> None:
    """Where the distance to the declared solutions is zero, the field vanishes."""
    origin = torch.zeros(len(SEEDS), game.dim, dtype=PLACEMENT.dtype)
    for concept, capability in (("declared", "SOLUTION"), ("nash", "NASH")):
        if Capability[capability] not in task.gives:
            continue
        if bool(game.distance(origin, concept).any()):
            continue
        point = Point(game, origin, SEEDS)
        norm = float(FieldNorm().measure(point)["field_norm"].max())
        must(norm <= 1e-12, f"{task} must have no field at its solution; got {norm}")

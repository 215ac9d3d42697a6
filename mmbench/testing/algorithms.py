"""What every algorithm must keep."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import COUNTED, DATA
from mmbench.engine.compiled.oracles import RecordingState
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.descriptions import check_description
from mmbench.testing.tools import (
    FAR,
    PLACEMENT,
    SEEDS,
    Doomed,
    begin,
    begin_state,
    compute,
    equal,
    must,
    must_agree,
    tensors,
)

# Small games of each kind: planar, in more dimensions, nonlinear, with data.
GAMES = (
    "bilinear",
    "bilinear[dim=5,smallest=0.5]",
    "quadratic",
    "dirac_gan",
    "four_gaussians[hidden=8,noise=4,batch=16]",
)
# State fields that count an inner solver's iterations.
INNER = ("iterations", "ascents")


def check_algorithm(algorithm: Algorithm, tasks: Sequence[Task] = ()) -> None:
    """Check all that an algorithm must keep.

    Args:
        algorithm: the one to check.
        tasks: what to check it on; none means those of `GAMES` that it can play.
    """
    check_description(algorithm)
    for task in tasks or playable(algorithm):
        check_step(algorithm, task)
        check_cost(algorithm, task)
        check_company(algorithm, task)
        check_fixed_point(algorithm, task)


def playable(algorithm: Algorithm) -> list[Task]:
    """The tasks of `GAMES` that give what the algorithm needs."""
    tasks = [TASKS.build(words) for words in GAMES]
    fitting = [task for task in tasks if algorithm.needs <= task.gives]
    must(fitting, f"{algorithm} must be able to play a game of {', '.join(GAMES)}")
    return fitting


def check_step(algorithm: Algorithm, task: Task) -> None:
    """A step keeps shapes and dtype, alters nothing in place, draws nothing global."""
    oracle, z = begin(task)
    before, noise = z.clone(), torch.get_rng_state()
    state = algorithm.init(oracle, z)
    kept = [one.clone() for one in tensors(state)]
    oracle.resample()
    moved, new_state = algorithm.step(oracle, z, state)
    who = f"{algorithm} on {task}"
    must(moved.shape == z.shape, f"{who} must keep the shape of z; got {moved.shape}")
    must(moved.dtype == z.dtype, f"{who} must keep the dtype of z; got {moved.dtype}")
    must(torch.isfinite(moved).all(), f"{who} must make a finite first step")
    must(torch.equal(z, before), f"{who} must not alter z in place")
    must(not moved.requires_grad, f"{who} must return z without a graph")
    must(equal(tensors(state), kept), f"{who} must not alter its state in place")
    for old, new in zip(tensors(state), tensors(new_state), strict=True):
        must(len(new) == len(z), f"{who} must keep the runs axis in its state")
        fits = old.shape == new.shape and old.dtype == new.dtype
        must(
            fits,
            f"{who} must keep the shapes of its state; {old.shape} is "
            f"{new.shape} after a step",
        )
        must(not new.requires_grad, f"{who} must keep no graph in its state")
    untouched = torch.equal(noise, torch.get_rng_state())
    must(untouched, f"{who} must draw from the oracle, not from torch's generator")
    stopped = algorithm.done(new_state)
    fits = stopped is None or (
        stopped.shape == z[:, 0].shape and not stopped.is_floating_point()
    )
    must(fits, f"{who} must say None or one truth value a run when done")


def check_cost(algorithm: Algorithm, task: Task, steps: int = 3) -> None:
    """Every run is charged what the algorithm declares, step by step."""
    oracle_state, z = begin_state(task)
    oracle = Oracle(oracle_state)
    state = algorithm.init(oracle, z)
    cost, batch = algorithm.cost, task.build(PLACEMENT).batch_size
    spent = {name: torch.zeros(len(z), dtype=torch.int64) for name in COUNTED}
    for _ in range(steps):
        inner = -_inner(state, cost)
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        inner = inner + _inner(state, cost)
        declared = {
            "grad_x": cost.grad_x + 0 * inner,
            "grad_y": cost.grad_y + cost.grads_y_per_iteration * inner,
            "hvps": cost.hvps + cost.hvps_per_iteration * inner,
            "values": cost.values + 0 * inner,
            "samples": cost.minibatches * batch + 0 * inner,
        }
        for name, total in oracle_state.counts.items():
            counted, spent[name] = total - spent[name], total.clone()
            must(
                torch.equal(counted.double(), declared[name].double().expand(len(z))),
                f"{algorithm} on {task} must use the {name} it declares, "
                f"{declared[name].tolist()}; got {counted.tolist()}",
            )


def _inner(state: Any, cost: Cost) -> Tensor:
    """Iterations of the inner solver so far."""
    if not (cost.hvps_per_iteration or cost.grads_y_per_iteration):
        return torch.zeros(1, dtype=torch.int64)
    names = [name for name in INNER if name in getattr(state, "_fields", ())]
    must(
        names,
        f"a state must count inner iterations in a field {INNER[0]!r}, since "
        "the cost has a term for each",
    )
    return getattr(state, names[0])


def check_company(algorithm: Algorithm, task: Task, steps: int = 8) -> None:
    """A run is the same alone, in company, and beside one that breaks down.

    Bit for bit: iterates, counts and status. The one that breaks down stands still and
    pays nothing afterwards.
    """
    lone, others = SEEDS[1], (SEEDS[0], SEEDS[2])
    who = f"{algorithm} on {task}"
    together = compute(algorithm, task, SEEDS, steps)
    must(not together.reason, f"{who} must run; {together.reason}")
    alone = compute(algorithm, task, (lone,), steps)
    must_agree(together, alone, (lone,), f"{who} must not depend on other runs")
    doomed = compute(algorithm, Doomed(task=task, seed=lone), SEEDS, steps)
    must_agree(together, doomed, others, f"{who} must not mind a run that breaks down")
    row = SEEDS.index(lone)
    died = doomed.status[row].is_failure and doomed.stopped_at[row] == 1
    must(
        died,
        f"{who} must break down at once when started {FAR:g} times as far out; "
        f"it ended {doomed.status[row]} at step {doomed.stopped_at[row]}",
    )
    measured = {**doomed.columns, **doomed.counts}
    for name, values in measured.items():
        still = values[1:, row]
        frozen = np.array_equal(still, np.full_like(still, still[0]), equal_nan=True)
        must(
            frozen, f"{who} must leave a run that broke down alone; its {name} goes on"
        )


def check_fixed_point(algorithm: Algorithm, task: Task, steps: int = 3) -> None:
    """A stationary solution at the origin is a fixed point, unless the method draws."""
    game = task.build(PLACEMENT)
    origin = torch.zeros(len(SEEDS), game.dim, dtype=PLACEMENT.dtype)
    if Capability.SOLUTION not in task.gives or bool(
        game.distance(origin, "declared").any()
    ):
        return
    recorded, z = RecordingState(game, SEEDS, game.memory(origin)), origin
    oracle = Oracle(recorded)
    state = algorithm.init(oracle, z)
    for _ in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        if set(recorded.draws) - {DATA}:
            return
    far = float(z.abs().max())
    must(
        far <= 1e-12,
        f"{algorithm} on {task} must stay at the solution; it left by {far}",
    )

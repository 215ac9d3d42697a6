"""The contract of algorithms."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.checkpoint_slot import CheckpointSlot
from mmbench.core.cost import Cost
from mmbench.core.counters import INNER_ITERATIONS, counters
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import DATA
from mmbench.core.priors import MOST_HYPERPARAMETERS, STEP_SIZES, values_at
from mmbench.engine.compiled.oracles import RecordingState
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task
from mmbench.testing.descriptions import check_description
from mmbench.testing.tools import (
    FAR_FACTOR,
    PLACEMENT,
    SEEDS,
    FarStart,
    equal,
    require,
    require_equal_runs,
    run_short_cell,
    start_oracle_state,
    start_runs,
    tensors,
)

# Specs of small tasks of each kind: in the plane, in more dimensions, nonlinear, with
# data.
SMALL_TASKS = (
    "bilinear",
    "bilinear[dim=5,smallest=0.5]",
    "quadratic",
    "dirac_gan",
    "four_gaussians[hidden=8,noise=4,batch=16]",
    "finite_sum_bilinear[terms=6]",
)
# For methods that can play none of these.
SMALL_MIXED_TASKS = ("kuhn_poker",)
PER_ITERATION = tuple(
    field.name for field in fields(Cost) if field.name.endswith("per_iteration")
)


def check_algorithm(algorithm: Algorithm, tasks: Sequence[Task] = ()) -> None:
    """Check the contract of an algorithm.

    The algorithm must be a description. Its steps must keep shapes and dtype, change
    nothing in place, draw only from the oracle, use what its cost declares, not depend
    on other runs, and stay at a stationary solution. Its search space must be one of
    its own hyperparameters.

    Args:
        algorithm: algorithm to check.
        tasks: tasks to check it on; none means the small ones that it can play.

    Raises:
        AssertionError: one sentence about what does not hold.
    """
    check_description(algorithm)
    check_search_space(algorithm)
    for task in tasks or playable_tasks(algorithm):
        check_step(algorithm, task)
        check_cost(algorithm, task)
        check_independence(algorithm, task)
        check_fixed_point(algorithm, task)


def check_search_space(algorithm: Algorithm) -> None:
    """Check that a method can be tuned in its search space, which has a reason."""
    space = algorithm.search_space
    who = f"The search space of {algorithm}"
    names = ", ".join(space)
    require(
        len(space) <= MOST_HYPERPARAMETERS,
        f"{who} must have at most {MOST_HYPERPARAMETERS} hyperparameters; got {names}",
    )
    require(
        len(set(STEP_SIZES) & set(space)) != 1,
        f"{who} must have both players' step sizes or none; got {names}",
    )
    for name, prior in space.items():
        require(prior.reason, f"{who} must state a reason for the prior of {name}")
    points = [[share] * len(space) for share in (0.0, 0.3, 0.7, 1.0)]
    methods = [algorithm.with_hyperparameters(values_at(space, one)) for one in points]
    for method in methods:
        check_description(method)
        require(
            method.search_space == space,
            f"{who} must stay the same with other hyperparameters; that of {method} "
            "differs",
        )
    if space:
        apart = {
            str(algorithm.with_hyperparameters(values_at(space, p))) for p in points
        }
        require(len(apart) > 1, f"{who} must change the method; it does not")


def playable_tasks(algorithm: Algorithm) -> list[Task]:
    """Return the small tasks that give what the algorithm needs.

    They are those of `SMALL_TASKS`, or of `SMALL_MIXED_TASKS` where it can play none.
    """
    for specs in (SMALL_TASKS, SMALL_MIXED_TASKS):
        tasks = [TASKS.build(spec) for spec in specs]
        fitting = [task for task in tasks if needs_of(algorithm) <= task.gives]
        if fitting:
            return fitting
    names = ", ".join(SMALL_TASKS + SMALL_MIXED_TASKS)
    raise AssertionError(f"{algorithm} must be able to play a game of {names}.")


def check_step(algorithm: Algorithm, task: Task) -> None:
    """Check that a step keeps shapes and dtype and has no side effects.

    It must neither change its arguments in place nor draw from torch's own generator.
    """
    oracle, z = start_runs(task)
    before, noise = z.clone(), torch.get_rng_state()
    state = algorithm.init(oracle, z)
    kept = [tensor.clone() for tensor in tensors(state)]
    oracle.resample()
    moved, new_state = algorithm.step(oracle, z, state)
    who = f"{algorithm} on {task}"
    require(
        moved.shape == z.shape, f"{who} must keep the shape of z; got {moved.shape}"
    )
    require(
        moved.dtype == z.dtype, f"{who} must keep the dtype of z; got {moved.dtype}"
    )
    require(torch.isfinite(moved).all(), f"{who} must make a finite first step")
    require(torch.equal(z, before), f"{who} must not change z in place")
    require(not moved.requires_grad, f"{who} must return z without a graph")
    for tensor in (*kept, *tensors(new_state)):
        require(not tensor.isnan().any(), f"{who} must have no NaN in its state")
    require(equal(tensors(state), kept), f"{who} must not change its state in place")
    for old, new in zip(tensors(state), tensors(new_state), strict=True):
        require(len(new) == len(z), f"{who} must keep the runs axis in its state")
        fits = old.shape == new.shape and old.dtype == new.dtype
        require(
            fits,
            f"{who} must keep the shapes of its state; {old.shape} is "
            f"{new.shape} after a step",
        )
        require(not new.requires_grad, f"{who} must keep no graph in its state")
    untouched = torch.equal(noise, torch.get_rng_state())
    require(untouched, f"{who} must draw from the oracle, not from torch's generator")
    stopped = algorithm.done(new_state)
    fits = stopped is None or (
        stopped.shape == z[:, 0].shape and not stopped.is_floating_point()
    )
    require(fits, f"{who} must return None or one truth value a run from done")


def check_cost(algorithm: Algorithm, task: Task, steps: int = 3) -> None:
    """Check that every step of every run uses what the algorithm's cost declares."""
    oracle_state, z = start_oracle_state(task)
    oracle = Oracle(oracle_state)
    state = algorithm.init(oracle, z)
    game = task.build(PLACEMENT)
    cost, batch = algorithm.cost.within(zero_sum=game.zero_sum), game.batch_size
    spent = {name: total.clone() for name, total in oracle_state.counts.items()}
    minibatches = -(-game.terms // batch) if batch else 0  # in a pass
    for _ in range(steps):
        before = state
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        inner, passes = _inner(before, state, cost)
        full = minibatches * passes
        declared = {
            "grad_x": cost.grad_x + cost.grads_x_per_iteration * inner + full,
            "grad_y": cost.grad_y + cost.grads_y_per_iteration * inner + full,
            "hvps": cost.hvps + cost.hvps_per_iteration * inner,
            "values": cost.values + cost.values_per_iteration * inner,
            "samples": cost.minibatches * batch + game.terms * passes + 0 * inner,
        }
        for name, total in oracle_state.counts.items():
            counted, spent[name] = total - spent[name], total.clone()
            require(
                torch.equal(counted.double(), declared[name].double().expand(len(z))),
                f"{algorithm} on {task} must use the {name} it declares, "
                f"{declared[name].tolist()}; got {counted.tolist()}",
            )


def _inner(before: Any, after: Any, cost: Cost) -> tuple[Tensor, Tensor]:
    """Return the inner iterations of a step, and its passes over all terms, by run."""
    found = []
    for names, is_used in (
        (INNER_ITERATIONS, any(getattr(cost, name) for name in PER_ITERATION)),
        (("passes",), bool(cost.passes)),
    ):
        totals = [counters(state, names) for state in (before, after)]
        require(
            all(totals) or not is_used,
            f"a state must count inner iterations or passes in a field {names[0]!r}, "
            "since the cost has a term for each",
        )
        none = [torch.zeros(1, dtype=torch.int64)]
        first, last = (sum(some if is_used else none) for some in totals)
        found.append(torch.as_tensor(last - first))
    return found[0], found[1]


def check_independence(algorithm: Algorithm, task: Task, steps: int = 8) -> None:
    """Check that a run does not depend on the other runs computed with it.

    Iterates, counts and status must be bit-identical whether a run is computed alone,
    with others, or with one that breaks down. A run that broke down must not move or
    use anything afterwards. On games of mixed strategies no run breaks down.
    """
    seed, others = SEEDS[1], (SEEDS[0], SEEDS[2])
    who = f"{algorithm} on {task}"
    together = run_short_cell(algorithm, task, SEEDS, steps)
    require(not together.reason, f"{who} must run; {together.reason}")
    alone = run_short_cell(algorithm, task, (seed,), steps)
    require_equal_runs(together, alone, (seed,), f"{who} must not depend on other runs")
    disturbed = run_short_cell(algorithm, FarStart(task=task, seed=seed), SEEDS, steps)
    require_equal_runs(
        together, disturbed, others, f"{who} must not depend on a run that breaks down"
    )
    if Capability.SIMPLEX in task.gives:
        return
    row = SEEDS.index(seed)
    broke_down = disturbed.status[row].is_failure and disturbed.stopped_at[row] == 1
    require(
        broke_down,
        f"{who} must break down at once when started {FAR_FACTOR:g} times as far out; "
        f"it ended {disturbed.status[row]} at step {disturbed.stopped_at[row]}",
    )
    measured = {**disturbed.columns, **disturbed.counts}
    for name, values in measured.items():
        after = values[1:, row]
        frozen = np.array_equal(after, np.full_like(after, after[0]), equal_nan=True)
        require(
            frozen, f"{who} must leave a run that broke down alone; its {name} goes on"
        )


class _Interruption(BaseException):
    """The end of a process, which the engine does not catch."""


class _InterruptedSlot(CheckpointSlot):
    """A place of checkpoints in memory, written at every step, which interrupts once.

    Args:
        at: number of the write that is followed by the interruption.

    Attributes:
        is_discarded: whether the engine found the checkpoint unusable.
    """

    interval_seconds = 0.0

    def __init__(self, at: int) -> None:
        self._content: bytes | None = None
        self._left = at
        self.is_discarded = False

    def read(self) -> bytes | None:
        """Return the checkpoint that was written last."""
        return self._content

    def write(self, content: bytes) -> None:
        """Replace the checkpoint, and interrupt if it is time."""
        self._content = content
        self._left -= 1
        if self._left == 0:
            raise _Interruption

    def remove(self) -> None:
        """Delete the checkpoint, which only an unusable one asks for."""
        self._content, self.is_discarded = None, True


def check_replay(algorithm: Algorithm, task: Task, steps: int = 8) -> None:
    """Check that a seed gives the same numbers again, and after an interruption.

    All must be bit-identical: two runs from one seed, and one that is interrupted
    half-way and goes on from its checkpoint.
    """
    who = f"{algorithm} on {task}"
    first = run_short_cell(algorithm, task, SEEDS, steps)
    require(not first.reason, f"{who} must run; {first.reason}")
    again = run_short_cell(algorithm, task, SEEDS, steps)
    require_equal_runs(
        first, again, SEEDS, f"{who} must give a seed the same numbers each time"
    )
    slot = _InterruptedSlot(at=steps // 2 + 1)
    try:
        resumed = run_short_cell(algorithm, task, SEEDS, steps, slot)
    except _Interruption:
        resumed = run_short_cell(algorithm, task, SEEDS, steps, slot)
    sentence = f"{who} must go on from a checkpoint as if it had never stopped"
    require(not slot.is_discarded, f"{sentence}; its checkpoint was not usable")
    require_equal_runs(first, resumed, SEEDS, sentence)


def check_fixed_point(algorithm: Algorithm, task: Task, steps: int = 3) -> None:
    """Check that a solution at the origin is a fixed point, unless the method draws."""
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
    require(
        far <= 1e-12,
        f"{algorithm} on {task} must stay at the solution; it left by {far}",
    )

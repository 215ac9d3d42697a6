"""Step-size maps: how a method ends for every pair of step sizes, each pair a run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.status import Status
from mmbench.core.streams import generator
from mmbench.engine.compiled.block import Block, compile_block
from mmbench.engine.compiled.step_function import STATUS_OF_ENDING
from mmbench.engine.compiled.tensor_nests import list_tensors, replace_tensors
from mmbench.engine.run_cell import arithmetic
from mmbench.tasks import TASKS
from mmbench.tasks.base import Task

# Pairs side by side, of a game without data: their numbers stay in the cache.
WIDTH = 2**14

StepSizes = Sequence[float] | np.ndarray


def step_map(
    task: str | Task,
    algorithm: str | Algorithm,
    at_x: StepSizes,
    at_y: StepSizes,
    *,
    steps: int = 1000,
    seed: int = 0,
    placement: Placement = Placement(compiled=True),
) -> pd.DataFrame:
    """Run a method with every pair of step sizes, from one start, on the same data.

    Args:
        task: a spec or a description of a task whose game knows its solutions.
        algorithm: a spec or a description; its own step size is not used.
        at_x: step sizes of x.
        at_y: step sizes of y.
        steps: steps of each run.
        seed: seed of the start and of all draws.
        placement: the device, the dtype of all floats, and whether steps are compiled,
            which is many times as fast.

    Returns:
        One row for each pair, x's step size varying slowest: `step_size_x,
        step_size_y, status, stopped_at, distance`, the last at the end of the run and
        relative to its start (NaN where there is no number).

    Raises:
        MmbenchError: before any work, when something does not fit.
    """
    described_task: Task = TASKS.coerce(task)
    method: Algorithm = ALGORITHMS.coerce(algorithm)
    _check(described_task, method, at_x, at_y, steps)
    grid = np.meshgrid(np.asarray(at_x, float), np.asarray(at_y, float), indexing="ij")
    pairs_x, pairs_y = (axis.ravel() for axis in grid)
    pairs = torch.from_numpy(np.stack((pairs_x, pairs_y), axis=1))
    pairs = pairs.to(placement.device, placement.dtype)
    with arithmetic(placement.device):
        block = _make_block(described_task, method, placement, min(len(pairs), WIDTH))
        ends = [
            _run_pairs(block, described_task, method, placement, steps, seed, some)
            for some in pairs.split(block.runs)
        ]
    status, stopped_at, distance = (
        np.concatenate(column) for column in zip(*ends, strict=True)
    )
    return pd.DataFrame(
        {
            "step_size_x": pairs_x,
            "step_size_y": pairs_y,
            "status": pd.Categorical(status, [str(status) for status in Status]),
            "stopped_at": stopped_at,
            "distance": distance,
        }
    )


def _check(
    task: Task, algorithm: Algorithm, at_x: StepSizes, at_y: StepSizes, steps: int
) -> None:
    """Check the arguments of a step map."""
    if getattr(algorithm, "step_size", None) is None:
        raise MisfitError(f"A step map needs a step_size; {algorithm} has none.")
    if Capability.SOLUTION not in task.gives:
        raise MisfitError(
            f"A step map needs a game that knows its solutions; {task} does not."
        )
    if lacking := needs_of(algorithm) - task.gives:
        named = ", ".join(sorted(lacking))
        raise MisfitError(f"{algorithm} needs {named}; {task} does not give it.")
    for player, given in (("x", at_x), ("y", at_y)):
        sizes = np.asarray(given, float)
        if sizes.ndim != 1 or not len(sizes) or not (sizes > 0).all():
            raise DescriptionError(
                f"Step sizes of {player} must be positive numbers in a row; got "
                f"{sizes.tolist() if sizes.size < 9 else sizes.shape}."
            )
    if steps < 1:
        raise DescriptionError(f"steps must be at least 1; got {steps}.")


def _make_block(
    task: Task, algorithm: Algorithm, placement: Placement, runs: int
) -> Block:
    """Return a block of steps, compiled if that is wanted and possible."""
    if placement.compiled:
        block = compile_block(algorithm, task, placement, runs, swept=True)
        if isinstance(block, Block):
            return block
    return Block(algorithm, task, task.build(placement), runs, swept=True)


def _run_pairs(
    block: Block,
    task: Task,
    algorithm: Algorithm,
    placement: Placement,
    steps: int,
    seed: int,
    pairs: Float[Tensor, "pairs 2"],
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return status, last step and relative distance at the end of each pair's run."""
    count = len(pairs)
    pairs = torch.cat((pairs, pairs[-1:].expand(block.runs - count, -1)))
    sizes = pairs[:, :1].contiguous(), pairs[:, 1:].contiguous()
    game = task.build(placement)
    data = OracleState(game, (seed,))  # one stream: all pairs see the same data
    first = task.start(game, generator(seed, "start")).to(game.device)
    start = game.project(first.expand(block.runs, -1).contiguous())
    z, memory = start, game.memory(start)
    state = algorithm.init(Oracle(OracleState(game, (seed,) * block.runs)), z)
    alive = torch.ones(block.runs, dtype=torch.bool, device=game.device)
    ending = torch.zeros(block.runs, dtype=torch.int32, device=game.device)
    stopped_at = torch.full_like(ending, steps)
    for step in range(0, steps, block.length):
        ahead = min(block.length, steps - step)
        drawn = [
            [_repeat(data.draw(what), block.runs) for what in block.draws]
            for _ in range(ahead if block.draws else 0)
        ]
        if block.takes_stacked:
            stacked = zip(*map(list_tensors, drawn), strict=True)
            drawn = [replace_tensors(drawn[0], [torch.stack(one) for one in stacked])]
        result = block(z, state, memory, alive, drawn, step, ahead, sizes)
        after = result.runs
        z, state, memory, alive = after.z, after.state, after.memory, after.alive
        ended = after.end_step >= 0
        ending = torch.where(ended, after.ending, ending)
        stopped_at = torch.where(ended, step + after.end_step + 1, stopped_at)
        if not bool(alive.any()):
            break
    answer = algorithm.answer(z, state)
    distance = game.distance(answer, "declared") / game.distance(start, "declared")
    status = [
        str(STATUS_OF_ENDING.get(code, Status.FINISHED))
        for code in ending[:count].tolist()
    ]
    return (
        status,
        stopped_at[:count].cpu().numpy(),
        distance[:count].double().cpu().numpy(),
    )


def _repeat(drawn: Any, runs: int) -> Any:
    """Return what one run has drawn, for all runs: a tensor or a tuple of tensors."""
    if isinstance(drawn, Tensor):
        return drawn.expand(runs, *drawn.shape[1:])
    return type(drawn)(*(_repeat(member, runs) for member in drawn))

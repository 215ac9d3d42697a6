"""One step of a method on a game as a function of tensors alone, to be traced.

The step runs the same code as without compiling: algorithm, oracle and game. What it
draws becomes an argument, and what it charges a result.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.algorithms.base import Algorithm
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.repetition import charging
from mmbench.core.status import Status
from mmbench.core.streams import generator
from mmbench.core.vectors import Joint, Mask, keep, largest
from mmbench.engine.compiled.oracles import RecordingState, TracingState
from mmbench.engine.compiled.tensor_nests import list_tensors, replace_tensors
from mmbench.tasks.base import Task

# How a run ended, as a number in a tensor; 0 for a run that has not ended.
DIVERGED, NONFINITE, STOPPED = 1, 2, 3
STATUS_OF_ENDING = {
    DIVERGED: Status.DIVERGED,
    NONFINITE: Status.NONFINITE,
    STOPPED: Status.STOPPED,
}

Sizes = tuple[Tensor, ...]  # step sizes of x and y, each (runs, 1); empty if not swept


class RunState(NamedTuple):
    """All runs between two steps; what is counted is counted within a block of steps.

    Args:
        z: iterates.
        alive: runs that have not ended.
        end_step: the step of the block at which a run ended; -1 where none did.
        ending: how the run ended in the block: 0, DIVERGED, NONFINITE or STOPPED.
        steps_made: steps of the block that a run made, the one that ended it included.
        state: state of the algorithm.
        memory: memory of the game.
        run_charges: charges of the block that differ from run to run, by their name in
            `COUNTED`.
    """

    z: Joint
    alive: Mask
    end_step: Int[Tensor, " runs"]
    ending: Int[Tensor, " runs"]
    steps_made: Int[Tensor, " runs"]
    state: Any
    memory: tuple
    run_charges: dict[str, Int[Tensor, " runs"]]


class StepFunction:
    """One step of all runs as a function of tensors.

    Args:
        algorithm: the method that makes the step.
        task: the task that the game was built from.
        game: the game.
        runs: the number of runs computed side by side.
        swept: whether every run has step sizes of its own.

    Attributes:
        draws: what one step draws, in order.
        period: steps after which every turn that a step asks for recurs; 1 for methods
            that take no turns.
        charges: what one step charges to every living run, for each turn of the period.
    """

    def __init__(
        self, algorithm: Algorithm, task: Task, game: Game, runs: int, *, swept: bool
    ) -> None:
        self._algorithm, self._task, self._game = algorithm, task, game
        self._swept = swept
        self._charged: tuple[str, ...] = ()  # names of charges that differ by run
        probe, start, sizes = self._examples(runs)
        probe.resample()
        self._with_sizes(sizes).step(Oracle(probe), start.z, start.state)
        self.draws, self._turns = tuple(probe.draws), tuple(probe.turns)
        self.period = math.lcm(*(of for _, of in self._turns))
        drawn = [probe.draw(what) for what in self.draws]
        steps = [
            self._step(start, 0, drawn, sizes, turn) for turn in range(self.period)
        ]
        self.charges = [charges for _, charges in steps]
        names = (name for runs, _ in steps for name in runs.run_charges)
        self._charged = tuple(dict.fromkeys(names))

    @property
    def charges_differ(self) -> bool:
        """Whether a step charges some runs more than others."""
        return bool(self._charged)

    def __call__(
        self,
        before: RunState,
        number: int | Tensor,
        drawn: Sequence[Any],
        sizes: Sizes,
        turn: int,
        on: Tensor | None = None,
    ) -> RunState:
        """Make one step; runs that break down keep what they had.

        Args:
            before: the runs before it.
            number: of the step in its block, from 0.
            drawn: values of `draws`.
            sizes: step sizes of every run, where they are swept.
            turn: the number of the step from the start of the runs, modulo `period`.
            on: whether the step is made at all; None makes it.
        """
        after, _ = self._step(before, number, drawn, sizes, turn, on)
        return after

    def begin(self, z: Joint, alive: Mask, state: Any, memory: tuple) -> RunState:
        """Return runs at the beginning of a block."""
        zeros = torch.zeros_like(alive, dtype=torch.int32)
        charges = dict.fromkeys(self._charged, zeros)
        return RunState(z, alive, zeros - 1, zeros, zeros, state, memory, charges)

    def examples(self, runs: int, seed: int = 0) -> tuple[RunState, list[Any], Sizes]:
        """Return arguments to trace with: runs before their first step, draws, sizes.

        Every tensor has memory of its own: a tracer takes a tensor that is given twice
        for one.

        Args:
            runs: the number of runs.
            seed: of what is drawn.
        """
        probe, start, sizes = self._examples(runs, seed)
        drawn = [probe.draw(what) for what in self.draws]
        return start, drawn, sizes

    def _examples(
        self, runs: int, seed: int = 0
    ) -> tuple[RecordingState, RunState, Sizes]:
        game = self._game
        first = self._task.start(game, generator(0, "start")).to(game.device)
        z = game.project(first.expand(runs, -1).contiguous())
        memory = game.memory(z)
        probe = RecordingState(game, (seed,) * runs, memory)
        state = self._algorithm.init(Oracle(probe), z)
        probe.draws.clear()
        alive = torch.ones(runs, dtype=torch.bool, device=game.device)
        start = self.begin(z, alive, state, memory)
        sizes = tuple(torch.ones_like(z[:, :1]) for _ in range(2 * self._swept))
        copies = [
            tensor.clone().contiguous() for tensor in list_tensors((start, sizes))
        ]
        return probe, *replace_tensors((start, sizes), copies)

    def _with_sizes(self, sizes: Sizes) -> Algorithm:
        """Return the algorithm, with step sizes of every run if they are swept."""
        return self._algorithm.with_step_sizes(*sizes) if sizes else self._algorithm

    def _step(
        self,
        before: RunState,
        number: int | Tensor,
        drawn: Sequence[Any],
        sizes: Sizes,
        turn: int,
        on: Tensor | None = None,
    ) -> tuple[RunState, dict[str, int]]:
        """Return the runs after a step, and its charges to every living run."""
        z, alive, end_step, ending, steps_made, state, memory, run_charges = before
        seeds = (0,) * len(z)
        turns = [((first + turn) % of, of) for first, of in self._turns]
        traced = TracingState(
            self._game, seeds, memory, alive, self.draws, drawn, turns
        )
        traced.resample()
        algorithm = self._with_sizes(sizes)
        with charging(traced):
            moved, new_state = algorithm.step(Oracle(traced), z, state)
        stepping = alive if on is None else alive & on
        size = largest(moved)
        is_within = size <= self._task.limit
        going, breaking = stepping & is_within, stepping & ~is_within
        run_charges = run_charges | {
            name: run_charges[name] + amount * stepping
            if name in run_charges
            else amount
            for name, amount in traced.run_charges.items()
        }
        broken = torch.where(torch.isfinite(size), DIVERGED, NONFINITE).int()
        end_step = torch.where(breaking, number, end_step)
        ending = torch.where(breaking, broken, ending)
        z, state = keep(going, moved, z), keep(going, new_state, state)
        if memory:
            ahead = self._game.advance(z, memory, traced.sample)
            memory = keep(going, ahead, memory)
        alive = alive & ~breaking
        stopped = algorithm.done(new_state)
        if stopped is not None:
            stopping = going & stopped
            end_step = torch.where(stopping, number, end_step)
            ending = torch.where(stopping, STOPPED, ending)
            alive = alive & ~stopping
        steps_made = steps_made + stepping
        after = RunState(
            z, alive, end_step, ending, steps_made, state, memory, run_charges
        )
        return after, traced.charges

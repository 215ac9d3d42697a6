"""Compiled: a few steps of all runs as one graph, for cells that take long.

A graph is traced from the same code that runs without it: algorithm, oracle, game. It
pays where a step's cost is that of starting its operations, or of passing over memory
between them; compiling takes seconds to a minute.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.placement import Placement
from mmbench.core.precision import rounding
from mmbench.core.printable import printable
from mmbench.core.streams import generator
from mmbench.core.vectors import Mask, keep, largest
from mmbench.engine.compiled.c_loop import Loop
from mmbench.engine.compiled.c_operations import UnsupportedError
from mmbench.engine.compiled.oracles import RecordingState, TracingState
from mmbench.engine.recording import SHOWN
from mmbench.tasks.base import Task

LENGTH = 20  # steps of a game without data in a graph
LONG = 2**12  # the same where they are a loop: a few milliseconds

GOES_ON, DIVERGED, NONFINITE, STOPPED = range(4)  # how a run ended in a block


class RunState(NamedTuple):
    """What goes from step to step, of all runs; what is counted, within a block.

    Args:
        z: iterates.
        alive: runs that go on.
        ended: step of the block that ended a run; -1 where none did.
        how: it ended, as numbered above.
        lived: steps of the block that a run made, the one that ended it included.
        state: of the algorithm.
        memory: of the game.
        own: charges that differ from run to run, by what was counted.
    """

    z: Tensor
    alive: Mask
    ended: Int[Tensor, "runs"]
    how: Int[Tensor, "runs"]
    lived: Int[Tensor, "runs"]
    state: Any
    memory: tuple
    own: dict[str, Int[Tensor, "runs"]]


# Before each step of a block, the iterates of the first few runs in the plane,
# (length, runs, 2); None of other games.
IteratePath = Tensor | None


class Block:
    """A few steps of all runs, as one function of tensors.

    Args:
        algorithm: whose steps they are.
        task: of its game.
        game: built.
        runs: side by side.
        swept: whether every run has step sizes of its own.

    Attributes:
        runs: side by side.
        length: most steps of a call.
        draws: what one step draws, in order.
        same: what one step charges to every living run (the last one, where they differ
            in turn).
        seconds: that compiling has taken.
    """

    def __init__(
        self, algorithm: Algorithm, task: Task, game: Game, runs: int, *, swept: bool
    ) -> None:
        self.runs = runs
        self._algorithm, self._task, self._game = algorithm, task, game
        self._swept = swept
        self._shown = SHOWN * (Capability.PLANE in task.gives and not swept)
        self.same: dict[str, int] = {}
        self._charged: tuple[str, ...] = ()  # what differs from run to run
        self.seconds = 0.0
        probe, run, sizes = self._examples(runs)
        probe.resample()
        self._varied(sizes).step(Oracle(probe), run.z, run.state)
        self.draws, self._turns = tuple(probe.draws), tuple(probe.turns)
        self._round = math.lcm(*(of for _, of in self._turns))  # steps until all recur
        self.length = LENGTH if not self.draws and self._round == 1 else 1
        self._values = [probe.draw(what) for what in self.draws]  # of one step
        charged = [
            self._step(run, 0, self._values, sizes, turn).own
            for turn in range(self._round)
        ]
        self._charged = tuple(dict.fromkeys(what for one in charged for what in one))
        self._steps: Callable[..., tuple[RunState, IteratePath]] = self._eager

    def __call__(
        self,
        z: Tensor,
        state: Any,
        memory: tuple,
        alive: Mask,
        drawn: Sequence[Sequence[Any]],
        step: int,
        count: int,
        sizes: tuple = (),
    ) -> tuple[RunState, IteratePath]:
        """The first `count` steps of the block.

        Args:
            z: iterates.
            state: of the algorithm.
            memory: of the game.
            alive: runs that have not ended.
            drawn: values of `draws` for each of `count` steps; empty where none are.
            step: of the runs, the block's first one.
            count: how many, at most `length`.
            sizes: of every run's steps, where they are swept.
        """
        given = self._begun(z, alive, state, memory), drawn, sizes
        whole = leaves(given)
        if not all(one.is_contiguous() for one in whole):
            # Compiled code holds for one layout.
            given = filled(given, [one.contiguous() for one in whole])
        return self._steps(*given, step, count)

    def charges(self, after: RunState) -> dict[str, Int[Tensor, "runs"]]:
        """What each run is to be charged."""
        charged = {
            what: amount * after.lived for what, amount in self.same.items() if amount
        }
        for what, amount in after.own.items():
            charged[what] = charged[what] + amount if what in charged else amount
        return charged

    def compile(self) -> None:
        """Make machine code of it; what is raised is the reason why not."""
        before = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about itself
            try:
                self._loop()
            except (UnsupportedError, OSError, CalledProcessError):
                self._graph()
        self._values = []  # they may be large, and are not wanted any more
        self.seconds = time.perf_counter() - before

    def _loop(self) -> None:
        """One step as a loop in C.

        Raises:
            UnsupportedError: when it cannot be.
            OSError: when there is no C compiler.
            CalledProcessError: when it fails.
        """
        if self.draws or self._round > 1 or self._game.device.type != "cpu":
            raise UnsupportedError("no formula of a run's numbers alone")
        _, run, _ = self._examples(self.runs)
        count = len(leaves(run))

        def examples(runs: int) -> list[Tensor]:
            return [*leaves(self._examples(runs)[1:]), torch.tensor(0)]

        def step(*given: Tensor) -> list[Tensor]:
            begun, sizes = filled(run, given[:count]), given[count:-1]
            return leaves(self._step(begun, given[-1], (), sizes, 0))

        loop = Loop(step, examples, count)

        def steps(
            run: RunState, _drawn: list, sizes: tuple, _step: int, count: int
        ) -> tuple[RunState, IteratePath]:
            after, path = loop([*leaves(run), *sizes], count, self._shown)
            return filled(run, after), path if self._shown else None

        self._steps, self.length = steps, LONG

    def _graph(self) -> None:
        """All steps of the block as one graph; whatever fails is raised."""
        _, run, sizes = self._examples(self.runs)
        drawn = [self._values] * self.length
        examples = run, drawn, sizes, torch.tensor(self.length, device=run.z.device)
        functions, same = [], []
        for turn in range(self._round):
            unrolled = partial(self._unrolled, turn)
            graph = make_fx(lambda *given, of=unrolled: of(*given))(*examples)
            graph.graph.eliminate_dead_code()
            graph.recompile()
            functions.append(_compiled(graph, examples))
            same.append(self.same)

        def steps(
            run: RunState, drawn: list, sizes: tuple, step: int, count: int
        ) -> tuple[RunState, IteratePath]:
            drawn = [*drawn, *(drawn[-1:] or [[]]) * self.length][: self.length]
            number = torch.tensor(count, device=run.z.device)
            given = run, drawn, sizes, number
            self.same = same[step % self._round]
            after, path = functions[step % self._round](*given)
            return after, path if path is None else path[:count]

        self._steps = steps

    def _examples(self, runs: int) -> tuple[RecordingState, RunState, tuple]:
        """An oracle of so many runs, these before their first step, and step sizes."""
        game = self._game
        first = self._task.start(game, generator(0, "start")).to(game.device)
        z = game.project(first.expand(runs, -1).contiguous())
        memory = game.memory(z)
        probe = RecordingState(game, (0,) * runs, memory)
        state = self._algorithm.init(Oracle(probe), z)
        probe.draws.clear()
        alive = torch.ones(runs, dtype=torch.bool, device=game.device)
        run = self._begun(z, alive, state, memory)
        sizes = tuple(torch.ones_like(z[:, :1]) for _ in range(2 * self._swept))
        # Tensors of their own: a tracer takes one that is given twice for one.
        own = [one.clone().contiguous() for one in leaves((run, sizes))]
        return probe, *filled((run, sizes), own)

    def _begun(self, z: Tensor, alive: Mask, state: Any, memory: tuple) -> RunState:
        """Runs at the beginning of a block."""
        nothing = torch.zeros_like(alive, dtype=torch.int32)
        own = dict.fromkeys(self._charged, nothing)
        return RunState(z, alive, nothing - 1, nothing, nothing, state, memory, own)

    def _varied(self, sizes: tuple) -> Algorithm:
        """The algorithm, with step sizes of each run if they are swept."""
        if not sizes:
            return self._algorithm
        varied = object.__new__(type(self._algorithm))
        varied.__dict__.update(vars(self._algorithm) | {"step_size": sizes})
        return varied

    # ---- what is computed ----

    def _eager(
        self, run: RunState, drawn: list, sizes: tuple, step: int, count: int
    ) -> tuple[RunState, IteratePath]:
        """So many steps, operation by operation."""
        path = []
        for k in range(count):
            path += [run.z[: self._shown]]
            run = self._step(run, k, drawn[k] if drawn else (), sizes, step + k)
        return run, torch.stack(path) if self._shown else None

    def _unrolled(
        self, turn: int, run: RunState, drawn: list, sizes: tuple, count: Tensor
    ) -> tuple[RunState, IteratePath]:
        """All steps of the block; those from `count` on change nothing."""
        path = []
        for k, values in enumerate(drawn):
            path += [run.z[: self._shown]]
            on = count > k if self.length > 1 else None
            run = self._step(run, k, values, sizes, turn + k, on)
        return run, torch.stack(path) if self._shown else None

    def _step(
        self,
        run: RunState,
        k: int | Tensor,
        values: Sequence[Any],
        sizes: tuple,
        ahead: int,
        on: Tensor | None = None,
    ) -> RunState:
        """Step k of a block, if it is on; runs that break down keep what they had.

        Whose turn it is, is told by how many steps this one is ahead of the first.
        """
        z, alive, ended, how, lived, state, memory, own = run
        seeds = (0,) * len(z)
        turns = [((first + ahead) % of, of) for first, of in self._turns]
        traced = TracingState(
            self._game, seeds, memory, alive, self.draws, values, turns
        )
        traced.resample()
        algorithm = self._varied(sizes)
        moved, new = algorithm.step(Oracle(traced), z, state)
        begun = alive if on is None else alive & on
        size = largest(moved)
        sound = size <= self._task.limit
        going, dying = begun & sound, begun & ~sound
        self.same = traced.same
        own = own | {
            what: own[what] + charged * begun if what in own else charged
            for what, charged in traced.own.items()
        }
        fate = torch.where(torch.isfinite(size), DIVERGED, NONFINITE).int()
        ended, how = torch.where(dying, k, ended), torch.where(dying, fate, how)
        z, state = keep(going, moved, z), keep(going, new, state)
        if memory:
            memory = keep(going, self._game.advance(z, memory), memory)
        alive = alive & ~dying
        stopped = algorithm.done(new)
        if stopped is not None:
            now = going & stopped
            ended, how = torch.where(now, k, ended), torch.where(now, STOPPED, how)
            alive = alive & ~now
        return RunState(z, alive, ended, how, lived + begun, state, memory, own)


def leaves(nest: Any) -> list[Tensor]:
    """The tensors in tuples, lists and dicts, in order."""
    if isinstance(nest, Tensor):
        return [nest]
    parts = nest.values() if isinstance(nest, dict) else nest or ()
    return [one for part in parts for one in leaves(part)]


def filled(nest: Any, tensors: Sequence[Tensor]) -> Any:
    """The same nest with these tensors for its own."""
    given = iter(tensors)

    def fill(nest: Any) -> Any:
        if isinstance(nest, Tensor):
            return next(given)
        if nest is None:
            return None
        if isinstance(nest, dict):
            return {name: fill(part) for name, part in nest.items()}
        parts = [fill(part) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)

    return fill(nest)


def _compiled(traced: Any, examples: tuple) -> Callable[..., Any]:
    # Inside, because the compiler takes seconds to load.
    import torch._inductor as inductor  # noqa: PLC0415

    with inductor.config.patch(compile_threads=1):  # no processes of its own
        return inductor.compile(traced, list(examples))


@lru_cache(maxsize=16)
def block(
    algorithm: Algorithm,
    task: Task,
    placement: Placement,
    runs: int,
    precision: str = "exact",
    *,
    swept: bool = False,
) -> Block | str:
    """The compiled block of a method on a game, or why there is none.

    Args:
        algorithm: whose steps they are.
        task: of its game.
        placement: of the computation.
        runs: side by side.
        precision: of products within a step, as a cell has it.
        swept: whether every run has step sizes of its own.
    """
    made = Block(algorithm, task, task.build(placement), runs, swept=swept)
    try:
        with rounding(precision, placement.device):
            made.compile()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a compiler has many ways to fail
        if "_local_scalar_dense" in str(error):
            return "what a step does next depends on a number of a run"
        first = str(error).strip().partition("\n")[0]
        return printable(f"{type(error).__name__}: {first}")
    return made

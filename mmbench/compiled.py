"""Compiled: a few steps of all runs as one graph, for cells that take long.

A graph is traced from the same code that runs without it: algorithm, oracle, game. It
pays where a step's cost is that of starting its operations, or of passing over memory
between them; compiling takes seconds to a minute.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from mmbench.algorithms.base import Algorithm
from mmbench.columns import apart
from mmbench.core.capability import Capability
from mmbench.core.game import Game
from mmbench.core.oracle import Draw
from mmbench.core.place import Place
from mmbench.core.printable import printable
from mmbench.core.rounding import rounding
from mmbench.core.streams import generator
from mmbench.core.taped import ListeningOracle, TapedOracle
from mmbench.core.vectors import Mask, keep
from mmbench.tasks.base import Task
from mmbench.trajectory import SHOWN

LENGTH = 20  # steps of a game without data in a graph

GOES_ON, DIVERGED, NONFINITE, STOPPED = range(4)  # how a run ended in a block


class After(NamedTuple):
    """Where a block has led.

    Args:
        z: iterates.
        state: of the algorithm.
        memory: of the game.
        alive: runs that go on.
        ended: step of the block that ended a run; -1 where none did.
        how: it ended, as numbered above.
        lived: steps of the block that a run made, the one that ended it included.
        own: charges that differ from run to run.
        path: first few iterates before each step, (length, runs, 2), in the plane;
            else None.
    """

    z: Tensor
    state: Any
    memory: tuple
    alive: Mask
    ended: Int[Tensor, "runs"]
    how: Int[Tensor, "runs"]
    lived: Int[Tensor, "runs"]
    own: dict[str, Int[Tensor, "runs"]]
    path: Tensor | None


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
        length: steps in it.
        draws: what one step draws, in order.
        same: what one step charges to every living run.
        seconds: that compiling has taken.
    """

    def __init__(
        self, algorithm: Algorithm, task: Task, game: Game, runs: int, *, swept: bool
    ) -> None:
        self.runs = runs
        self._algorithm, self._game, self._limit = algorithm, game, task.limit
        self._seeds, self._swept = (0,) * runs, swept
        self._plane = Capability.PLANE in task.gives
        first = task.start(game, generator(0, "start")).to(game.device)
        z = game.project(first.expand(runs, -1).contiguous())
        memory = game.memory(z)
        probe = ListeningOracle(game, self._seeds, memory)
        state = algorithm.init(probe, z)
        probe.draws.clear()
        self._sizes = tuple(torch.ones_like(z[:, :1]) for _ in range(2 * swept))
        self.draws: tuple[Draw, ...] = ()
        self.same: dict[str, int] = {}
        self.length = 1
        self.seconds = 0.0
        self._function: Callable[..., After] = self._steps
        self._examples = self._probed(probe, z, state, memory)

    def _probed(
        self, probe: ListeningOracle, z: Tensor, state: Any, memory: tuple
    ) -> tuple:
        """Arguments of one call, after a step that tells what is drawn."""
        probe.resample()
        self._varied(self._sizes).step(probe, z, state)
        self.draws = tuple(probe.draws)
        self.length = 1 if self.draws else LENGTH
        drawn = [[probe.draw(what) for what in self.draws] for _ in range(self.length)]
        alive = torch.ones(len(z), dtype=torch.bool, device=z.device)
        count = torch.tensor(self.length, device=z.device)
        examples = z, state, memory, alive, drawn, count, self._sizes
        # Tensors of their own: a tracer takes one that is given twice for one.
        return _each(lambda one: one.clone().contiguous(), examples)

    def __call__(
        self,
        z: Tensor,
        state: Any,
        memory: tuple,
        alive: Mask,
        drawn: Sequence[Sequence[Any]],
        count: int,
        sizes: tuple = (),
    ) -> After:
        """The first `count` steps of the block.

        Args:
            z: iterates.
            state: of the algorithm.
            memory: of the game.
            alive: runs that have not ended.
            drawn: values of `draws` for each of `count` steps.
            count: how many, at most `length`.
            sizes: of every run's steps, where they are swept.
        """
        padded = [*drawn, *drawn[-1:] * (self.length - count)]
        steps = torch.tensor(count, device=z.device)
        given = z, state, memory, alive, padded, steps, sizes
        # A graph holds for one layout.
        return After(*self._function(*_each(Tensor.contiguous, given)))

    def charges(self, after: After) -> dict[str, Int[Tensor, "runs"]]:
        """What each run is to be charged."""
        charged = {
            what: amount * after.lived for what, amount in self.same.items() if amount
        }
        for what, amount in after.own.items():
            charged[what] = charged[what] + amount if what in charged else amount
        return charged

    def trace(self) -> None:
        """Make one graph of it; whatever is raised is the reason why there is none."""
        traced = make_fx(partial(_call, self._steps))(*self._examples)
        if self._plane:
            traced = make_fx(apart(traced))(*self._examples)
        traced.graph.eliminate_dead_code()
        traced.recompile()
        self._function = traced

    def compile(self) -> None:
        """Make machine code of the graph; what is raised is the reason why not."""
        before = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about itself
            self.trace()
            self._function = _compiled(self._function, self._examples)
        self._examples = ()
        self.seconds = time.perf_counter() - before

    def _varied(self, sizes: tuple) -> Algorithm:
        """The algorithm, with step sizes of each run if they are swept."""
        if not sizes:
            return self._algorithm
        varied = object.__new__(type(self._algorithm))
        varied.__dict__.update(vars(self._algorithm) | {"step_size": sizes})
        return varied

    def _steps(
        self,
        z: Tensor,
        state: Any,
        memory: tuple,
        alive: Mask,
        drawn: list,
        count: Tensor,
        sizes: tuple,
    ) -> tuple:
        """All of it; steps from `count` on change nothing."""
        algorithm = self._varied(sizes)
        nothing = torch.zeros_like(alive, dtype=torch.int32)
        ended, how, lived = nothing - 1, nothing, nothing
        own: dict[str, Tensor] = {}
        path = []
        for k, values in enumerate(drawn):
            path += [z[:SHOWN]] * self._plane
            oracle = TapedOracle(
                self._game, self._seeds, memory, alive, self.draws, values
            )
            oracle.resample()
            moved, new = algorithm.step(oracle, z, state)
            begun = alive & (count > k) if self.length > 1 else alive
            size = torch.linalg.vector_norm(moved, ord=torch.inf, dim=1)
            sound = size <= self._limit
            going, dying = begun & sound, begun & ~sound
            self.same = oracle.same
            for what, charged in oracle.own.items():
                own[what] = own.get(what, nothing) + charged * begun
            lived = lived + begun
            fate = torch.where(torch.isfinite(size), DIVERGED, NONFINITE)
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
        stacked = torch.stack(path) if path else None
        return z, state, memory, alive, ended, how, lived, own, stacked


def _each(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """The same nest of tuples and lists, with the function's values as its tensors."""
    if isinstance(nest, Tensor):
        return function(nest)
    if nest is None:
        return None
    parts = [_each(function, one) for one in nest]
    return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)


def _call(function: Callable[..., Any], *given: Any) -> Any:
    """Its value; a tracer counts the arguments of a bound method wrongly."""
    return function(*given)


def _compiled(traced: Any, examples: tuple) -> Callable[..., Any]:
    # Inside, because the compiler takes seconds to load.
    import torch._inductor as inductor  # noqa: PLC0415

    with inductor.config.patch(compile_threads=1):  # no processes of its own
        return inductor.compile(traced, list(examples))


@lru_cache(maxsize=16)
def block(
    algorithm: Algorithm,
    task: Task,
    place: Place,
    runs: int,
    precision: str = "exact",
    *,
    swept: bool = False,
) -> Block | str:
    """The compiled block of a method on a game, or why there is none.

    Args:
        algorithm: whose steps they are.
        task: of its game.
        place: of the computation.
        runs: side by side.
        precision: of products within a step, as a cell has it.
        swept: whether every run has step sizes of its own.
    """
    made = Block(algorithm, task, task.build(place), runs, swept=swept)
    try:
        with rounding(precision, place.device):
            made.compile()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a compiler has many ways to fail
        if "_local_scalar_dense" in str(error):
            return "what a step does next depends on a number of a run"
        first = str(error).strip().partition("\n")[0]
        return printable(f"{type(error).__name__}: {first}")
    return made

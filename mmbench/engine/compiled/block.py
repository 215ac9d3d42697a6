"""A block of steps of all runs, compiled where that pays.

Compiling pays where a step's cost is that of starting its operations, or of moving
numbers through memory between them. It takes about a second for a loop in C, and up to
a minute for a graph. On a GPU steps are captured, which takes as long as a few of them.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.fx import GraphModule

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.description import nested, reference_of
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.placement import Placement
from mmbench.core.precision import rounding
from mmbench.core.printable import printable
from mmbench.core.vectors import Joint, Mask
from mmbench.engine.compiled.c_array_program import MAX_ENTRIES
from mmbench.engine.compiled.c_loop import (
    Loop,
    loop_over_arrays,
    loop_over_numbers,
)
from mmbench.engine.compiled.c_operations import UnsupportedError
from mmbench.engine.compiled.c_program import MAX_NUMBERS
from mmbench.engine.compiled.captured_steps import CapturedSteps
from mmbench.engine.compiled.cuda_graphs import CudaGraphs
from mmbench.engine.compiled.oracles import RecordingState
from mmbench.engine.compiled.step_function import RunState, Sizes, StepFunction
from mmbench.engine.compiled.tensor_nests import list_tensors, replace_tensors
from mmbench.engine.compiled.traces import DependentError, trace
from mmbench.engine.recording import SHOWN
from mmbench.tasks.base import Task

GRAPH_STEPS = 20  # steps in one call of a graph, in games without data
LOOP_STEPS = 2**14  # steps in one call of a loop, some milliseconds
STOPPED_NUMBERS = 2**20  # of all runs at all stops on the way: a few MB
ARRAY_STEPS = 2**6  # in a call of a loop over arrays at first, and where steps draw
CALL_SECONDS = 0.1  # that such a call may take later, where steps draw nothing
CAPTURED_STEPS = 2**8  # steps after which the host looks at captured ones

# Iterates of the first few runs before each step of a block; None for games that are
# not of the plane.
IteratePath = Float[Tensor, "count shown 2"] | None

# Draws of some steps, those of a step in the order of `Block.draws`.
Drawn = Sequence[Sequence[Any]]

# Makes steps: (runs, draws, sizes, number of the first step, how many steps).
Steps = Callable[[RunState, Drawn, Sizes, int, int], tuple[RunState, IteratePath]]


class BlockResult(NamedTuple):
    """What a block of steps has made of the runs.

    Args:
        runs: the runs after the block.
        path: their path in the plane.
        turn_charges: what a step charges to every living run, by its name in `COUNTED`:
            of the block's first step and those after it, until they recur.
    """

    runs: RunState
    path: IteratePath
    turn_charges: Sequence[dict[str, int]]

    def charges_of(self, steps: Any) -> dict[str, Any]:
        """Return what the first steps of the block charge to a living run.

        Args:
            steps: how many: a number, or a tensor with one for each run.
        """
        charges: dict[str, Any] = {}
        turns = len(self.turn_charges)
        for turn, charged in enumerate(self.turn_charges):
            times = (steps + turns - 1 - turn) // turns if turns > 1 else steps
            for name, amount in charged.items():
                if amount:
                    charges[name] = charges.get(name, 0) + amount * times
        return charges

    def at_stop(self, stop: int) -> tuple[Joint, Any]:
        """Return iterates and state of the algorithm at a stop, by its number."""
        given = self.runs.z, self.runs.state
        return replace_tensors(given, [tensor[stop] for tensor in list_tensors(given)])

    def at_end(self) -> "BlockResult":
        """Return the result at the last stop, in memory of its own."""
        last = [tensor[-1].clone() for tensor in list_tensors(self.runs)]
        return self._replace(runs=replace_tensors(self.runs, last))

    def charges_by_run(self) -> dict[str, Int[Tensor, "*stops runs"]]:
        """Return what the block has charged to each run, at each stop if it has any."""
        steps = self.runs.steps_made
        if steps.device.type == "cpu":  # arrays take a fifth of the time of tensors
            charges = self.charges_of(steps.numpy())
            charges = {name: torch.from_numpy(one) for name, one in charges.items()}
        else:
            charges = self.charges_of(steps)
        for name, amount in self.runs.run_charges.items():
            charges[name] = charges[name] + amount if name in charges else amount
        return charges


class Block:
    """Some steps of all runs as one function of tensors.

    Args:
        algorithm: the method that makes the steps.
        task: the task that the game was built from.
        game: the game.
        runs: the number of runs computed side by side.
        swept: whether every run has step sizes of its own.

    Attributes:
        runs: the number of runs computed side by side.
        length: the most steps of a call.
        draws: what one step draws, in order.
        source: the text of the C program; empty where there is none.
        backend: what makes the steps: "compiled", or "captured" on a GPU.
        most_stops: the most stops of a call of `through`; 0 where it cannot be called.
        takes_stacked: whether a call takes what all its steps draw as one value.
    """

    def __init__(
        self, algorithm: Algorithm, task: Task, game: Game, runs: int, *, swept: bool
    ) -> None:
        self.runs, self._device, self._dim = runs, game.device, game.dim
        self._shown = SHOWN if Capability.PLANE in task.gives and not swept else 0
        self._step = StepFunction(algorithm, task, game, runs, swept=swept)
        self.draws, self._period = self._step.draws, self._step.period
        self.length = 1 if self.draws or self._period > 1 else GRAPH_STEPS
        self.source, self.backend = "", "compiled"
        self._steps: Steps = self._make_steps
        self._loop: Loop | None = None
        self._is_timed = False
        self.most_stops = 0
        self.takes_stacked = False
        self._captured: CapturedSteps | None = None

    def __call__(
        self,
        z: Joint,
        state: Any,
        memory: tuple,
        alive: Mask,
        drawn: Iterable[Sequence[Any]],
        step: int,
        count: int,
        sizes: Sizes = (),
    ) -> BlockResult:
        """Make some steps.

        Args:
            z: iterates, shape (runs, dim).
            state: state of the algorithm.
            memory: memory of the game.
            alive: runs that have not ended.
            drawn: values of `draws` for each step, or with `takes_stacked` once, with a
                leading axis of the steps; empty where nothing is drawn.
            step: the number of the first step, counted from the start of the runs.
            count: steps to make, at most `length`.
            sizes: step sizes of every run, where they are swept.
        """
        begun = self._step.begin(z, alive, state, memory)
        charges = self._charges(step % self._period)
        if self._captured:
            runs, path = self._captured(begun, drawn, sizes, step, count)
            return BlockResult(runs, path, charges)
        arguments = begun, list(drawn), sizes
        tensors = list_tensors(arguments)
        if not all(tensor.is_contiguous() for tensor in tensors):
            # Compiled code holds for one layout.
            contiguous = [tensor.contiguous() for tensor in tensors]
            arguments = replace_tensors(arguments, contiguous)
        runs, path = self._steps(*arguments, step, count)
        return BlockResult(runs, path, charges)

    def through(
        self,
        z: Joint,
        state: Any,
        memory: tuple,
        alive: Mask,
        stops: Sequence[int],
        step: int,
        sizes: Sizes = (),
    ) -> BlockResult:
        """Make some steps, and return what the runs were at some stops.

        Args:
            z, state, memory, alive, step, sizes: as a call takes them.
            stops: after how many steps: rising numbers, the last one that of all steps,
                at most `length`; there are at most `most_stops`.

        Returns:
            The result, in which `runs` has a leading axis of the stops.
        """
        assert self._loop
        begun = self._step.begin(z, alive, state, memory)
        given = [tensor.contiguous() for tensor in list_tensors((begun, sizes))]
        turn = step % self._period
        with self._timed(stops[-1]):
            found, path = self._loop.through(given, stops, self._shown, turn)
        runs = replace_tensors(begun, found)
        return BlockResult(runs, path if self._shown else None, self._charges(turn))

    def _charges(self, turn: int) -> list[dict[str, int]]:
        """Return what steps charge from a turn on, until it recurs."""
        return [*self._step.charges[turn:], *self._step.charges[:turn]]

    @property
    def step_charges(self) -> dict[str, int] | None:
        """What any step charges to any living run; None if steps or runs differ."""
        first, *others = self._step.charges
        differ = self._step.charges_differ or any(one != first for one in others)
        return None if differ else first

    def compile(self, *, arrays: bool = True, graphs: bool = True) -> bool:
        """Compile the steps, as a loop in C if possible, else as a graph.

        Whatever the graph's compiler raises is raised: it is the reason why not.

        Args:
            arrays: whether a loop over arrays is compiled where one over numbers is
                impossible.
            graphs: whether a graph is compiled where no loop is possible; on a GPU,
                whether steps are captured.

        Returns:
            Whether anything was compiled.
        """
        if self._device.type == "cuda":
            if graphs:
                self._capture()
            return graphs
        ways = [self._compile_loop]
        ways += [self._compile_arrays] if arrays else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about itself
            for compile_steps in ways:
                try:
                    compile_steps()
                except (UnsupportedError, OSError, CalledProcessError):
                    continue
                return True
            if graphs:
                self._compile_graphs()
        return graphs

    # ---- five ways to make the steps ----

    def _make_steps(
        self, runs: RunState, drawn: Drawn, sizes: Sizes, step: int, count: int
    ) -> tuple[RunState, IteratePath]:
        """Make steps operation by operation, without compiling."""
        path = []
        for k in range(count):
            path.append(runs.z[: self._shown])
            turn = (step + k) % self._period
            runs = self._step(runs, k, drawn[k] if drawn else (), sizes, turn)
        return runs, torch.stack(path) if self._shown else None

    def _compile_loop(self) -> None:
        """Make the steps a loop in C.

        Raises:
            UnsupportedError: when a step cannot be computed for each run by itself.
            OSError: when there is no C compiler.
            CalledProcessError: when it fails.
        """
        if self.draws or self._period > 1 or self._device.type != "cpu":
            raise UnsupportedError("a step draws, takes turns or runs on a GPU")
        if self._dim > MAX_NUMBERS:  # before it is traced
            raise UnsupportedError(f"a run has {self._dim} numbers")
        step, examples, changed = self._flat_step(0)
        loop = loop_over_numbers(step, examples, changed)

        def steps(
            runs: RunState, _drawn: Drawn, sizes: Sizes, _step: int, count: int
        ) -> tuple[RunState, IteratePath]:
            tensors, path = loop([*list_tensors(runs), *sizes], count, self._shown)
            return replace_tensors(runs, tensors), path if self._shown else None

        self._steps, self.length, self.source = steps, LOOP_STEPS, loop.source
        self._stop_within(loop)

    def _stop_within(self, loop: Loop) -> None:
        """Let `through` call a loop."""
        start, _, _ = self._step.examples(self.runs)
        numbers = sum(tensor.numel() for tensor in list_tensors(start))
        self._loop, self.most_stops = loop, STOPPED_NUMBERS // numbers

    @contextmanager
    def _timed(self, count: int) -> Iterator[None]:
        """Time a call, and let the next ones be as long as one may take.

        Nothing is reported, saved or ended during a call. No number depends on how many
        calls make the steps.

        Args:
            count: the steps of the call.
        """
        begun = time.perf_counter()
        yield
        if self._is_timed:
            seconds = (time.perf_counter() - begun) / count
            most = int(CALL_SECONDS / max(seconds, 1e-9))
            self.length = max(ARRAY_STEPS, min(LOOP_STEPS, most))

    def _compile_arrays(self) -> None:
        """Make the steps a loop in C over the arrays of a few runs at a time.

        Raises:
            UnsupportedError: when a step cannot be computed for each run by itself.
            DependentError: when what it does next depends on a number.
            OSError: when there is no C compiler.
            CalledProcessError: when it fails.
        """
        if self._device.type != "cpu" or self._shown:
            raise UnsupportedError("a step runs on a GPU, or leaves a path")
        _, draws, _ = self._step.examples(self.runs)
        of_draws = len(list_tensors(draws))
        turns = [self._flat_step(turn) for turn in range(self._period)]
        _, examples, changed = turns[0]
        of_turns = [step for step, _, _ in turns]
        loop = loop_over_arrays(of_turns, examples, changed, of_draws, self.runs)

        def steps(
            runs: RunState, drawn: Drawn, sizes: Sizes, step: int, count: int
        ) -> tuple[RunState, IteratePath]:
            given = [*list_tensors(runs), *list_tensors(drawn), *sizes]
            with self._timed(count):
                tensors, _ = loop(given, count, 0, step % self._period)
            return replace_tensors(runs, tensors), None

        self.takes_stacked = bool(self.draws)
        self.length = ARRAY_STEPS
        if not self.draws:
            self._is_timed = True
            self._stop_within(loop)
        self._steps, self.source = steps, loop.source

    def _flat_step(
        self, turn: int
    ) -> tuple[Callable[..., list[Tensor]], Callable[[int], list[Tensor]], int]:
        """Return a step as a function of tensors, and its arguments for some runs.

        Args:
            turn: the number of the step from the start of the runs, modulo the period.

        Returns:
            The step: of the tensors that it changes, its draws, step sizes and its
            number; the function that gives examples of these; and the number of
            tensors that the step changes.
        """
        pattern, draws, _ = self._step.examples(self.runs)
        changed, drawn = len(list_tensors(pattern)), len(list_tensors(draws))

        def examples(runs: int) -> list[Tensor]:
            return [*list_tensors(self._step.examples(runs)), torch.tensor(0)]

        def step(*tensors: Tensor) -> list[Tensor]:
            *arguments, number = tensors
            before = replace_tensors(pattern, arguments[:changed])
            given = replace_tensors(draws, arguments[changed : changed + drawn])
            sizes = tuple(arguments[changed + drawn :])
            return list_tensors(self._step(before, number, given, sizes, turn))

        return step, examples, changed

    def _compile_graphs(self) -> None:
        """Make all steps of a block one graph, for each turn of a period."""
        start, drawn, sizes = self._step.examples(self.runs)
        count = torch.tensor(self.length, device=self._device)
        pattern = start, [drawn] * self.length, sizes, count
        examples = list_tensors(pattern)
        graphs = []
        for turn in range(self._period):

            def unrolled(*tensors: Tensor, turn: int = turn) -> list[Tensor]:
                given = replace_tensors(pattern, tensors)
                return list_tensors(self._make_masked_steps(turn, *given))

            graphs.append(compile_graph(trace(unrolled, examples), examples))

        def steps(
            runs: RunState, drawn: Drawn, sizes: Sizes, step: int, count: int
        ) -> tuple[RunState, IteratePath]:
            # The graph makes `length` steps: those from `count` on are masked, and
            # their draws repeat the last ones.
            repeated = [drawn[-1] if drawn else []] * (self.length - len(drawn))
            number = torch.tensor(count, device=self._device)
            given = list_tensors((runs, [*drawn, *repeated], sizes, number))
            made = graphs[step % self._period](*given)
            after = replace_tensors(runs, made)
            return after, made[-1][:count] if self._shown else None

        self._steps = steps

    def _make_masked_steps(
        self, turn: int, runs: RunState, drawn: Drawn, sizes: Sizes, count: Tensor
    ) -> tuple[RunState, IteratePath]:
        """Make all steps of a block; those from `count` on change nothing."""
        path = []
        for k, values in enumerate(drawn):
            path.append(runs.z[: self._shown])
            on = count > k if self.length > 1 else None
            runs = self._step(runs, k, values, sizes, turn + k, on)
        return runs, torch.stack(path) if self._shown else None

    def _capture(self) -> None:
        """Capture the steps, one graph for each turn, and compare the first ones.

        Raises:
            DependentError: when what a step does next depends on a number.
            UnsupportedError: when captured steps give other bits.
        """
        captured = CapturedSteps(
            self._step,
            self.runs,
            CAPTURED_STEPS,
            self._shown,
            CudaGraphs(self._device),
        )
        count = self._period + 1
        start, first, sizes = self._step.examples(self.runs)
        _, second, _ = self._step.examples(self.runs, seed=1)
        given = start, [first, *[second] * self._period], sizes, 0, count
        pairs = zip(
            list_tensors(self._make_steps(*given)),
            list_tensors(captured(*given)),
            strict=True,
        )
        if not all(_is_same(one, other) for one, other in pairs):
            raise UnsupportedError("captured steps give other bits")
        self._captured, self.length = captured, CAPTURED_STEPS
        self.backend = "captured"


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Return whether tensors have the same numbers, not one of them rounded."""
    same = (one == other) | (one.isnan() & other.isnan())
    return one.dtype == other.dtype and bool(same.all())


def may_become_arrays(game: Game, z: Joint) -> bool:
    """Return whether a step on a game may become a loop over arrays.

    Convolutions cannot, and are not traced for nothing.

    Args:
        game: the game.
        z: iterates of one run, shape (1, dim).
    """
    if game.dim > MAX_ENTRIES:
        return False
    state = RecordingState(game, (0,), game.memory(z))
    state.resample()
    try:
        losses = trace(Oracle(state).losses, (z,))
    except DependentError:
        return False
    return not any("conv" in str(node.target) for node in losses.graph.nodes)


def compile_graph(graph: GraphModule, examples: Sequence[Tensor]) -> Callable[..., Any]:
    """Compile a graph with torch's own compiler."""
    # Inside, because the compiler takes seconds to load.
    import torch._inductor as inductor  # noqa: PLC0415

    written = GraphModule(graph, graph.graph)  # with its code in Python
    with inductor.config.patch(compile_threads=1):  # no processes of its own
        return inductor.compile(written, list(examples))


def compile_block(
    algorithm: Algorithm,
    task: Task,
    placement: Placement,
    runs: int,
    precision: str = "exact",
    *,
    swept: bool = False,
    arrays: bool = True,
    graphs: bool = True,
) -> Block | str | None:
    """Return the compiled block of a method on a game, or the reason why there is none.

    The last few blocks are kept, for cells that differ in their seeds or metrics.

    Args:
        algorithm: the method that makes the steps.
        task: the task that the game is built from.
        placement: device, dtype and data folder.
        runs: the number of runs computed side by side.
        precision: of products within a step, as a cell has it.
        swept: whether every run has step sizes of its own.
        arrays: whether a loop over arrays is compiled where one over numbers is
            impossible.
        graphs: whether a graph is compiled where no loop in C is possible, or steps are
            captured on a GPU; otherwise the result is None there.
    """
    # Equal objects of one external class run other code once it was patched.
    classes = map(type, nested((algorithm, task)))
    return _compile_block(
        tuple(map(reference_of, classes)),
        algorithm,
        task,
        placement,
        runs,
        precision,
        swept=swept,
        # In C, products are exact.
        arrays=arrays and precision == "exact",
        graphs=graphs,
    )


@lru_cache(maxsize=16)
def _compile_block(
    _code: tuple[str, ...],
    algorithm: Algorithm,
    task: Task,
    placement: Placement,
    runs: int,
    precision: str,
    *,
    swept: bool,
    arrays: bool,
    graphs: bool,
) -> Block | str | None:
    if placement.device.type == "cuda":
        clear_blocks()  # a captured step keeps the memory of all that it computes
    block = Block(algorithm, task, task.build(placement), runs, swept=swept)
    try:
        with rounding(precision, placement.device):
            is_compiled = block.compile(arrays=arrays, graphs=graphs)
    except torch.OutOfMemoryError:
        raise
    except DependentError as error:
        return str(error)
    except Exception as error:  # a compiler has many ways to fail
        first = str(error).strip().partition("\n")[0]
        return printable(f"{type(error).__name__}: {first}")
    return block if is_compiled else None


def clear_blocks() -> None:
    """Forget the blocks that are kept."""
    _compile_block.cache_clear()

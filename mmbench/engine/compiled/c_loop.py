"""The steps of all runs as one loop in C, where each run is computed by itself.

A general compiler repeats the code of a step as often as it is made, and writes what
lies between to memory. Where a run is a few numbers, nothing need leave the registers:
runs are taken some at a time, for as many steps as are wanted, in a loop that a C
compiler turns into operations on vectors. Where a run is a few arrays, these need not
leave the cache: runs are taken one after the other.
"""

import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.fx import GraphModule

from mmbench.core.repetition import marked_loops
from mmbench.core.streams import generator
from mmbench.engine.compiled.c_array_program import write_array_programs
from mmbench.engine.compiled.c_compiler import compile_program
from mmbench.engine.compiled.c_kernels import Function, load_programs
from mmbench.engine.compiled.c_operations import UnsupportedError
from mmbench.engine.compiled.c_program import write_program
from mmbench.engine.compiled.decompositions import decompositions
from mmbench.engine.compiled.traces import trace

# The numbers of runs that a step is traced with: primes, so that no other axis is
# mistaken for the runs axis; two, to see that a program does not depend on the runs.
TRACED_RUNS = (1009, 1013)

# The same for programs of arrays, whose step is computed to be traced.
TRACED_ROWS = (13, 17, 19, 23)

SPREAD = 0.1  # of the iterates with which two programs are compared
AGREEMENT = 1e-3  # of two results, relative to the largest number
AGREEING = 0.99  # the share of numbers that must agree
DISTURBED = 16  # roundings by which iterates are moved, to see what rounding decides
DISTURBANCES = 3
DECIDED = 0.5  # the least share of numbers that rounding must not decide
ITERATION = 4  # the most that an inner iteration charges

Step = Callable[..., Sequence[Tensor]]
Examples = Callable[[int], Sequence[Tensor]]


class Loop:
    """A C program that makes steps, compiled and loaded; a call makes many steps.

    Args:
        source: the text of the program.
        function: the program, of pointers to its arguments, the number of runs, the
            number of stops, the number of runs of which the path is noted, and the turn
            of the first step.
        changed: the number of tensors that a step changes.
        constants: tensors that all runs share, the last arguments of the program.

    Attributes:
        source: the text of the program.
    """

    def __init__(
        self,
        source: str,
        function: Function,
        changed: int,
        constants: Sequence[Tensor] = (),
    ) -> None:
        self.source, self._function, self._changed = source, function, changed
        self._constants = tuple(constants)

    def __call__(
        self, tensors: Sequence[Tensor], count: int, shown: int, turn: int = 0
    ) -> tuple[list[Tensor], Tensor]:
        """Make some steps.

        Args:
            tensors: the arguments of a step but for its number, each contiguous; they
                are left as they are.
            count: steps to make.
            shown: runs, the first ones, of which the path is returned.
            turn: of the first step.

        Returns:
            The changed tensors, and the path: iterates of the runs shown before each
            step, (count, shown, dim).
        """
        found, path = self.through(tensors, [count], shown, turn)
        return [tensor[0] for tensor in found], path

    def through(
        self,
        tensors: Sequence[Tensor],
        stops: Sequence[int],
        shown: int,
        turn: int = 0,
    ) -> tuple[list[Tensor], Tensor]:
        """Make some steps, and return what the tensors were at some stops.

        Args:
            tensors: as a call takes them.
            stops: after how many steps: rising numbers, the last one that of all steps.
            shown, turn: as a call takes them.

        Returns:
            The changed tensors, with a leading axis of the stops, and the path.
        """
        z, changed = tensors[0], tensors[: self._changed]
        found = [one.new_empty((len(stops), *one.shape)) for one in changed]
        path = z.new_empty(stops[-1], shown, z.shape[1])
        given = (*tensors, *found, path, torch.tensor(stops), *self._constants)
        addresses = [tensor.data_ptr() for tensor in given]
        arguments = (ctypes.c_void_p * len(addresses))(*addresses)
        self._function(arguments, len(z), len(stops), shown, turn)
        return found, path


def loop_over_numbers(step: Step, examples: Examples, changed: int) -> Loop:
    """Return a loop whose program keeps every number of a run in a register.

    Args:
        step: one step of all runs. Its arguments are the tensors that it changes (the
            iterates first, the mask of living runs second), those that it only reads,
            and its number; it returns the changed ones.
        examples: returns arguments of the step for a number of runs.
        changed: the number of tensors that it changes.

    Raises:
        UnsupportedError: when a step cannot be computed for each run by itself.
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    source, other = (
        trace_program(step, examples(runs), changed) for runs in TRACED_RUNS
    )
    if source != other:
        raise UnsupportedError("a step depends on how many runs there are, or which")
    steps = compile_program(source)
    return Loop(source, lambda *given: steps(*given[:-1]), changed)


def loop_over_arrays(
    steps: Sequence[Step], examples: Examples, changed: int, drawn: int, runs: int
) -> Loop:
    """Return a loop of programs that compute the arrays of a few runs at a time.

    The first step of each is compared with that of torch, for another number of runs
    than it was traced with.

    Args:
        steps: the step of each turn, as `loop_over_numbers` takes it.
        examples, changed: as `loop_over_numbers` takes them.
        drawn: the number of tensors after the changed ones of which each step has its
            own. In a call of the loop they have a leading axis of the steps.
        runs: the number of runs that the loop will be called with.

    Raises:
        UnsupportedError: when a step cannot be computed for each run by itself.
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    traces = [_trace_arrays(step, examples) for step in steps]
    programs, constants = write_array_programs(traces, changed, drawn, runs)
    function, source = load_programs(programs)
    loop = Loop(source, function, changed, constants)
    for turn, step in enumerate(steps):
        _check_first_step(partial(loop, turn=turn), step, examples(runs))
    return loop


def _check_first_step(
    loop: Callable[..., tuple[list[Tensor], Tensor]],
    step: Step,
    given: Sequence[Tensor],
) -> None:
    """Compare a step of a loop with that of torch.

    Raises:
        UnsupportedError: when they differ by more than rounding.
    """
    z, *others = given
    draws = generator(0, "start")
    noise = partial(torch.randn, z.shape, generator=draws, dtype=z.dtype)
    z = z + SPREAD * noise()
    found, _ = loop([z, *others[:-1]], 1, 0)
    with torch.no_grad():
        expected = step(z, *others)
        if all(map(_agree_everywhere, found, expected)):
            return  # most do: whether rounding decides a number need not be asked
        small = DISTURBED * torch.finfo(z.dtype).eps
        near = [z + small * z * noise() for _ in range(DISTURBANCES)]
        disturbed = [step(at, *others) for at in near]
    if not all(map(_agree, found, expected, zip(*disturbed, strict=True))):
        raise UnsupportedError("the program's first step differs from torch's")


def _trace_arrays(
    step: Step, examples: Examples
) -> tuple[GraphModule, Sequence[Tensor]]:
    """Trace a step with a number of runs that is the length of no other axis."""
    for runs in TRACED_ROWS:
        given = examples(runs)
        with marked_loops():
            graph = trace(step, given, decompositions())
        shapes = [
            node.meta["val"].shape
            for node in graph.graph.nodes
            if isinstance(node.meta.get("val"), Tensor)
        ]
        if not any(runs in shape[1:] for shape in shapes):
            return graph, given
    raise UnsupportedError("axes of a step are as long as the runs axis")


def _agree_everywhere(found: Tensor, expected: Tensor) -> bool:
    """Return whether all numbers of two results are the same but for rounding."""
    if not expected.is_floating_point():
        return torch.equal(found, expected)
    if not expected.numel():
        return True
    return bool(_agreeing(found, expected).all())


def _agreeing(found: Tensor, expected: Tensor) -> Tensor:
    """Return which numbers of a result are those of torch but for rounding.

    Infinite ones, as the value of what has not been measured yet, must be the same, and
    NaN must be NaN.
    """
    size = expected.abs()
    largest = torch.where(size < torch.inf, size, 0).amax()
    tolerance = AGREEMENT * largest.clamp(min=torch.finfo(expected.dtype).tiny)
    is_same = (found == expected) | (found.isnan() & expected.isnan())
    return is_same | ((found - expected).abs() <= tolerance)


def _agree(found: Tensor, expected: Tensor, disturbed: Iterable[Tensor]) -> bool:
    """Return whether two results are the same but for rounding.

    Rules that divide by the size of a gradient make anything of one that is zero but
    for rounding: numbers that change as much where the iterates are moved by a few
    roundings are not compared. A solver may take an iteration more where its residual
    is at the tolerance but for rounding.

    Args:
        found: what the program gives.
        expected: what torch gives.
        disturbed: what torch gives where the iterates are moved.
    """
    if expected.dtype == torch.bool:
        return torch.equal(found, expected)
    if not expected.is_floating_point():
        return bool(((found - expected).abs() <= ITERATION).all())
    if not expected.numel():
        return True
    decided = torch.ones_like(expected, dtype=torch.bool)
    for other in disturbed:
        decided &= _agreeing(other, expected)
    agreeing = _agreeing(found, expected)[decided]
    return (
        len(agreeing) >= DECIDED * expected.numel()
        and agreeing.double().mean().item() >= AGREEING
    )


def trace_program(step: Step, examples: Sequence[Tensor], changed: int) -> str:
    """Trace a step and return its C program.

    The examples are shifted by an amount that depends on the number of runs: a number
    that the step reads out of a tensor then makes the two programs differ.
    """
    shift = len(examples[0]) / TRACED_RUNS[0] - 1
    shifted = [
        tensor + shift if tensor.is_floating_point() else tensor for tensor in examples
    ]
    graph = trace(step, shifted, decompositions())
    return write_program(graph, shifted, changed)

"""The steps of all runs as one loop in C, where each run is computed by itself.

A general compiler repeats the code of a step as often as it is made, and writes what
lies between to memory. Where a run is a few numbers, nothing need leave the registers:
runs are taken some at a time, for as many steps as are wanted, in a loop that a C
compiler turns into operations on vectors.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import default_decompositions

from mmbench.engine.compiled.c_compiler import compile_program
from mmbench.engine.compiled.c_operations import UnsupportedError
from mmbench.engine.compiled.c_program import write_program
from mmbench.engine.compiled.traces import trace

# The numbers of runs that a step is traced with: primes, so that no other axis is
# mistaken for the runs axis; two, to see that a program does not depend on the runs.
TRACED_RUNS = (1009, 1013)

Step = Callable[..., Sequence[Tensor]]


class Loop:
    """A step, traced, translated into C, compiled and loaded; a call makes many steps.

    Args:
        step: one step of all runs. Its arguments are the tensors that it changes (the
            iterates first, the mask of living runs second), those that it only reads,
            and its number; it returns the changed ones.
        examples: returns arguments of the step for a number of runs.
        changed: the number of tensors that it changes.

    Attributes:
        source: the text of the C program.

    Raises:
        UnsupportedError: when a step cannot be computed for each run by itself.
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """

    def __init__(
        self, step: Step, examples: Callable[[int], Sequence[Tensor]], changed: int
    ) -> None:
        self._changed = changed
        self.source, other = (
            trace_program(step, examples(runs), changed) for runs in TRACED_RUNS
        )
        if self.source != other:
            raise UnsupportedError(
                "a step depends on how many runs there are, or which"
            )
        self._function = compile_program(self.source)

    def __call__(
        self, tensors: Sequence[Tensor], count: int, shown: int
    ) -> tuple[list[Tensor], Tensor]:
        """Make some steps.

        Args:
            tensors: the arguments of a step but for its number, each contiguous; they
                are left as they are.
            count: steps to make.
            shown: runs, the first ones, of which the path is returned.

        Returns:
            The changed tensors, and the path: iterates of the runs shown before each
            step, (count, shown, dim).
        """
        z = tensors[0]
        after = [torch.empty_like(tensor) for tensor in tensors[: self._changed]]
        path = z.new_empty(count, shown, z.shape[1])
        addresses = [tensor.data_ptr() for tensor in (*tensors, *after, path)]
        arguments = (ctypes.c_void_p * len(addresses))(*addresses)
        self._function(arguments, len(z), count, shown)
        return after, path


def trace_program(step: Step, examples: Sequence[Tensor], changed: int) -> str:
    """Trace a step and return its C program.

    The examples are shifted by an amount that depends on the number of runs: a number
    that the step reads out of a tensor then makes the two programs differ.
    """
    shift = len(examples[0]) / TRACED_RUNS[0] - 1
    shifted = [
        tensor + shift if tensor.is_floating_point() else tensor for tensor in examples
    ]
    decompositions: Any = default_decompositions()  # torch declares two types for it
    graph = trace(step, shifted, decomposition_table=decompositions)
    return write_program(graph, shifted, changed)

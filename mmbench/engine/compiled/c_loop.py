"""Looped: a step that treats each run by itself, as one loop in C.

A general compiler repeats the code of a step as often as it is made, and writes what
lies between to memory. Where a run is a few numbers, nothing need leave the registers:
runs are taken some at a time, for as many steps as are wanted, in a loop that a C
compiler turns into operations on vectors.
"""

import ctypes
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.export import default_decompositions
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from mmbench.engine.compiled.c_expressions import LARGEST, Writer
from mmbench.engine.compiled.c_operations import WORDS, UnsupportedError, Value, kind_of

# A step is traced with so many runs: primes, so that no other axis is mistaken for
# theirs; twice, to see that a program knows nothing of the runs it was traced with.
TRACED = (1009, 1013)
LANES = 64  # runs taken at once: four registers of 16 floats, whose delays overlap
CARRIED = 256  # numbers of a run at most; a compiler's time grows with their square
STATEMENTS = 2**13  # of a step at most; a second or two
ASKED = 16  # so many steps are made before it is asked whether any run still lives

# Rounding stays what it is: no fused products, and NaN and infinity are expected. Only
# what no result depends on is given up: error numbers and traps.
FLAGS = (
    *("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno"),
    *("-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC"),
)
TYPES = {
    torch.float32: "float",
    torch.float64: "double",
    torch.bool: "uint8_t",
    torch.int32: "int32_t",
    torch.int64: "int64_t",
}

# Where this macro says that 4 units in the last place are enough, glibc offers
# functions of whole vectors; nothing else is rounded by it.
PROGRAM = """\
#ifndef __FAST_MATH__
#define __FAST_MATH__ 1
#include <math.h>
#undef __FAST_MATH__
#endif
#include <stdint.h>
#include <string.h>
typedef {real} real;
typedef {whole} whole;
#define F(name) {function}
enum {{ LANES = {lanes} }};

{words}

void steps(void **given, int64_t runs, int64_t count, int64_t shown) {{
  real *path = given[{path}];
  for (int64_t first = 0; first < runs; first += LANES) {{
    const int64_t here = runs - first < LANES ? runs - first : LANES;
    {declared}
    for (int64_t i = 0; i < LANES; ++i) {{
      const int64_t at = first + (i < here ? i : here - 1);
      {loaded}
    }}
    for (int64_t step = 0; step < count; ++step) {{
      const whole k = (whole)step;
      for (int64_t i = 0; i < (first ? 0 : shown); ++i) {{
        {noted}
      }}
      #pragma omp simd
      for (int i = 0; i < LANES; ++i) {{
        {body}
      }}
      if (step % {asked} == {asked} - 1 && (first || !shown)) {{
        whole any = 0;
        for (int i = 0; i < LANES; ++i) any |= {alive}[i];
        if (!any) break;
      }}
    }}
    for (int64_t i = 0; i < here; ++i) {{
      const int64_t at = first + i;
      {stored}
    }}
  }}
}}
"""


class Scalar(NamedTuple):
    """One number of a run, kept from step to step.

    Args:
        tensor: the number of its tensor.
        entry: its place in a row of it.
        entries: of a row.
        dtype: of the tensor.
    """

    tensor: int
    entry: int
    entries: int
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """In C."""
        return f"v{self.tensor}_{self.entry}"

    @property
    def value(self) -> Value:
        """In C, within a step."""
        return Value(f"{self.name}[i]", kind_of(self.dtype))

    def at(self, argument: int) -> str:
        """Where it lies in an argument of the loop."""
        kind = TYPES[self.dtype]
        return f"(({kind} *)given[{argument}])[at * {self.entries} + {self.entry}]"

    @property
    def loaded(self) -> str:
        """A statement."""
        given = self.at(self.tensor)
        truth = self.dtype == torch.bool
        return f"{self.value.code} = {f'TRUTH({given})' if truth else given};"

    def stored(self, argument: int) -> str:
        """A statement."""
        truth = self.dtype == torch.bool
        return f"{self.at(argument)} = {self.value.code}{' & 1' * truth};"


class Loop:
    """A step as a loop.

    Args:
        step: of all runs. It is given the tensors that it changes, the iterate first
            and then who lives, those that it does not change, and its number; it gives
            the changed ones.
        examples: of what it is given, for a number of runs.
        changed: how many tensors it changes.

    Raises:
        UnsupportedError: when a step is no formula of each run's own numbers.
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """

    def __init__(
        self,
        step: Callable[..., Sequence[Tensor]],
        examples: Callable[[int], Sequence[Tensor]],
        changed: int,
    ) -> None:
        self._changed = changed
        one, other = (traced(step, examples(runs), changed) for runs in TRACED)
        if one != other:
            raise UnsupportedError(
                "a step depends on how many runs there are, or which"
            )
        self._steps = built(one)

    def __call__(
        self, given: Sequence[Tensor], count: int, shown: int
    ) -> tuple[list[Tensor], Tensor]:
        """So many steps.

        Args:
            given: the tensors that a step changes and those that it does not, each
                contiguous.
            count: of steps.
            shown: of so many runs the iterates before each step are noted.

        Returns:
            The changed tensors, and the noted iterates, (count, shown, dim).
        """
        z = given[0]
        after = [torch.empty_like(one) for one in given[: self._changed]]
        path = z.new_empty(count, shown, z.shape[1])
        places = [one.data_ptr() for one in (*given, *after, path)]
        pointers = (ctypes.c_void_p * len(places))(*places)
        self._steps(pointers, len(z), count, shown)
        return after, path


def traced(
    step: Callable[..., Sequence[Tensor]], examples: Sequence[Tensor], changed: int
) -> str:
    """The loop in C, by a trace of a step with other numbers for other runs."""
    shift = len(examples[0]) / TRACED[0] - 1
    moved = [one + shift if one.is_floating_point() else one for one in examples]
    graph = make_fx(step, decomposition_table=default_decompositions())(*moved)
    graph.graph.eliminate_dead_code()
    return program(graph, moved, changed)


def program(graph: GraphModule, examples: Sequence[Tensor], changed: int) -> str:
    """The loop in C."""
    *tensors, _ = examples
    real = tensors[0].dtype
    own = [_own(number, one) for number, one in enumerate(tensors)]
    if sum(map(len, own)) > CARRIED:
        raise UnsupportedError(f"a run has {sum(map(len, own))} numbers in all")
    (made,) = (node.args[0] for node in graph.graph.nodes if node.op == "output")
    for before, after in zip(tensors, made, strict=False):
        meta = after.meta.get("tensor_meta") or after.meta["val"]
        if (meta.shape, meta.dtype) != (before.shape, before.dtype):
            raise UnsupportedError("a step changes the shape or the type of a tensor")
    writer = Writer(graph, len(tensors[0]), real)
    given = [_row(numbers, one) for numbers, one in zip(own, tensors, strict=True)]
    results = writer.run(*given, np.array(Value("k", "whole"), dtype=object))
    if len(writer.lines) > STATEMENTS:
        raise UnsupportedError(f"a step has {len(writer.lines)} statements")
    moved, numbers = [], [one for several in own for one in several]
    for several, one, result in zip(own, tensors, results, strict=False):
        values = list(np.broadcast_to(result, _row(several, one).shape).flat)
        moved += [
            (a, b.as_(kind_of(a.dtype))) for a, b in zip(several, values, strict=True)
        ]
    body = [
        *writer.lines,
        # None is written before all are known: they may stand in each other's place.
        *(f"const {one.value.type} n{one.name} = {code};" for one, code in moved),
        *(f"{one.name}[i] = n{one.name};" for one, _ in moved),
    ]
    places = range(len(own[0]))
    return PROGRAM.format(
        real=TYPES[real],
        # As wide as a number, so that both fill registers alike.
        whole="int32_t" if real == torch.float32 else "int64_t",
        function="name##f" if real == torch.float32 else "name",
        words=WORDS,
        lanes=LANES,
        asked=ASKED,
        path=len(tensors) + changed,
        alive=own[1][0].name,
        declared=_lines(4, (f"{one.value.type} {one.name}[LANES];" for one in numbers)),
        loaded=_lines(6, (one.loaded for one in numbers)),
        noted=_lines(
            8,
            (
                f"path[(step * shown + i) * {len(places)} + {one}] = v0_{one}[i];"
                for one in places
            ),
        ),
        body=_lines(8, body),
        stored=_lines(6, (one.stored(len(tensors) + one.tensor) for one, _ in moved)),
    )


def _own(number: int, tensor: Tensor) -> list[Scalar]:
    entries = math.prod(tensor.shape[1:])
    if entries > LARGEST or len(tensor) not in TRACED or tensor.dtype not in TYPES:
        raise UnsupportedError(f"a run has {tuple(tensor.shape[1:])} of {tensor.dtype}")
    return [Scalar(number, one, entries, tensor.dtype) for one in range(entries)]


def _row(numbers: Iterable[Scalar], tensor: Tensor) -> np.ndarray:
    """A tensor's numbers of one run, in the tensor's shape."""
    values = np.empty((1, *tensor.shape[1:]), dtype=object)
    values.flat = [one.value for one in numbers]
    return values


def _lines(indent: int, lines: Iterable[str]) -> str:
    return ("\n" + " " * indent).join(lines)


def built(source: str) -> Callable[..., Any]:
    """The function of a program in C, compiled for this machine."""
    words = os.environ.get("CC", "").split() or [shutil.which("cc") or "gcc"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.c"
        path.write_text(source)
        library = path.with_suffix(".so")
        command = [*words, *FLAGS, str(path), "-o", str(library), "-lm"]
        subprocess.run(command, check=True, capture_output=True)
        function = ctypes.CDLL(str(library)).steps
    integer = ctypes.c_int64
    function.argtypes = [ctypes.c_void_p, integer, integer, integer]
    function.restype = None
    return function

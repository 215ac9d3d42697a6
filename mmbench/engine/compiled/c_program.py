"""The text of a C program that makes the steps of all runs.

The program keeps every number of a run in a C variable, for `LANES` runs at a time, and
repeats the statements of one step until all steps are made. Only at some stops on the
way, and then, are the numbers written to memory.
"""

import math
from collections.abc import Iterable, Sequence
from string import Template
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from mmbench.engine.compiled.c_expressions import MAX_ENTRIES, Expressions, Translator
from mmbench.engine.compiled.c_library import PREAMBLE, words_of_preamble
from mmbench.engine.compiled.c_operations import (
    DEFINITIONS,
    Expression,
    UnsupportedError,
    kind_of,
)

LANES = (
    64  # runs computed at once: four registers of 16 floats hide each other's delays
)
MAX_NUMBERS = 256  # of a run; the C compiler's time grows with their square
MAX_STATEMENTS = 2**13  # of a step; these take the C compiler a second or two
CHECK_STEPS = 16  # steps between two checks whether any run is still alive

C_TYPES = {
    torch.float32: "float",
    torch.float64: "double",
    torch.bool: "uint8_t",
    torch.int32: "int32_t",
    torch.int64: "int64_t",
}

PROGRAM = Template(
    PREAMBLE
    + """\
enum { LANES = $lanes };

$definitions
/* arguments: the tensors before the first step, the tensors at each stop, the path, and
   the steps made by each stop. Number e of a run in tensor a is the variable v<a>_<e>,
   once for each lane. */
void steps(void **arguments, int64_t runs, int64_t stops, int64_t shown) {
  real *path = arguments[$path];
  const int64_t *counts = arguments[$counts];
  for (int64_t first = 0; first < runs; first += LANES) {
    const int64_t here = runs - first < LANES ? runs - first : LANES;
    $declarations
    for (int64_t i = 0; i < LANES; ++i) {
      const int64_t run = first + (i < here ? i : here - 1);
      $loads
    }
    int64_t step = 0;
    for (int64_t stop = 0; stop < stops; ++stop) {
      for (; step < counts[stop]; ++step) {
        const integer k = (integer)step;
        for (int64_t i = 0; i < (first ? 0 : shown); ++i) {
          $path_stores
        }
        #pragma omp simd
        for (int i = 0; i < LANES; ++i) {
          $statements
        }
        if (step % $check_steps == $check_steps - 1 && (first || !shown)) {
          integer any = 0;
          for (int i = 0; i < LANES; ++i) any |= $alive[i];
          if (!any) break;
        }
      }
      for (int64_t i = 0; i < here; ++i) {
        const int64_t run = stop * runs + first + i;
        $stores
      }
    }
  }
}
"""
)


class Variable(NamedTuple):
    """A C variable that holds one number of a run from step to step.

    Args:
        tensor: the position of its tensor among the tensors of a step.
        entry: the position of the number in the tensor's row of a run.
        row_size: the numbers in such a row.
        dtype: of the tensor.
    """

    tensor: int
    entry: int
    row_size: int
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """The variable's name in C."""
        return f"v{self.tensor}_{self.entry}"

    @property
    def expression(self) -> Expression:
        """The number of the run in lane i, within a step."""
        return Expression(f"{self.name}[i]", kind_of(self.dtype))

    @property
    def declaration(self) -> str:
        """The C statement that declares the variable."""
        return f"{self.expression.c_type} {self.name}[LANES];"

    @property
    def load(self) -> str:
        """The C statement that reads the number from the tensor."""
        element = self._element(self.tensor)
        code = f"MASK({element})" if self.dtype == torch.bool else element
        return f"{self.name}[i] = {code};"

    def store(self, argument: int) -> str:
        """Return the C statement that writes the number into an argument."""
        code = f"{self.name}[i] & 1" if self.dtype == torch.bool else f"{self.name}[i]"
        return f"{self._element(argument)} = {code};"

    def _element(self, argument: int) -> str:
        """Return the C code of the number's place in an argument of the program."""
        pointer = f"({C_TYPES[self.dtype]} *)arguments[{argument}]"
        return f"({pointer})[run * {self.row_size} + {self.entry}]"


def write_program(graph: GraphModule, examples: Sequence[Tensor], changed: int) -> str:
    """Return the C program that repeats a traced step.

    Args:
        graph: the step, traced with the examples.
        examples: its arguments: the tensors that it changes (the iterates first, the
            mask of living runs second), those that it only reads, and its number.
        changed: the number of tensors that it changes, and so returns.

    Raises:
        UnsupportedError: when there is no such program, or it would be too large.
    """
    tensors = examples[:-1]  # without the number of the step
    runs, real = len(tensors[0]), tensors[0].dtype
    variables = [_variables(i, tensor, runs) for i, tensor in enumerate(tensors)]
    all_variables = [variable for row in variables for variable in row]
    if len(all_variables) > MAX_NUMBERS:
        raise UnsupportedError(f"a run has {len(all_variables)} numbers in all")
    check_results(graph, tensors)
    translator = Translator(graph, runs, real)
    step_number = np.array(Expression("k", "integer"), dtype=object)
    rows = [_row(row, tensor) for row, tensor in zip(variables, tensors, strict=True)]
    results = translator.run(*rows, step_number)
    if len(translator.statements) > MAX_STATEMENTS:
        raise UnsupportedError(f"a step has {len(translator.statements)} statements")
    new_values = [
        (variable, entry.convert_to(kind_of(variable.dtype)))
        for variable_row, row, result in zip(variables, rows, results, strict=False)
        for variable, entry in zip(
            variable_row, np.broadcast_to(result, row.shape).flat, strict=True
        )
    ]
    return PROGRAM.substitute(
        **words_of_preamble(is_single=real == torch.float32),
        lanes=LANES,
        check_steps=CHECK_STEPS,
        definitions=DEFINITIONS,
        path=len(tensors) + changed,
        counts=len(tensors) + changed + 1,
        alive=variables[1][0].name,
        declarations=_join(4, (variable.declaration for variable in all_variables)),
        loads=_join(6, (variable.load for variable in all_variables)),
        path_stores=_join(10, _path_stores(variables[0])),
        statements=_join(10, [*translator.statements, *_updates(new_values)]),
        stores=_join(
            8,
            (
                variable.store(len(tensors) + variable.tensor)
                for variable, _ in new_values
            ),
        ),
    )


def _variables(number: int, tensor: Tensor, runs: int) -> list[Variable]:
    """Return the variables of a tensor, one for each number that a run has in it."""
    row_size = math.prod(tensor.shape[1:])
    if row_size > MAX_ENTRIES or len(tensor) != runs or tensor.dtype not in C_TYPES:
        raise UnsupportedError(f"a run has {tuple(tensor.shape[1:])} of {tensor.dtype}")
    return [
        Variable(number, entry, row_size, tensor.dtype) for entry in range(row_size)
    ]


def check_results(graph: GraphModule, tensors: Sequence[Tensor]) -> None:
    """Refuse a step that changes the shape or the dtype of a tensor."""
    (results,) = (node.args[0] for node in graph.graph.nodes if node.op == "output")
    for before, after in zip(tensors, results, strict=False):
        meta = after.meta["val"]
        if (meta.shape, meta.dtype) != (before.shape, before.dtype):
            raise UnsupportedError("a step changes the shape or the type of a tensor")


def _row(variables: Sequence[Variable], tensor: Tensor) -> Expressions:
    """Return one run's numbers in a tensor, in the tensor's shape."""
    row = np.empty(len(variables), dtype=object)
    row[:] = [variable.expression for variable in variables]
    return row.reshape(1, *tensor.shape[1:])


def _path_stores(iterate: Sequence[Variable]) -> Iterable[str]:
    """Return the C statements that note where the runs shown stand before a step."""
    for variable in iterate:
        place = f"(step * shown + i) * {len(iterate)} + {variable.entry}"
        yield f"path[{place}] = {variable.name}[i];"


def _updates(new_values: Sequence[tuple[Variable, str]]) -> Iterable[str]:
    """Return the C statements that end a step.

    All new values are computed before the first old one is overwritten, for they may be
    old values of other variables.
    """
    for variable, code in new_values:
        yield f"const {variable.expression.c_type} next_{variable.name} = {code};"
    for variable, _ in new_values:
        yield f"{variable.name}[i] = next_{variable.name};"


def _join(indent: int, statements: Iterable[str]) -> str:
    """Return statements as lines, of which all but the first are indented."""
    return ("\n" + " " * indent).join(statements)

"""Loops over arrays as kernels in C, and programs that call one after the other.

The steps of methods on one game consist mostly of the same loops. Each loop is a
function of the arrays that it reads and writes, and is compiled once in a process. A
program is a list of such calls, of which nothing is compiled.
"""

import ctypes
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from string import Template
from typing import NamedTuple

import torch

from mmbench.engine.compiled.c_arrays import Buffer
from mmbench.engine.compiled.c_compiler import QUICK, compile_functions
from mmbench.engine.compiled.c_operations import (
    DEFINITIONS,
    PREAMBLE,
    words_of_preamble,
)

KERNELS = Template(
    PREAMBLE
    + """\
$definitions
void wide_product(int64_t rows, int64_t columns, int64_t inner, const real *a,
                  int64_t a_row, int64_t a_inner, const real *b, int64_t b_inner,
                  int64_t b_column, real *restrict c, real *restrict packed);
void narrow_product(int64_t rows, int64_t columns, int64_t inner, const real *a,
                    int64_t a_row, const real *b, int64_t b_inner, int64_t b_column,
                    real *restrict c, real *restrict packed);

$kernels
"""
)

# Makes the steps of some runs after the others. A call has the arrays of a kernel; a
# repetition has the mask of the runs that go on, and repeats the calls up to its end.
INTERPRETER = """\
typedef struct {
  void (*kernel)(void **arrays, integer k);
  int64_t first, turns, end;
} call;
typedef struct {
  int64_t argument, offset, row, step, stop;
} place;
typedef struct {
  const call *calls;
  const place *places;
  int64_t group, bytes, array_count, load_count, step_end, call_count, stops;
} program;

static int any_goes_on(const integer *on, int64_t group) {
  for (int64_t run = 0; run < group; ++run)
    if (on[run]) return 1;
  return 0;
}

static void make_calls(const program *given, int64_t begin, int64_t end, void **arrays,
                       integer k) {
  for (int64_t at = begin; at < end; ++at) {
    const call *const one = given->calls + at;
    if (one->kernel) {
      one->kernel(arrays + one->first, k);
    } else if (one->turns) {
      for (int64_t turn = 0; turn < one->turns; ++turn) {
        if (!any_goes_on(arrays[one->first], given->group)) break;
        make_calls(given, at + 1, one->end, arrays, k);
      }
      at = one->end;
    }
  }
}

/* Memory that stays for the next call: the system clears what it gives anew. */
static char *kept_memory(int64_t bytes) {
  static _Thread_local char *memory;
  static _Thread_local int64_t kept;
  if (kept < bytes) {
    free(memory);
    memory = aligned_alloc(64, bytes);
    kept = bytes;
  }
  return memory;
}

/* The arguments are told what the runs are at each stop, a number of steps made. */
__attribute__((visibility("default"))) void run_program(
    const program *given, void **arguments, int64_t runs, int64_t stop_count) {
  char *const memory = kept_memory(given->bytes);
  void **const arrays = malloc((given->array_count + 1) * sizeof *arrays);
  const int64_t *const stops = arguments[given->stops];
  for (int64_t group = 0; group < runs; group += given->group) {
    const int64_t first = group + given->group < runs ? group : runs - given->group;
    for (int64_t number = 0; number < given->array_count; ++number) {
      const place at = given->places[number];
      char *const base = at.argument < 0 ? memory : arguments[at.argument];
      arrays[number] = base + at.offset + first * at.row;
    }
    make_calls(given, 0, given->load_count, arrays, 0);
    for (int64_t stop = 0, step = 0; stop < stop_count; ++stop) {
      for (; step < stops[stop]; ++step) {
        make_calls(given, given->load_count, given->step_end, arrays, (integer)step);
        for (int64_t number = 0; number < given->array_count; ++number)
          arrays[number] = (char *)arrays[number] + runs * given->places[number].step;
      }
      make_calls(given, given->step_end, given->call_count, arrays, 0);
      for (int64_t number = 0; number < given->array_count; ++number)
        arrays[number] = (char *)arrays[number] + runs * given->places[number].stop;
    }
  }
  free(arrays);
}
"""


class Kernel(NamedTuple):
    """A loop over arrays as a function in C, but for its name.

    Args:
        parameters: declarations of the arrays, in the order of a call.
        body: what it does; an array in the program's own memory is `w` and its
            number, another one `p`.
    """

    parameters: tuple[str, ...]
    body: str

    def function(self, name: str) -> str:
        """Return the text of the function, and of one that is called with a list.

        The first is not made a part of the second, where compilers forget that the
        arrays do not overlap.
        """
        parameters = ", ".join((*self.parameters, "integer k"))
        given = ", ".join((*(f"arrays[{i}]" for i in range(self.arity)), "k"))
        return (
            f"static __attribute__((noinline)) void {name}_body({parameters}) {{\n"
            f"{self.body}\n}}\n"
            f"void {name}(void **arrays, integer k) {{ {name}_body({given}); }}\n"
        )

    @property
    def arity(self) -> int:
        """The number of arrays."""
        return len(self.parameters)


class Call(NamedTuple):
    """A call of a program, or the beginning or the end of a repetition.

    Args:
        code: what is computed, in C; empty for a repetition.
        buffers: what the code reads and writes; of a repetition, the mask of the runs
            that go on.
        turns: the most turns of a repetition; 0 for its end.
        end: the position of the end of a repetition.
    """

    code: str
    buffers: tuple[Buffer, ...]
    turns: int = 0
    end: int = 0

    def kernel(self, own: Iterable[Buffer]) -> tuple[Kernel, list[Buffer]]:
        """Return the kernel that computes the code, and the arrays of the call.

        Args:
            own: buffers in the program's own memory, aligned to lines of the cache.
        """
        named = {buffer.name: buffer for buffer in self.buffers}
        found = dict.fromkeys(re.findall(r"\b[a-z]\d+\b", self.code))
        arrays = [named[name] for name in found if name in named]
        new_names, parameters, aligned = {}, [], []
        for number, buffer in enumerate(arrays):
            c_type = buffer.c_type
            if buffer in own:
                new_names[buffer.name] = f"w{number}"
                parameters.append(f"{c_type} *restrict m{number}")
                aligned.append(
                    f"{c_type} *const w{number} = __builtin_assume_aligned(m{number}, "
                    "64);"
                )
            else:
                new_names[buffer.name] = f"p{number}"
                parameters.append(f"{c_type} *restrict p{number}")
        body = re.sub(
            r"\b[a-z]\d+\b",
            lambda match: new_names.get(match[0], match[0]),
            self.code,
        )
        return Kernel(tuple(parameters), "\n".join((*aligned, body))), arrays


class Place(NamedTuple):
    """Where the array of a group of runs lies.

    Args:
        argument: the position of the argument of the program in which it lies; -1 for
            the program's own memory.
        offset: the place in the memory, in bytes.
        row: bytes of a run in an argument; 0 where all runs share it.
        step: bytes by which the place moves with each step, for each run that there is.
        stop: the same with each stop.
    """

    argument: int
    offset: int
    row: int
    step: int = 0
    stop: int = 0


class Program(NamedTuple):
    """A program of calls.

    Args:
        real: the dtype of its floats.
        group: the number of runs that are computed at once.
        bytes: the size of its memory.
        loads: calls before the first step of a group.
        steps: calls of each step.
        stores: calls after the last step.
        places: where each buffer lies.
        stops: the position of the argument that has the stops.
        library: the text of functions that kernels call.
    """

    real: torch.dtype
    group: int
    bytes: int
    loads: Sequence[Call]
    steps: Sequence[Call]
    stores: Sequence[Call]
    places: dict[Buffer, Place]
    stops: int
    library: str


class _CCall(ctypes.Structure):
    _fields_ = (
        ("kernel", ctypes.c_void_p),
        ("first", ctypes.c_int64),
        ("turns", ctypes.c_int64),
        ("end", ctypes.c_int64),
    )


class _CProgram(ctypes.Structure):
    _fields_ = (
        # Pointers, so that what they point to lives as long as the program.
        ("calls", ctypes.POINTER(_CCall)),
        ("places", ctypes.POINTER(ctypes.c_int64)),
        ("group", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
        ("array_count", ctypes.c_int64),
        ("load_count", ctypes.c_int64),
        ("step_end", ctypes.c_int64),
        ("call_count", ctypes.c_int64),
        ("stops", ctypes.c_int64),
    )


def load_program(
    program: Program,
) -> tuple[Callable[[ctypes.Array, int, int, int], None], str]:
    """Return a program as a function, and the text of its kernels.

    Returns:
        The function: of pointers to the arguments, the number of runs, that of stops,
        and a number that is not used; and the text.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    own = {buffer for buffer, place in program.places.items() if place.argument < 0}
    calls = [*program.loads, *program.steps, *program.stores]
    kernels: list[Kernel | None] = []
    places: list[int] = []
    firsts = []
    for one in calls:
        firsts.append(len(places) // len(Place._fields))
        kernel, arrays = one.kernel(own) if one.code else (None, list(one.buffers))
        kernels.append(kernel)
        for buffer in arrays:
            places += program.places[buffer]
    needed = dict.fromkeys(kernel for kernel in kernels if kernel)
    addresses = _addresses(tuple(needed), program.real, program.library)
    begin = len(program.loads)
    c_calls = (_CCall * len(calls))(
        *(
            _CCall(
                addresses[kernel] if kernel else 0, first, one.turns, begin + one.end
            )
            for kernel, first, one in zip(kernels, firsts, calls, strict=True)
        )
    )
    c_places = (ctypes.c_int64 * max(len(places), 1))(*places)
    c_program = _CProgram(
        c_calls,
        c_places,
        program.group,
        program.bytes,
        len(places) // len(Place._fields),
        begin,
        begin + len(program.steps),
        len(calls),
        program.stops,
    )
    run_program = library_functions(program.library).run_program

    def run(arguments: ctypes.Array, runs: int, stops: int, _shown: int) -> None:
        run_program(ctypes.byref(c_program), arguments, runs, stops)

    return run, _text(needed, program.real)


# The addresses of compiled kernels, which stay in memory until the process ends.
_compiled: dict[tuple[torch.dtype, Kernel], int] = {}


def _addresses(
    kernels: Sequence[Kernel], real: torch.dtype, library: str
) -> dict[Kernel, int]:
    """Return the addresses of kernels, of which those that are new are compiled."""
    new = [kernel for kernel in kernels if (real, kernel) not in _compiled]
    if new:
        functions = compile_functions(_text(new, real), QUICK, library)
        for number, kernel in enumerate(new):
            pointer = ctypes.cast(functions[f"kernel_{number}"], ctypes.c_void_p)
            assert pointer.value
            _compiled[real, kernel] = pointer.value
    return {kernel: _compiled[real, kernel] for kernel in kernels}


def _text(kernels: Iterable[Kernel], real: torch.dtype) -> str:
    """Return kernels as the text of a program in C."""
    functions = (
        kernel.function(f"kernel_{number}") for number, kernel in enumerate(kernels)
    )
    return KERNELS.substitute(
        **words_of_preamble(real), definitions=DEFINITIONS, kernels="\n".join(functions)
    )


@cache
def library_functions(library: str) -> ctypes.CDLL:
    """Return what a library exports, the function that runs programs among it.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    functions = compile_functions("", QUICK, library)
    integer = ctypes.c_int64
    functions.run_program.argtypes = [
        *(ctypes.c_void_p, ctypes.c_void_p, integer, integer)
    ]
    functions.run_program.restype = None
    return functions

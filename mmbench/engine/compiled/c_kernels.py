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
from mmbench.engine.compiled.c_library import PREAMBLE, words_of_preamble
from mmbench.engine.compiled.c_operations import DEFINITIONS

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
void turned_copy(int64_t rows, int64_t columns, const real *from, int64_t from_row,
                 real *restrict to, int64_t to_row);

$kernels
"""
)


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

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls, in order."""
        return (*self.loads, *self.steps, *self.stores)


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
        ("first_array", ctypes.c_int64),
        ("array_count", ctypes.c_int64),
        ("load_count", ctypes.c_int64),
        ("step_end", ctypes.c_int64),
        ("call_count", ctypes.c_int64),
    )


# Makes steps: (pointers to the arguments, how many runs, how many stops, a number that
# programs of arrays do not use, the turn of the first step).
Function = Callable[[ctypes.Array, int, int, int, int], None]


def load_programs(programs: Sequence[Program]) -> tuple[Function, str]:
    """Return programs that take turns as one function, and the text of their kernels.

    Args:
        programs: that of each turn; their states lie at the same places.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    library, real = programs[0].library, programs[0].real
    called = [_kernels_of(one) for one in programs]
    needed = dict.fromkeys(kernel for one in called for kernel, _ in one if kernel)
    addresses = _addresses(tuple(needed), real, library)
    linked: list[_CProgram] = []
    for program, kernels in zip(programs, called, strict=True):
        first_array = sum(one.array_count for one in linked)
        linked.append(_linked(program, kernels, addresses, first_array))
    c_programs = (_CProgram * len(linked))(*linked)
    run_programs = library_functions(library).run_programs
    period, at = len(programs), programs[0].stops

    def run(
        arguments: ctypes.Array, runs: int, stops: int, _shown: int, turn: int
    ) -> None:
        run_programs(c_programs, period, turn, arguments, arguments[at], runs, stops)

    return run, _text(needed, real)


# The kernel of each call of a program, None where there is none, and its arrays.
_Called = Sequence[tuple[Kernel | None, Sequence[Buffer]]]


def _kernels_of(program: Program) -> _Called:
    own = {buffer for buffer, place in program.places.items() if place.argument < 0}
    return [
        one.kernel(own) if one.code else (None, one.buffers) for one in program.calls
    ]


def _linked(
    program: Program, called: _Called, addresses: dict[Kernel, int], first_array: int
) -> _CProgram:
    """Return a program as the interpreter takes it.

    Args:
        program: the program.
        called: what `_kernels_of` returns for it.
        addresses: of the kernels.
        first_array: the number of arrays in the calls of programs before it.
    """
    begin = len(program.loads)
    places: list[Place] = []
    c_calls: list[_CCall] = []
    for one, (kernel, arrays) in zip(program.calls, called, strict=True):
        address = addresses[kernel] if kernel else 0
        c_calls.append(_CCall(address, len(places), one.turns, begin + one.end))
        places += [program.places[buffer] for buffer in arrays]
    numbers = [number for place in places for number in place]
    return _CProgram(
        (_CCall * len(c_calls))(*c_calls),
        (ctypes.c_int64 * max(len(numbers), 1))(*numbers),
        program.group,
        program.bytes,
        first_array,
        len(places),
        begin,
        begin + len(program.steps),
        len(c_calls),
    )


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
        **words_of_preamble(is_single=real == torch.float32),
        definitions=DEFINITIONS,
        kernels="\n".join(functions),
    )


@cache
def library_functions(library: str) -> ctypes.CDLL:
    """Return what a library exports, that which runs programs among it.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    functions = compile_functions("", QUICK, library)
    integer = ctypes.c_int64
    functions.run_programs.argtypes = [
        *(ctypes.c_void_p, integer, integer, ctypes.c_void_p, ctypes.c_void_p),
        *(integer, integer),
    ]
    functions.run_programs.restype = None
    return functions

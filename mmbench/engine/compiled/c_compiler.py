"""The C compiler of this machine: from the text of a program to functions."""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

# Rounding stays what it is: no fused products, and NaN and infinity are expected. Only
# error numbers and traps are given up, on which no result depends.
FLAGS = (
    *("-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-fopenmp-simd", "-fPIC"),
)
FASTEST = ("-O3",)
# For some processors, GCC fuses a sum of products in one function and not in another.
ALWAYS_FUSED = ("--param", "avoid-fma-max-bits=0") * (platform.machine() == "x86_64")
# Of hundreds of simple loops: they become as fast, in half the time.
QUICK = ("-O1", "-ftree-vectorize", "-fvect-cost-model=dynamic")


def compile_program(source: str) -> Callable[..., None]:
    """Compile a program for this machine and return its function `steps`.

    Args:
        source: the text of the program, in C.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    function = compile_functions(source, FASTEST).steps
    integer = ctypes.c_int64
    function.argtypes = [ctypes.c_void_p, integer, integer, integer]
    function.restype = None
    return function


def compile_functions(
    source: str, optimisation: tuple[str, ...], library: str = ""
) -> ctypes.CDLL:
    """Compile functions for this machine and load them.

    The compiler is `$CC`, or else `cc`, or else `gcc`. What it makes is loaded into
    this process and its file removed; nothing is kept on disk.

    Args:
        source: the text of the functions, in C.
        optimisation: flags of the compiler.
        library: the text of functions that these call; it is compiled once.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = [_written(folder / "steps.c", source.encode())]
        if library:
            given.append(_written(folder / "library.o", _compiled_library(library)))
        path = folder / "steps.so"
        _compile([*optimisation, "-shared", *given, "-o", str(path), "-lm"])
        return ctypes.CDLL(str(path))


@cache
def _compiled_library(source: str) -> bytes:
    """Return the object code of a library."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "library.o"
        given = _written(path.with_suffix(".c"), source.encode())
        options = [*FASTEST, *ALWAYS_FUSED, "-fvisibility=hidden", "-c"]
        _compile([*options, given, "-o", str(path)])
        return path.read_bytes()


def _compile(arguments: list[str]) -> None:
    """Call the compiler."""
    compiler = os.environ.get("CC", "").split() or [shutil.which("cc") or "gcc"]
    subprocess.run([*compiler, *FLAGS, *arguments], check=True, capture_output=True)


def _written(path: Path, content: bytes) -> str:
    """Write a file and return its path as text."""
    path.write_bytes(content)
    return str(path)

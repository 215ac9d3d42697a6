"""The C compiler of this machine: from the text of a program to functions."""

import contextlib
import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

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
        _run(_command([*optimisation, "-shared", *given, "-o", str(path), "-lm"]))
        return ctypes.CDLL(str(path))


# Text to object code of libraries.
_libraries: dict[str, bytes] = {}

COMPILING_SECONDS = 20.0  # that a library which is compiled ahead is waited for
ENDING_SECONDS = 1.0  # that a compiler may take to remove its files


class LibraryAhead:
    """A library that is compiled beside this process, before it is asked for.

    A context manager, at whose end the compiler has ended. Where there is no compiler,
    or no folder for its files, nothing is compiled.

    Args:
        source: the text of the library, in C.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):
            self._folder = tempfile.TemporaryDirectory()
            self._process = subprocess.Popen(
                _library_command(source, Path(self._folder.name)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder:
            self._folder.cleanup()

    def finish(self) -> None:
        """Wait for the compiler; what it made is there for forks of this process.

        One that takes longer than `COMPILING_SECONDS` is not waited for.
        """
        if not self._process or not self._folder:
            return
        made = _library_in(Path(self._folder.name))
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if self._process.wait(COMPILING_SECONDS) == 0:
                _libraries[self._source] = made.read_bytes()


def _compiled_library(source: str) -> bytes:
    """Return the object code of a library."""
    if source not in _libraries:
        with tempfile.TemporaryDirectory() as name:
            _run(_library_command(source, Path(name)))
            _libraries[source] = _library_in(Path(name)).read_bytes()
    return _libraries[source]


def _library_command(source: str, folder: Path) -> list[str]:
    """Write the text of a library into a folder; return how it is compiled there."""
    path = _library_in(folder)
    given = _written(path.with_suffix(".c"), source.encode())
    options = [*FASTEST, *ALWAYS_FUSED, "-fvisibility=hidden", "-c"]
    return _command([*options, given, "-o", str(path)])


def _library_in(folder: Path) -> Path:
    return folder / "library.o"


def _command(arguments: list[str]) -> list[str]:
    """Return the command that calls the compiler."""
    compiler = os.environ.get("CC", "").split() or [shutil.which("cc") or "gcc"]
    return [*compiler, *FLAGS, *arguments]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _written(path: Path, content: bytes) -> str:
    """Write a file and return its path as text."""
    path.write_bytes(content)
    return str(path)

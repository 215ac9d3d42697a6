"""The C compiler of this machine: from the text of a program to a function."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

# Rounding stays what it is: no fused products, and NaN and infinity are expected. Only
# error numbers and traps are given up, on which no result depends.
FLAGS = (
    *("-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-fopenmp-simd", "-shared", "-fPIC"),
)
FASTEST = ("-O3",)
# Of hundreds of simple loops: they become as fast, in half the time.
QUICK = ("-O1", "-ftree-vectorize", "-fvect-cost-model=dynamic")


def compile_program(
    source: str, optimisation: tuple[str, ...] = FASTEST
) -> Callable[..., None]:
    """Compile a program for this machine and return its function `steps`.

    The compiler is `$CC`, or else `cc`, or else `gcc`. The library is loaded into this
    process and its file removed; nothing is kept on disk.

    Args:
        source: the text of the program, in C.
        optimisation: flags of the compiler.

    Raises:
        OSError: when there is no C compiler.
        subprocess.CalledProcessError: when it fails.
    """
    compiler = os.environ.get("CC", "").split() or [shutil.which("cc") or "gcc"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.c"
        path.write_text(source)
        library = path.with_suffix(".so")
        command = [
            *compiler,
            *optimisation,
            *FLAGS,
            str(path),
            "-o",
            str(library),
            "-lm",
        ]
        subprocess.run(command, check=True, capture_output=True)
        function = ctypes.CDLL(str(library)).steps
    integer = ctypes.c_int64
    function.argtypes = [ctypes.c_void_p, integer, integer, integer]
    function.restype = None
    return function

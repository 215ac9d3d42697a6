"""Lines of the user's own code, for messages about what went wrong in it."""

import inspect
import os
import sys
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

from mmbench.core.code_files import is_installed_name
from mmbench.core.printable import printable

# Where it is set, each error in the user's code is printed with its traceback.
TRACEBACK_VARIABLE = "MMBENCH_TRACEBACK"

_LIBRARIES = {"mmbench", "torch", "numpy", "scipy", "pandas", "jaxtyping"}


def place_of(error: BaseException) -> str:
    """Return the last line of the user's own code that an exception passed.

    Returns:
        As in "mine.py, line 12"; empty where only mmbench and libraries took part.
    """
    passed = list(traceback.walk_tb(error.__traceback__))
    own = [(f.f_code, line) for f, line in passed if _is_own(f.f_code)]
    others = [  # a package that the user has installed
        (frame.f_code, line)
        for frame, line in passed
        if _package(frame.f_globals) not in _LIBRARIES | sys.stdlib_module_names
        and not frame.f_code.co_filename.startswith("<")
    ]
    for code, line in reversed(own or others):
        return f"{Path(code.co_filename).name}, line {line}"
    return ""


def defined_at(cls: type, name: str) -> str:
    """Return where a class's attribute is defined, if that is in the user's own code.

    Returns:
        As in " (mine.py, line 9)", to follow the attribute's name; empty for classes of
        mmbench, and where there is no code.
    """
    value = inspect.getattr_static(cls, name, None)
    function = value.fget if isinstance(value, property) else value
    unwrapped = inspect.unwrap(function) if callable(function) else None
    code = getattr(unwrapped, "__code__", None)
    if isinstance(code, CodeType) and _is_own(code):
        return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"
    return ""


def describe_value(value: Any) -> str:
    """Return the shape and dtype of a value, or its class, for a message."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"shape {tuple(value.shape)}, {value.dtype}"
    return "None" if value is None else type(value).__name__


def describe_error(error: BaseException) -> str:
    """Return type, place and message of an exception, as a terminal may show them.

    With `MMBENCH_TRACEBACK` its traceback is printed as well.
    """
    print_traceback_if_wanted(error)
    place = place_of(error)
    where = f" in {place}" if place else ""
    return printable(f"{type(error).__name__}{where}: {error}")


def print_traceback_if_wanted(error: BaseException) -> None:
    """Print the traceback of an exception to stderr if `MMBENCH_TRACEBACK` is set."""
    if os.environ.get(TRACEBACK_VARIABLE):
        lines = traceback.format_exception(error)
        print(printable("".join(lines)), file=sys.stderr, end="", flush=True)


def _is_own(code: CodeType) -> bool:
    """Return whether code is of a file that is neither installed nor of mmbench."""
    file = code.co_filename
    return not file.startswith("<") and not is_installed_name(file)


def _package(names: dict[str, Any]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]

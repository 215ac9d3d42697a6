"""The exceptions of mmbench.

Each message is one sentence: what is wrong, what it must be, what was given and, where
it helps, what to do instead.
"""

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

LEAST_LIKENESS = 0.65  # of names that are suggested; one letter of three may differ
LEAST_BEGINNING = 3  # letters that may stand for a whole name


class MmbenchError(Exception):
    """An error that the user can correct; `mmbench` prints it and exits with 2."""


class DescriptionError(MmbenchError, ValueError):
    """A description (task, algorithm, metric, suite) holds a value that it must not."""


class UnknownNameError(DescriptionError):
    """A name is not known to the registry, class or file that it is looked up in."""


class MisfitError(DescriptionError):
    """An algorithm or metric needs a capability that the task's game does not have."""


class CodeError(DescriptionError):
    """External code is not, or is no longer, the code that a key stands for."""


class DataError(MmbenchError):
    """A data file is missing, truncated, unreadable or not the one it should be."""


class StoreError(MmbenchError):
    """Results cannot be read from, or written to, the given store."""


class DamagedError(StoreError):
    """A stored file does not hold the bytes that were written."""


class ClusterError(MmbenchError):
    """Processes that compute are not available, or were lost."""


class DeviceError(MmbenchError):
    """A device does not exist on this machine."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name; its message suggests the nearest one.

    Args:
        kind: what the name is of, such as "algorithm" or "parameter of gda".
        name: the unknown name.
        known: all known names.
    """
    names = list(known)
    near = near_names(name, names)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Known: {listing}.")


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that somebody may have meant, the nearest first.

    These are names that differ in case, dashes or a few letters, and names that begin
    with the given one.
    """
    plain = {_plain(candidate): candidate for candidate in known}
    near = get_close_matches(_plain(name), plain, cutoff=LEAST_LIKENESS)
    if len(name) >= LEAST_BEGINNING:
        near += [one for one in plain if one.startswith(_plain(name))]
    return [plain[one] for one in dict.fromkeys(near)]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def check_keywords(
    function: Callable[Arguments, Returned],
) -> Callable[Arguments, Returned]:
    """Have a function explain arguments that it does not take.

    Returns:
        A function that raises `UnknownNameError`, with the nearest name, for an unknown
        keyword.
    """
    known = inspect.signature(function).parameters

    @wraps(function)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        for name in kwargs:
            if name not in known:
                raise unknown_name(f"argument of {function.__name__}", name, known)
        return function(*args, **kwargs)

    return checked

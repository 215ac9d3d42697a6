"""The exceptions of mmbench.

Each message is one sentence: what is wrong, what it must be, what was given and, where
it helps, what to do instead.
"""

from collections.abc import Iterable
from difflib import get_close_matches


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
    """Dask workers are not available, or were lost."""


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
    near = [candidate for candidate in names if candidate.lower() == name.lower()]
    near = near or get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Known: {listing}.")

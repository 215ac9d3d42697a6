"""Every exception raised on purpose: one sentence that says who, must, got, instead."""

from collections.abc import Iterable
from difflib import get_close_matches


class MmbenchError(Exception):
    """Something the user can mend; the command line prints it and exits with 2."""


class DescriptionError(MmbenchError, ValueError):
    """A description (task, algorithm, metric, suite) holds a value it must not hold."""


class UnknownNameError(DescriptionError):
    """A name that no registry, class or file knows."""


class MisfitError(DescriptionError):
    """An algorithm or metric needs what the task's game does not give."""


class DataError(MmbenchError):
    """A data file is missing, truncated, unreadable or not the one it should be."""


class StoreError(MmbenchError):
    """Results cannot be written to, or read from, where they were asked for."""


class DamagedError(StoreError):
    """A stored file does not hold what was written."""


class ClusterError(MmbenchError):
    """The workers asked for are not there, or were lost."""


class DeviceError(MmbenchError):
    """The device asked for is not there."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """An error for a name not known, with the nearest known one.

    Args:
        kind: what was looked for, such as "algorithm" or "parameter of gda".
        name: what was given.
        known: what could have been given.
    """
    names = list(known)
    near = [one for one in names if one.lower() == name.lower()]
    near = near or get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listing = ", ".join(names) if names else "none"
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Known: {listing}.")

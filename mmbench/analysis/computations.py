"""Computations that decide on mathematical statements of papers."""

from collections.abc import Callable
from typing import NamedTuple


class Computation(NamedTuple):
    """What a computation found.

    Args:
        holds: whether the statement holds.
        measured: what was computed, a sentence.
    """

    holds: bool
    measured: str


COMPUTATIONS: dict[str, Callable[[], Computation]] = {}

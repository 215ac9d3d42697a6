"""Counters in the states of methods, found by the names of their fields."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

# Fields of states that count the iterations of an inner solver or loop.
INNER_ITERATIONS = ("iterations", "ascents")


def parts_with(state: Any, field: str) -> Iterator[Any]:
    """Yield the named tuples of a state that have a field, those of nested ones too.

    Args:
        state: tensors, nested in tuples.
        field: name of the field.
    """
    if field in getattr(state, "_fields", ()):
        yield state
    for part in state if isinstance(state, tuple) else ():
        yield from parts_with(part, field)


def counters(state: Any, names: tuple[str, ...]) -> list[Tensor]:
    """Return the fields of a state that have one of these names, shape (runs,) each."""
    return [getattr(part, name) for name in names for part in parts_with(state, name)]

"""The type checker of the tests: shapes and types of every call of mmbench."""

import inspect
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from beartype import BeartypeConf, beartype
from torch import Tensor

# An int may stand for a float, as everywhere in Python.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
_CONTAINERS = (tuple, list, dict, set, frozenset)


def typechecker(function: Callable) -> Callable:
    """Return a function that checks arguments, or arguments and a result.

    jaxtyping makes the functions that are given, from the annotations of each function
    of mmbench; nothing is done with what they return. What was found right is not
    checked again: the verdict follows from types, shapes and values that are compared.

    The constructors of descriptions are left as they are: descriptions check their own
    fields, and tests check these messages.
    """
    if function.__name__ == "__init__":
        _, *given = inspect.signature(function).parameters.values()
        if given and all(value.kind is value.KEYWORD_ONLY for value in given):
            return function
    checked, right = _checked(function), set[Hashable]()

    def check(*arguments: Any, **named: Any) -> None:
        values = [*arguments, *named.values()]
        # Of these beartype checks an item at random, another one each time.
        if any(isinstance(value, _CONTAINERS) and value for value in values):
            checked(*arguments, **named)
            return
        seen = (*named, *map(_seen, values))
        if seen not in right:
            checked(*arguments, **named)
            right.add(seen)

    return check


def _seen(value: Any) -> Hashable:
    """Return all that the annotations of mmbench say anything about."""
    kind = type(value)
    if issubclass(kind, Tensor | np.ndarray):
        return kind, value.dtype, value.shape
    if kind in (int, bool, str) or issubclass(kind, type):
        return kind, value
    return kind

"""The type checker of the tests: shapes and types of every call of mmbench."""

import inspect
from collections.abc import Callable

from beartype import BeartypeConf, beartype

# An int may stand for a float, as everywhere in Python.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def typechecker(function: Callable) -> Callable:
    """Return a function that checks its arguments and results.

    The constructors of descriptions are left as they are: descriptions check their own
    fields, and tests check these messages.
    """
    if function.__name__ == "__init__":
        _, *given = inspect.signature(function).parameters.values()
        if given and all(value.kind is value.KEYWORD_ONLY for value in given):
            return function
    return _checked(function)

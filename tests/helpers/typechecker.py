"""What checks shapes and types of every call of mmbench under the tests."""

import inspect
from collections.abc import Callable

from beartype import BeartypeConf, beartype

# An int may stand for a float, as everywhere in Python.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def typechecker(function: Callable) -> Callable:
    """Check the calls of a function, unless it makes a description.

    Descriptions check their own fields, and their messages must be heard.
    """
    if function.__name__ == "__init__":
        _, *given = inspect.signature(function).parameters.values()
        if given and all(one.kind is one.KEYWORD_ONLY for one in given):
            return function
    return _checked(function)

"""Checks of what tasks, algorithms, metrics and games declare, before any run starts.

They turn slips in a class of a user into one sentence with its file and line.
"""

import inspect
import numbers
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError, near_names
from mmbench.core.game import Game
from mmbench.core.printable import FORMULA_STARTS, is_printable, shorten
from mmbench.core.source import Source
from mmbench.core.user_code import defined_at
from mmbench.metrics.base import Column, IterateMetric, Metric, TrajectoryMetric
from mmbench.tasks.base import Target, Task

_BASES = (Algorithm, Task, IterateMetric, TrajectoryMetric, Metric, Game, Description)


def check_declarations(member: Description) -> None:
    """Check the properties of a member and the signatures of its methods.

    Raises:
        DescriptionError: naming the attribute, what it must be and what was found.
    """
    for name, (fits, what) in _EXPECTED.items():
        if not hasattr(type(member), name):
            continue
        value = getattr(member, name)
        if inspect.ismethod(value):
            raise _error(member, name, "be a property; write @property above it")
        if not fits(value):
            hint = _capability_hint(value) if name in ("needs", "gives") else ""
            raise _error(member, name, f"be {what}; got {shorten(value)}{hint}")
    check_signatures(member)


def check_signatures(member: object) -> None:
    """Check that the methods of an object take what those of its base class take.

    Raises:
        DescriptionError: naming the method and the arguments that it must take.
    """
    for base in _BASES:
        if not isinstance(member, base):
            continue
        for name, expected in _public_methods(base):
            own = getattr(type(member), name, None)
            if own is expected:
                continue
            takes = _takes if inspect.isfunction(own) else _takes.__wrapped__
            if not callable(own) or not takes(own, expected):
                arguments = inspect.signature(expected).parameters
                raise _error(member, name, f"take ({_names(arguments)})")


@cache
def _public_methods(base: type) -> list[tuple[str, Callable[..., Any]]]:
    return [
        (name, value)
        for name, value in vars(base).items()
        if not name.startswith("_") and inspect.isfunction(value)
    ]


@lru_cache(maxsize=1024)  # a plan has many members of one class
def _takes(function: Callable[..., Any], expected: Callable[..., Any]) -> bool:
    """Return whether a function can be called with the arguments of another."""
    arguments = inspect.signature(expected).parameters
    positional = [one for one in arguments.values() if one.kind is not one.KEYWORD_ONLY]
    named = {name for name, one in arguments.items() if one.kind is one.KEYWORD_ONLY}
    try:
        inspect.signature(function).bind(*positional, **dict.fromkeys(named))
    except TypeError:
        return False
    return True


def _names(arguments: Any) -> str:
    """Return the names of arguments as in "x, y, *, train"."""
    names = list(arguments)
    kinds = [one.kind for one in arguments.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        names.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return ", ".join(names)


def _error(member: object, name: str, must: str) -> DescriptionError:
    cls = type(member)
    return DescriptionError(
        f"{cls.__name__}.{name}{defined_at(cls, name)} must {must}."
    )


def _capability_hint(value: Any) -> str:
    """Return the member of `Capability` that a text among some values means."""
    given = [value] if isinstance(value, str) else value
    for text in given if isinstance(given, set | frozenset | list | tuple) else ():
        if isinstance(text, str) and not isinstance(text, Capability):
            for near in near_names(text, Capability.__members__):
                return f". Write Capability.{near}"
    return ""


# ---- what each property must be ----


def _is_capabilities(value: Any) -> bool:
    return isinstance(value, set | frozenset) and all(
        isinstance(one, Capability) for one in value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_cost(value: Any) -> bool:
    return isinstance(value, Cost) and all(
        isinstance(one, numbers.Real)
        or (name == "general_sum" and _is_cost_or_none(one))
        for name, one in vars(value).items()
    )


def _is_cost_or_none(value: Any) -> bool:
    return value is None or _is_cost(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and int(value) >= 1


def _are_columns(value: Any) -> bool:
    return (
        isinstance(value, tuple | list) and all(map(_is_column, value)) and bool(value)
    )


def _is_column(value: Any) -> bool:
    return (
        isinstance(value, Column)
        and all(isinstance(one, str) and is_printable(one) for one in value)
        and bool(value.name)
        and not value.name.lstrip().startswith(FORMULA_STARTS)
        and value.better in ("lower", "higher", "neither")
        and value.scale in ("linear", "log")
    )


def _is_target(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Target) or not isinstance(value.metric, str):
        return False
    given = value.at_most, value.at_least
    return any(given) and all(
        isinstance(bounds, tuple) and all(map(_is_bound, bounds)) for bounds in given
    )


def _is_bound(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and isinstance(value[0], str)
        and _is_number(value[1])
    )


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(
        isinstance(one, str) for one in value
    )


def _are_specs(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(
        isinstance(one, str | Metric) for one in value
    )


def _is_protocol(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and type(one) in (str, int, float, bool)
        for name, one in value.items()
    )


# What a property must be: how it is checked, and how a message says it.
_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "version": (_is_count, "a whole number of at least 1"),
    "source": (
        lambda value: value is None or isinstance(value, Source),
        "a mmbench.Source or None",
    ),
    "needs": (_is_capabilities, "a set of members of mmbench.Capability"),
    "gives": (_is_capabilities, "a set of members of mmbench.Capability"),
    "cost": (_is_cost, "a mmbench.Cost of numbers"),
    "limit": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "width": (_is_count, "a whole number of at least 1"),
    "gpu_width": (_is_count, "a whole number of at least 1"),
    "metrics": (_are_specs, 'a tuple of specs, as in ("field_norm",)'),
    "target": (
        _is_target,
        'None or a mmbench.Target, as in Target("distance", at_most=(("distance", '
        "0.001),))",
    ),
    "protocol": (_is_protocol, "a mapping from names to text and Python's numbers"),
    "of": (lambda value: isinstance(value, str), "the name of a column"),
    "columns": (
        _are_columns,
        "a tuple of mmbench.Column with names, titles, better and scale, as in "
        '(Column("max", "maximum"),)',
    ),
}

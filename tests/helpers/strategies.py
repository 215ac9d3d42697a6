"""Hypothesis strategies for field values and for members of a family."""

import dataclasses
import types
import typing
from typing import Annotated, Any, Literal

from hypothesis import strategies as st

from mmbench.core.description import Description, field_types
from mmbench.core.domains import Domain
from mmbench.core.errors import DescriptionError
from mmbench.core.registry import Registry

LARGEST = 1e6


def floats(domains: list[Domain]) -> st.SearchStrategy[float]:
    """Return floats within all domains, as float or, where whole, as int."""
    low = max([-LARGEST, *(one.low for one in domains)])
    high = min([LARGEST, *(one.high for one in domains)])
    drawn = st.floats(low, high, allow_nan=False) | st.integers(int(low), int(high))
    return drawn.filter(lambda value: all(float(value) in one for one in domains))


def integers(domains: list[Domain]) -> st.SearchStrategy[int]:
    """Return whole numbers within all domains."""
    low = max([-1000, *(one.low for one in domains)])
    high = min([1000, *(one.high for one in domains)])
    return st.integers(int(low), int(high))


def fitting(annotation: Any, families: Registry) -> st.SearchStrategy[Any]:
    """Return values that fit an annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        base, *domains = arguments
        return floats(domains) if base is float else integers(domains)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([fitting(one, families) for one in arguments])
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(fitting(arguments[0], families), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*[fitting(one, families) for one in arguments])
    if annotation is type(None):
        return st.none()
    if annotation is str:
        return st.sampled_from(["distance", "modes", "digits_20", "gap"])
    if isinstance(annotation, type) and issubclass(annotation, Description):
        family = families.family_of(annotation)
        assert family is not None
        return descriptions(family)
    return {int: integers([]), float: floats([]), bool: st.booleans()}[annotation]


@st.composite
def descriptions(draw: st.DrawFn, registry: Registry) -> Description:
    """Draw a member of a family with random fields, some at their defaults."""
    cls = registry[draw(st.sampled_from(list(registry)))]
    types_of = field_types(cls)
    chosen = draw(st.sets(st.sampled_from(sorted(types_of)))) if types_of else set()
    values = {name: draw(fitting(types_of[name], registry)) for name in sorted(chosen)}
    try:
        return cls(**values)
    except DescriptionError:  # fields that fit their types but not each other
        return cls()


def spelled_differently(description: Description) -> Description:
    """Return an equal description, with whole floats as ints and tuples as lists."""

    def other(value: Any) -> Any:
        if isinstance(value, Description):
            return spelled_differently(value)
        if isinstance(value, tuple):
            return [other(one) for one in value]
        if isinstance(value, float) and value == 0:
            return -0.0
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    fields = dataclasses.fields(description)
    return type(description)(
        **{field.name: other(getattr(description, field.name)) for field in fields}
    )

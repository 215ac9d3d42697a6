"""JSON documents and the schemas that they must fit.

A schema is a type: `str`, `int`, `float`, `bool`, `None`, `Any`, a `Literal`, a union,
a list, tuple or dict of schemas, a `TypedDict`, or one of these annotated with a
`Range` or a `re.Pattern`. A `TypedDict` may have entries that it does not name: later
versions of mmbench add some.
"""

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

MAX_DEPTH = 200  # of nested values; a chain of cells nests once for each of them
_SHOWN_CHARACTERS = 40  # of a value that does not fit


class Range(NamedTuple):
    """The numbers that fit, both ends included."""

    least: float
    most: float = math.inf


Count = Annotated[int, Range(0, 2**63 - 1)]  # what a column of int64 can hold

# Types of JSON values to those of Python, and what they are called.
_SCALARS: dict[type, tuple[Any, str]] = {
    str: (str, "text"),
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    NoneType: (NoneType, "null"),
}


def parse_json(document: bytes | str) -> Any:
    """Return the values of a JSON document in UTF-8.

    Raises:
        ValueError: when it is no such document, names an entry twice, nests deeper than
            `MAX_DEPTH` or holds text that is no Unicode.
    """
    text = document if isinstance(document, str) else bytes(document).decode()
    try:
        value = json.loads(text, object_pairs_hook=_unique)
        _check_nesting(value, MAX_DEPTH)
    except RecursionError:
        raise _too_deep() from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the entries of an object, each of which must have its own name."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("an entry is named twice")
    return entries


def _check_nesting(value: Any, depth: int) -> None:
    if depth < 0:
        raise _too_deep()
    if isinstance(value, str):
        value.encode()  # fails at a surrogate without its other half
    elif isinstance(value, dict):
        for name, entry in value.items():
            name.encode()
            _check_nesting(entry, depth - 1)
    elif isinstance(value, list):
        for entry in value:
            _check_nesting(entry, depth - 1)


def _too_deep() -> ValueError:
    return ValueError(f"it nests deeper than {MAX_DEPTH} levels")


def find_misfit(value: Any, schema: Any, path: str = "it") -> str:
    """Return where a value does not fit a schema, in words; empty where it does.

    Args:
        value: JSON values, or with tensors or arrays as leaves.
        schema: see the module.
        path: what the value is called.
    """
    if schema is Any:
        return ""
    if is_typeddict(schema):
        return _misfit_of_entries(value, schema, path)
    origin, inner = get_origin(schema), get_args(schema)
    if origin is Annotated:
        return find_misfit(value, inner[0], path) or _misfit_of_range(
            value, inner[1], path
        )
    if origin in (Union, UnionType):
        found = [find_misfit(value, one, path) for one in inner]
        return "" if "" in found else found[0]
    if origin is Literal:
        fits = isinstance(value, str) and value in inner
        return "" if fits else _sentence(path, f"one of {', '.join(inner)}", value)
    if origin is list:
        return _misfit_of_list(value, inner[0], path)
    if origin is tuple:
        if not isinstance(value, list) or len(value) != len(inner):
            return _sentence(path, f"a list of {len(inner)}", value)
        pairs = zip(value, inner, strict=True)
        return _first(
            find_misfit(one, kind, f"{path}[{i}]")
            for i, (one, kind) in enumerate(pairs)
        )
    if origin is dict:
        if not isinstance(value, dict):
            return _sentence(path, "a JSON object", value)
        return _first(
            find_misfit(entry, inner[1], _join(path, name))
            for name, entry in value.items()
        )
    return _misfit_of_scalar(value, schema, path)


def _misfit_of_scalar(value: Any, schema: type, path: str) -> str:
    kinds, name = _SCALARS.get(schema, (schema, f"of the type {schema.__name__}"))
    fits = isinstance(value, kinds) and (schema is bool or not isinstance(value, bool))
    return "" if fits else _sentence(path, name, value)


def _misfit_of_range(value: Any, limits: "Range | re.Pattern[str]", path: str) -> str:
    if isinstance(limits, re.Pattern):
        fits = bool(limits.fullmatch(value))
        return "" if fits else _sentence(path, f"as {limits.pattern}", value)
    if limits.least <= value <= limits.most:
        return ""
    return _sentence(path, f"from {limits.least} to {limits.most}", value)


def _misfit_of_list(value: Any, schema: Any, path: str) -> str:
    if not isinstance(value, list):
        return _sentence(path, "a list", value)
    return _first(
        find_misfit(one, schema, f"{path}[{i}]") for i, one in enumerate(value)
    )


def _misfit_of_entries(value: Any, schema: Any, path: str) -> str:
    if not isinstance(value, Mapping):
        return _sentence(path, "a JSON object", value)
    required, entries = _entries(schema)
    if missing := sorted(required - set(value)):
        return f"{path} must have the entry {missing[0]}"
    return _first(
        find_misfit(value[name], kind, _join(path, name))
        for name, kind in entries.items()
        if name in value
    )


@cache
def _entries(schema: Any) -> tuple[frozenset[str], dict[str, Any]]:
    """Return the required names of a TypedDict, and the schemas of all names."""
    required, entries = set(), {}
    for name, hint in get_type_hints(schema, include_extras=True).items():
        is_optional = get_origin(hint) is NotRequired
        entries[name] = get_args(hint)[0] if is_optional else hint
        if not is_optional:
            required.add(name)
    return frozenset(required), entries


def _first(misfits: Any) -> str:
    return next(filter(None, misfits), "")


def _join(path: str, name: str) -> str:
    return name if path == "it" else f"{path}.{name}"


def _sentence(path: str, expected: str, value: Any) -> str:
    return f"{path} must be {expected}; got {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {'JSON object' if isinstance(value, dict) else 'list'}"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a number of too many digits"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."

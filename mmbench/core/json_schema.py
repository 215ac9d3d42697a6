"""JSON documents and the schemas that they must fit.

A schema is a type: `str`, `int`, `float`, `bool`, `None`, `Any`, a `Literal`, a union,
a list, tuple or dict of schemas, a `TypedDict`, or one of these annotated with a
`Range` or a `re.Pattern`. A `TypedDict` may have entries that it does not name: later
versions of mmbench add some.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
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
_SURROGATE = re.compile(r"\\u[dD]")  # the escape of one, and of some other letters


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
        if _may_misfit(text):
            _check_nesting(value, MAX_DEPTH)
    except RecursionError:
        raise _too_deep() from None
    return value


def _may_misfit(text: str) -> bool:
    """Return whether a document may nest too deep or hold half a surrogate.

    Most have too few brackets for the one and no escape of a surrogate for the other.
    """
    brackets = text.count("{") + text.count("[")
    return brackets > MAX_DEPTH or not text.isascii() or bool(_SURROGATE.search(text))


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


class Misfit(NamedTuple):
    """A value that does not fit.

    Args:
        path: where it stands below the value that was checked, such as ".inner[0]".
        sentence: what it must be, and what it is.
    """

    path: str
    sentence: str

    def below(self, path: str) -> "Misfit":
        """Return the same, seen from a value that holds the one that was checked."""
        return self._replace(path=path + self.path)


class Check(NamedTuple):
    """How values are checked against a schema.

    Args:
        kinds: types of which all values fit.
        find: returns where any value does not fit; None where it does.
    """

    kinds: frozenset[type]
    find: Callable[[Any], Misfit | None]


def find_misfit(value: Any, schema: Any) -> str:
    """Return where a value does not fit a schema, in words; empty where it does.

    Args:
        value: JSON values, or with tensors or arrays as leaves.
        schema: see the module.
    """
    found = _check_of(schema).find(value)
    if found is None:
        return ""
    path = found.path[1:] if found.path.startswith(".") else f"it{found.path}"
    return f"{path} {found.sentence}"


@cache
def _check_of(schema: Any) -> Check:
    """Return the check against a schema, made once for each."""
    origin, inner = get_origin(schema), get_args(schema)
    if origin in (Union, UnionType):
        checks = [_check_of(one) for one in inner]
        kinds = frozenset[type]().union(*(one.kinds for one in checks))
        return Check(kinds, _find_in_union(checks))
    if schema in _SCALARS:
        types = _SCALARS[schema][0]
        kinds = frozenset(types if isinstance(types, tuple) else (types,))
        return Check(kinds, _find_in_scalar(schema))
    return Check(frozenset(), _find_in(schema, origin, inner))


Find = Callable[[Any], Misfit | None]


def _find_in(schema: Any, origin: Any, inner: tuple[Any, ...]) -> Find:
    if schema is Any:
        return lambda _: None
    if is_typeddict(schema):
        return _find_in_entries(schema)
    if origin is Annotated:
        return _find_in_annotated(*inner)
    if origin is Literal:
        return _find_in_literal(inner)
    if origin is list:
        return _find_in_list(inner[0])
    if origin is tuple:
        return _find_in_tuple(inner)
    if origin is dict:
        return _find_in_dict(inner[1])
    return _find_in_scalar(schema)


def _find_in_scalar(schema: type) -> Find:
    kinds, name = _SCALARS.get(schema, (schema, f"of the type {schema.__name__}"))
    is_bool = schema is bool

    def check(value: Any) -> Misfit | None:
        fits = isinstance(value, kinds) and (is_bool or not isinstance(value, bool))
        return None if fits else _misfit(name, value)

    return check


def _find_in_annotated(schema: Any, limits: "Range | re.Pattern[str]") -> Find:
    check_type = _check_of(schema).find
    if isinstance(limits, re.Pattern):
        matches, pattern = limits.fullmatch, limits.pattern

        def check_text(value: Any) -> Misfit | None:
            if found := check_type(value):
                return found
            return None if matches(value) else _misfit(f"as {pattern}", value)

        return check_text
    least, most = limits

    def check_number(value: Any) -> Misfit | None:
        if found := check_type(value):
            return found
        if least <= value <= most:
            return None
        return _misfit(f"from {least} to {most}", value)

    return check_number


def _find_in_union(checks: Sequence[Check]) -> Find:
    def check(value: Any) -> Misfit | None:
        if any(type(value) in one.kinds for one in checks):
            return None
        found = [one.find(value) for one in checks]
        return None if None in found else found[0]

    return check


def _find_in_literal(choices: tuple[str, ...]) -> Find:
    def check(value: Any) -> Misfit | None:
        fits = isinstance(value, str) and value in choices
        return None if fits else _misfit(f"one of {', '.join(choices)}", value)

    return check


def _find_in_list(schema: Any) -> Find:
    def check(value: Any) -> Misfit | None:
        if not isinstance(value, list):
            return _misfit("a list", value)
        kinds, find = _check_of(schema)
        if kinds.issuperset(map(type, value)):
            return None
        for at, entry in enumerate(value):
            if found := find(entry):
                return found.below(f"[{at}]")
        return None

    return check


def _find_in_tuple(schemas: tuple[Any, ...]) -> Find:
    def check(value: Any) -> Misfit | None:
        if not isinstance(value, list) or len(value) != len(schemas):
            return _misfit(f"a list of {len(schemas)}", value)
        for at, (entry, schema) in enumerate(zip(value, schemas, strict=True)):
            if found := _check_of(schema).find(entry):
                return found.below(f"[{at}]")
        return None

    return check


def _find_in_dict(schema: Any) -> Find:
    def check(value: Any) -> Misfit | None:
        if not isinstance(value, dict):
            return _misfit("a JSON object", value)
        kinds, find = _check_of(schema)
        if kinds.issuperset(map(type, value.values())):
            return None
        for name, entry in value.items():
            if found := find(entry):
                return found.below(f".{name}")
        return None

    return check


def _find_in_entries(schema: Any) -> Find:
    def check(value: Any) -> Misfit | None:
        if type(value) is not dict and not isinstance(value, Mapping):
            return _misfit("a JSON object", value)
        required, entries = _entries(schema)
        if not required <= value.keys():
            missing = sorted(required - set(value))
            return Misfit("", f"must have the entry {missing[0]}")
        for name, (kinds, find) in entries.items():
            if name not in value or type(value[name]) in kinds:
                continue
            if found := find(value[name]):
                return found.below(f".{name}")
        return None

    return check


@cache
def _entries(schema: Any) -> tuple[frozenset[str], dict[str, Check]]:
    """Return the required names of a TypedDict, and the checks of all names.

    A schema may hold itself, so its entries are looked at when the first value comes.
    """
    required, entries = set(), {}
    for name, hint in get_type_hints(schema, include_extras=True).items():
        is_optional = get_origin(hint) is NotRequired
        entries[name] = _check_of(get_args(hint)[0] if is_optional else hint)
        if not is_optional:
            required.add(name)
    return frozenset(required), entries


def _misfit(expected: str, value: Any) -> Misfit:
    return Misfit("", f"must be {expected}; got {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {'JSON object' if isinstance(value, dict) else 'list'}"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a number of too many digits"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."

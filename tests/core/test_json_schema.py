"""Documents are read whole or refused, and what does not fit a schema is named."""

import re
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from mmbench.core.json_schema import Range, find_misfit, parse_json


class _Inner(TypedDict):
    """An entry of `_Outer`."""

    name: str


class _Outer(TypedDict):
    """A schema with each kind of entry."""

    count: Annotated[int, Range(1, 10)]
    share: NotRequired[float | None]
    kind: NotRequired[Literal["a", "b"]]
    inner: NotRequired[list[_Inner]]
    pair: NotRequired[tuple[int, str]]
    flags: NotRequired[dict[str, bool]]
    code: NotRequired[Annotated[str, re.compile("[0-9]+")]]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[" * 100_000 + "]" * 100_000, "nests deeper than"),
        ("[" * 300 + "]" * 300, "nests deeper than"),
        ('{"a": 1, "a": 2}', "named twice"),
        ('"\\ud800"', "surrogates not allowed"),
        ('{"\\udfff": 1}', "surrogates not allowed"),
        (b"\xff", "utf-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ("9" * 5000, "digits"),
        ("", "Expecting value"),
        ("[1", "Expecting"),
    ],
)
def test_documents_are_refused(document: bytes | str, message: str) -> None:
    """Each ends with a ValueError, whatever the standard library would raise."""
    with pytest.raises(ValueError, match=message):
        parse_json(document)


def test_documents_are_read() -> None:
    """Everything that mmbench writes, pairs of surrogates included."""
    assert parse_json(b'{"a": [1, 0.5, null, true, "\\ud83d\\ude00"]}') == {
        "a": [1, 0.5, None, True, "\U0001f600"]
    }


@pytest.mark.parametrize(
    ("value", "misfit"),
    [
        (3, "it must be a JSON object; got 3"),
        ({}, "it must have the entry count"),
        ({"count": "3"}, "count must be a whole number; got '3'"),
        ({"count": True}, "count must be a whole number; got True"),
        ({"count": 0}, "count must be from 1 to 10; got 0"),
        ({"count": 10**400}, "count must be from 1 to 10; got 1000"),
        ({"count": 10**5000}, "count must be from 1 to 10; got a number of too many"),
        ({"count": 1, "share": "x"}, "share must be a number; got 'x'"),
        ({"count": 1, "kind": "c"}, "kind must be one of a, b; got 'c'"),
        ({"count": 1, "kind": []}, "kind must be one of a, b; got a list"),
        ({"count": 1, "inner": {}}, "inner must be a list; got a JSON object"),
        ({"count": 1, "inner": [{"name": 1}]}, "inner[0].name must be text; got 1"),
        ({"count": 1, "pair": [1]}, "pair must be a list of 2; got a list"),
        ({"count": 1, "pair": [1, 2]}, "pair[1] must be text; got 2"),
        ({"count": 1, "flags": {"x": 1}}, "flags.x must be true or false; got 1"),
        ({"count": 1, "code": "x"}, "code must be as [0-9]+; got 'x'"),
    ],
)
def test_misfits_are_named(value: Any, misfit: str) -> None:
    """The path of the value, what it must be, and what it is."""
    assert find_misfit(value, _Outer).startswith(misfit)


@pytest.mark.parametrize(
    "value",
    [
        {"count": 10, "another": object()},
        {"count": 1, "share": None, "kind": "a", "inner": [{"name": "x", "y": 1}]},
        {"count": 1, "share": 3, "pair": [1, "x"], "flags": {"x": True}, "code": "12"},
    ],
)
def test_what_fits_has_no_misfit(value: Any) -> None:
    """Optional entries may lack, and further ones may stand."""
    assert find_misfit(value, _Outer) == ""

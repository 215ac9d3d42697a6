"""Specs: parsing `name[field=value,...]`."""

import pytest

from mmbench.core.errors import DescriptionError
from mmbench.core.spec import Reference, Word, parse, quote, replace_files

R_FILE = "r [v2], x=1/y.py:Mine"
D_FILE = {"d": Word("r [v2]/y.py:D")}
D_MADE = {"d": Reference("r [v2]/y.py:D", {})}
QUOTE = 'a, "b" [c]'
M_AND_B = '"x [1], y=2/m.py":M[b="x [1], y=2/n [2]/o.py":B,k=1]'


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gda", Reference("gda", {})),
        ("  gda  ", Reference("gda", {})),
        ("gda[]", Reference("gda", {})),
        ("gda[k=3]", Reference("gda", {"k": Word("3")})),
        ("gda[k=3,]", Reference("gda", {"k": Word("3")})),
        (
            "gda[ k = 3 , s = 1e-3 ]",
            Reference("gda", {"k": Word("3"), "s": Word("1e-3")}),
        ),
        ("gda[s=(1,2.5)]", Reference("gda", {"s": (Word("1"), Word("2.5"))})),
        ("gda[s=()]", Reference("gda", {"s": ()})),
        (
            "a[d=b[c=d[e=-1]]]",
            Reference(
                "a", {"d": Reference("b", {"c": Reference("d", {"e": Word("-1")})})}
            ),
        ),
        ("x/y.py:Mine[k=3]", Reference("x/y.py:Mine", {"k": Word("3")})),
        ("/a b/y.py:Mine", Reference("/a b/y.py:Mine", {})),
        ("r [v2], x=1/y.py:Mine[k=3]", Reference(R_FILE, {"k": Word("3")})),
        ('"r [v2], x=1/y.py":Mine[k=3]', Reference(R_FILE, {"k": Word("3")})),
        ('"r [v2], x=1/y.py:Mine"', Reference(R_FILE, {})),
        ("gda[d=r [v2]/y.py:D,k=3]", Reference("gda", D_FILE | {"k": Word("3")})),
        ("gda[d=r [v2]/y.py:D[],k=3]", Reference("gda", D_MADE | {"k": Word("3")})),
        ('gda[m="a, ""b"" [c]",k=3]', Reference("gda", {"m": QUOTE, "k": Word("3")})),
        ("m.py:M[b=o.py:B]", Reference("m.py:M", {"b": Word("o.py:B")})),
    ],
)
def test_parse(spec: str, expected: Reference) -> None:
    """Names, words, pairs, text in quotes, files and nested specs are parsed."""
    assert parse(spec) == expected


@pytest.mark.parametrize(
    ("word", "constant"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("1_000", "1_000"),
        ("adam", "adam"),
    ],
)
def test_words_read_as_constants(word: str, constant: object) -> None:
    """Numbers, truth values and none are what they look like."""
    assert Word(word).constant == constant
    assert type(Word(word).constant) is type(constant)


@pytest.mark.parametrize("text", ["a", "a b", "none", "", " a", "a,b", '"', 'a "b"[=]'])
def test_quoted_text_is_parsed_as_it_was(text: str) -> None:
    """Whatever a text holds, its quoted form is one value."""
    value = parse(f"gda[m={quote(text)},k=3]").values["m"]
    assert getattr(value, "text", value) == text


@pytest.mark.parametrize(
    ("spec", "replaced"),
    [
        ("gda", "gda"),
        ("m.py:M", '"x [1], y=2/m.py":M'),
        ("m.py:M[b=n [2]/o.py:B,k=1]", M_AND_B),
        ('"m.py":M', '"x [1], y=2/m.py":M'),
        ("m.py:M[k=", "m.py:M[k="),
    ],
)
def test_paths_are_replaced(spec: str, replaced: str) -> None:
    """Each path of a file is replaced and quoted; all else stays."""
    assert replace_files(spec, lambda path: f"x [1], y=2/{path}") == replaced


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("gda(step_size=0.1)", "parameters stand in square brackets"),
        ("gda=0.1", "parameters stand in square brackets, gda[field=value]"),
        ("gda,cgd", "give each spec by itself"),
        ("gda[0.1]", "'0.1' has no value; write gda[name=0.1]"),
        ("gda[step_size=0,1]", "'1' has no value"),
        ("gda[=1]", "the name of a field is missing"),
        ("gda[k=]", "a value is missing"),
        ("gda[k=1", "a ']' is missing"),
        ("gda[k=1,k=2]", "'k' is given twice"),
        ("", "a name is missing"),
    ],
)
def test_bad_specs_are_explained(spec: str, what: str) -> None:
    """The error names the spec and says what to write."""
    with pytest.raises(DescriptionError, match=r"must read like name\[") as caught:
        parse(spec)
    assert repr(spec) in str(caught.value)
    assert what in str(caught.value)

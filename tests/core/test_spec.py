"""Specs: parsing `name[field=value,...]`."""

import pytest

from mmbench.core.spec import Reference, parse


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("gda", Reference("gda", {})),
        ("  gda  ", Reference("gda", {})),
        ("gda[]", Reference("gda", {})),
        ("gda[k=3]", Reference("gda", {"k": 3})),
        ("gda[k=3,]", Reference("gda", {"k": 3})),
        ("gda[ k = 3 , s = 1e-3 ]", Reference("gda", {"k": 3, "s": 1e-3})),
        ("gda[s=(1,2.5)]", Reference("gda", {"s": (1, 2.5)})),
        (
            "gda[a=true,b=False,c=none]",
            Reference("gda", {"a": True, "b": False, "c": None}),
        ),
        (
            "a[d=b[c=d[e=-1]]]",
            Reference("a", {"d": Reference("b", {"c": Reference("d", {"e": -1})})}),
        ),
        ("x/y.py:Mine[k=3]", Reference("x/y.py:Mine", {"k": 3})),
        ("/a b/y.py:Mine", Reference("/a b/y.py:Mine", {})),
    ],
)
def test_parse(spec: str, expected: Reference) -> None:
    """Names, numbers, pairs, truth values and nested specs are parsed."""
    assert parse(spec) == expected

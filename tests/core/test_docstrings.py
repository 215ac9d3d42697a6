"""Docstrings of descriptions are parsed into summary, rule, text and sections."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmbench.core.docstrings import doc_of


class Documented:
    """A summary.

        z⁺ = z − η F(z)
        second line

    A paragraph
    of two lines.

        an indented block that is no rule

    Args:
        step_size: η, on
            two lines.
        k: steps.

    State: none.
    Cost: much,
        as one sees.
    Source: Nobody 2026.
    """


class Undocumented(Documented):
    pass


def test_docstrings_are_parsed() -> None:
    """A docstring has a summary, a rule, text, arguments and sections."""
    doc = doc_of(Documented)
    assert doc.summary == "A summary."
    assert doc.rule == "z⁺ = z − η F(z)\nsecond line"
    assert doc.text.startswith("A paragraph\nof two lines.")
    assert "no rule" in doc.text
    assert doc.arguments == {"step_size": "η, on two lines.", "k": "steps."}
    assert doc.sections == {
        "State": "none.",
        "Cost": "much, as one sees.",
        "Source": "Nobody 2026.",
    }


def test_docstrings_are_not_inherited() -> None:
    """A class without a docstring does not get that of its base class."""
    assert doc_of(Undocumented).summary == ""


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("Args:\n    k (int): steps.\n    m: more.", {"k": "steps.", "m": "more."}),
        ("Args:\n  k: of\n    a: b.\n  m:\n    more.", {"k": "of a: b.", "m": "more."}),
        ("Args:\n    k: steps.\n\nExample:\n    more.", {"k": "steps."}),
        ("Args:\n    k: steps.\n\nA paragraph.", {"k": "steps."}),
        ("No section.", {}),
    ],
)
def test_arguments_in_other_styles(text: str, arguments: dict[str, str]) -> None:
    """Types, narrow indents, and what follows the section are understood."""
    cls = type("Styled", (), {"__doc__": f"A summary.\n\n{text}\n"})
    assert doc_of(cls).arguments == arguments


@dataclass
class Documenting:
    """A base class.

    Args:
        k: steps.
        rho: decay.
        gone: no field.
    """

    k: int = 1
    rho: float = 0.5


@dataclass
class Inheriting(Documenting):
    """A class with a field more.

    Args:
        m: momentum.
        rho: decay, here of m.
    """

    m: int = 2


def test_meanings_of_inherited_fields_are_inherited() -> None:
    assert doc_of(Inheriting).arguments == {
        "m": "momentum.",
        "rho": "decay, here of m.",
        "k": "steps.",
    }


def test_the_example_of_the_readme_has_a_rule() -> None:
    """The docstring is as the documentation asks for, so that the page shows it."""
    readme = Path(__file__).parents[2] / "README.md"
    text = readme.read_text("utf-8")
    (code,) = re.findall(r"```python\n(# mine\.py\n.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(code, names)
    doc = doc_of(names["Mine"])
    assert doc.rule.splitlines() == ["z̃ = z − 2η F(z)", "z⁺ = z − η F(z̃)"]
    assert doc.arguments.keys() == {"step_size"}

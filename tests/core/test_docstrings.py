"""Docstrings of descriptions are parsed into summary, rule, text and sections."""

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

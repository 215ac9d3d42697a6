"""Sources: how a publication reads in a text."""

from mmbench.core.source import Source


def test_sources_read_well() -> None:
    """The text has authors, year, title and the place, if there is one."""
    source = Source(authors="A and B", year=2020, title="T", place="section 2")
    assert str(source) == "A and B 2020, T, section 2"

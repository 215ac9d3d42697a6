"""Sources of algorithms and tasks."""

from mmbench.core.source import Source


def test_sources_read_well() -> None:
    """A source reads as authors, year, title and, where given, the section."""
    source = Source(authors="A and B", year=2020, title="T", place="section 2")
    assert str(source) == "A and B 2020, T, section 2"

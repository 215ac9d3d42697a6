"""Tests of a page's sections as Markdown."""

from markupsafe import Markup

from mmbench.analysis.report.markdown import as_markdown, table_lines
from mmbench.analysis.report.sections.base import Section, Subsection, Table, TableCell


def test_the_lines_of_a_table() -> None:
    """Numbers are to the right, the best is bold, specs are code, pictures are out."""
    rows = [
        [
            TableCell("A|B", label=True),
            TableCell("0.5", 0.5, best=True),
            TableCell("gda[a=x|y]", code=True),
            TableCell("a curve", svg=Markup("<svg/>")),
        ],
        [
            TableCell("C"),
            TableCell("2", 2),
            TableCell("`a``b", code=True),
            TableCell(""),
        ],
    ]
    table = Table("Caption", ["Method", "#Share", "Spec", "Picture"], rows)
    assert list(table_lines(table)) == [
        "| Method | Share | Spec |",
        "| --- | --: | --- |",
        "| A\\|B | **0.5** | `gda[a=x\\|y]` |",
        "| C | 2 | ``` `a``b ``` |",
    ]


def test_a_page() -> None:
    """The first detail is a summary of HTML; figures stand where their files do."""
    part = Subsection(
        title="Part",
        prose=["A <b> text.", "    code <kept>"],
        tables=[Table("A caption.", ["Name"], [[TableCell("x")]])],
        notes=["A note."],
    )
    section = Section(
        title="Title",
        anchor="anchor",
        prose=["Prose."],
        details=["More", "Text"],
        subsections=[part],
    )
    assert as_markdown("Page", [section]).splitlines() == [
        "# Page",
        "",
        "## Title",
        "",
        "Prose.",
        "",
        "Text",
        "",
        "### Part",
        "",
        "A \\<b\\> text.",
        "",
        "    code <kept>",
        "",
        "A note.",
        "",
        "A caption.",
        "",
        "| Name |",
        "| --- |",
        "| x |",
    ]

"""Building blocks of the report's sections: prose, figures and tables.

A section is a file in this folder with a function `section(results)`, which is listed
in `SECTIONS` in the folder's `__init__`. The function returns a `Section`, or None if
the results hold nothing that it could show. It must cope with anything that a store can
hold: failed and unfinished runs, missing values, a single run, and tasks and algorithms
that are not part of mmbench. The same results must give the same bytes, so figures are
drawn with `mmbench.analysis.style`. For example:

    def section(results: Results) -> Section | None:
        rows = [
            [TableCell(label, label=True), TableCell(number(seconds), seconds)]
            for label, seconds in ...
        ]
        columns = ["Algorithm", "#Seconds"]
        table = Table("Training time of each algorithm.", columns, rows)
        return Section(
            title="Time",
            anchor="time",
            prose=["Seconds are ..."],
            subsections=[Subsection(tables=[table])],
        )

Texts are escaped by the page. They are written for the reader of a paper, in full
sentences that need no knowledge of the code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd
from markupsafe import Markup


@dataclass(frozen=True)
class TableCell:
    """One cell of a table on the page.

    Args:
        text: the text shown.
        sort: the number by which the column is sorted; None sorts by the text.
        label: whether the text is the label of an algorithm, shown with its swatch.
        shade: strength of the background from 0 to 1; None leaves it blank.
        code: whether the text is set in a monospaced font.
        tooltip: the text in full, shown when the pointer is on a shortened one.
        svg: a picture in the place of the text, which describes it.
        best: whether a test separates the text from all others in its column; it is
            set in bold in LaTeX.
    """

    text: str
    sort: float | None = None
    label: bool = False
    shade: float | None = None
    code: bool = False
    tooltip: str = ""
    svg: Markup = Markup()
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A sortable table.

    Args:
        caption: what the table shows; may be empty if the context says it.
        columns: headings; one that starts with "#" is of numbers, set to the right.
        rows: one cell for each column.
        folded: whether the table is hidden until the reader opens its caption.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture, either an SVG or a PNG; pictures stand side by side if there is room.

    Args:
        alt: what the picture shows, for readers who cannot see it.
        svg: inline SVG from `style.svg`; empty for a PNG.
        png: data URI from `style.png` or `style.data_uri`; empty for an SVG.
        title: text above the picture.
        label: whether the title is the label of an algorithm, shown with its swatch.
        remark: text after the title.
        width: width in CSS pixels on a wide screen.
        pixelated: whether pixels stay square when the picture is enlarged.
    """

    alt: str
    svg: Markup = Markup()
    png: str = ""
    title: str = ""
    label: bool = False
    remark: str = ""
    width: int = 340
    pixelated: bool = False


@dataclass(frozen=True)
class Subsection:
    """A subsection, usually about one task; its parts appear in the order listed here.

    Args:
        title: its heading; empty for none.
        prose: paragraphs; words between backticks are set as code.
        preformatted: text shown as it is, after the first paragraph.
        legend: labels of the algorithms in the figures, shown with their swatches.
        colour_legend: pairs of a text and the colour that it explains.
        figures: pictures, side by side.
        tables: tables.
        notes: paragraphs in small print.
        links: pairs of a text and an address, for a bibliography.
    """

    title: str = ""
    prose: Sequence[str] = ()
    preformatted: str = ""
    legend: Sequence[str] = ()
    colour_legend: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page.

    Args:
        title: its heading, also in the navigation.
        anchor: its address on the page, unique.
        prose: paragraphs under the heading.
        details: a title, and paragraphs that are hidden until the reader opens it.
        subsections: what follows.
        files: file name to table; written as CSV next to the page.
    """

    title: str
    anchor: str
    prose: Sequence[str] = ()
    details: Sequence[str] = ()
    subsections: Sequence[Subsection] = ()
    files: dict[str, pd.DataFrame] = field(default_factory=dict)


MAX_ROWS = 500  # of a list on the page; a longer one is in its file alone
MAX_LABELS = 40  # of a picture with a row for each algorithm


def listing(table: Table, file: str) -> Subsection:
    """Return a subsection of a folded table, or of where it is if it is too long."""
    if len(table.rows) <= MAX_ROWS:
        return Subsection(tables=[table])
    return Subsection(
        notes=(
            f"{table.caption}: {len(table.rows)} rows, in {file} alone, which "
            "mmbench report writes.",
        )
    )

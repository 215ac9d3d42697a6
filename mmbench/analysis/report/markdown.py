"""A page's sections as Markdown, for a reader on a repository page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mmbench.analysis.report.sections.base import Section, Subsection, Table, TableCell
from mmbench.core.printable import escape_markdown, markdown_code


def as_markdown(
    title: str, sections: Sequence[Section], pictures: Mapping[str, str] = {}
) -> str:
    """Return sections as Markdown.

    Args:
        title: heading of the page.
        sections: its sections.
        pictures: text of a figure to the file that holds it; other figures are left
            out.
    """
    lines = [f"# {escape_markdown(title)}", ""]
    for section in sections:
        lines += [f"## {escape_markdown(section.title)}", ""]
        for text in (*section.prose, *section.details[1:]):
            lines += [escape_markdown(text), ""]
        for part in section.subsections:
            lines += _subsection(part, pictures)
    return "\n".join(lines)


def _subsection(part: Subsection, pictures: Mapping[str, str]) -> Iterator[str]:
    if part.title:
        yield from (f"### {escape_markdown(part.title)}", "")
    for text in part.prose:
        # An indented paragraph is preformatted in Markdown as well.
        yield from (text if text.startswith("    ") else escape_markdown(text), "")
    for figure in part.figures:
        if figure.alt in pictures:
            yield from (f"![{figure.alt}]({pictures[figure.alt]})", "")
    for text in part.notes:
        yield from (escape_markdown(text), "")
    for table in part.tables:
        if table.caption:
            yield from (escape_markdown(table.caption), "")
        yield from (*table_lines(table), "")


def table_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table; columns with pictures are left out."""
    shown = [
        at
        for at, _ in enumerate(table.columns)
        if not any(row[at].svg for row in table.rows)
    ]
    columns = [table.columns[at] for at in shown]
    yield _line(escape_markdown(name.removeprefix("#")) for name in columns)
    yield _line("--:" if name.startswith("#") else "---" for name in columns)
    for row in table.rows:
        yield _line(_cell(row[at]) for at in shown)


def _cell(cell: TableCell) -> str:
    if cell.code:
        return markdown_code(cell.text)
    text = escape_markdown(cell.text)
    return f"**{text}**" if cell.best else text


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"

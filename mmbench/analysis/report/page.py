"""The page: one static HTML file of all sections, with CSV files next to it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from textwrap import dedent
from typing import Any

import jinja2
from markupsafe import Markup, escape

from mmbench.analysis import style
from mmbench.analysis.export import make_printable, to_csv
from mmbench.analysis.leaderboard import boards
from mmbench.analysis.numbers import number
from mmbench.analysis.published import CELLS, CURVES, RUNS
from mmbench.analysis.report import latex
from mmbench.analysis.report.sections import FILES, RANKED, SECTIONS
from mmbench.analysis.report.sections.base import Section, Table
from mmbench.analysis.report.sections.tuning import track_in_words
from mmbench.analysis.results import (
    Results,
    labels_of,
    require_one_track,
    tasks_of,
    with_unique_names,
)
from mmbench.core.errors import StoreError
from mmbench.core.files import write_together
from mmbench.core.printable import printable
from mmbench.store.tuning_record import RECORD

ROW_PIXELS = 1160  # of a row of figures on a wide screen

_HERE = Path(__file__).parent


def write_report(results: Results, out: Path, *, name: str, title: str) -> Path:
    """Write the page as `index.html`, and its CSV files.

    The page loads no other file, and the same results give the same bytes.

    Args:
        results: the results to show.
        out: folder to write into; it is made if it does not exist.
        name: name of the suite.
        title: title of the suite, one line.

    Returns:
        Path of the page.

    Raises:
        StoreError: if there are no results or the folder cannot be written.
    """
    results = prepare(results)
    sections = sections_of(results)
    files = {"results.csv": results.frame}
    for section in sections:
        files |= section.files
    page = render(results, sections, list(files), printable(name), printable(title))
    target = out / "index.html"
    contents = {out / file: to_csv(table) for file, table in files.items()}
    contents[target] = page.encode()
    with _writing_into(out):
        write_together(contents)
        for file in FILES:
            if file not in files and (out / file).is_file():  # of an earlier report
                (out / file).unlink(missing_ok=True)
    return target


def board_page(results: Results, *, capacity: int | None = None) -> bytes:
    """Return the page of published results, which are in the files that it names.

    Args:
        results: what `read_published` returns.
        capacity: see `mmbench.analysis.leaderboard.leaderboard`.
    """
    results = prepare(results)
    sections = sections_of(results, capacity=capacity)
    files = [RUNS, CURVES, CELLS, *([RECORD] if results.tuning else [])]
    return render(results, sections, files, "leaderboard", "Leaderboard").encode()


def write_tables(results: Results, out: Path) -> list[Path]:
    """Write the tables of the page as LaTeX, one file for each subsection.

    Args:
        results: the results to show.
        out: folder to write into; it is made if it does not exist.

    Returns:
        Paths of the files.

    Raises:
        StoreError: if there are no results or the folder cannot be written.
    """
    sections = sections_of(prepare(results))
    anchors, contents = _anchors(sections), dict[Path, bytes]()
    for section in sections:
        names = anchors[section.anchor]
        if not section.subsections[0].title:
            names = [section.anchor, *names[1:]]
        for name, part in zip(names, section.subsections, strict=True):
            if part.tables:
                tables = latex.format_subsection(section.title, part, name)
                contents[out / f"{name}.tex"] = tables.encode()
    with _writing_into(out):
        write_together(contents)
    return list(contents)


def prepare(results: Results) -> Results:
    """Return results with printable text, and labels that differ on each task.

    Raises:
        StoreError: if there are no results, or they are of both tracks.
    """
    if results.frame.empty:
        raise StoreError(
            f"A report must have at least one cell; {results.place} gave none. Run the "
            "suite into this store first."
        )
    require_one_track(results)
    return with_unique_names(_printable_results(results))


def sections_of(results: Results, *, capacity: int | None = None) -> list[Section]:
    """Return the sections that have something to show.

    Args:
        results: prepared results.
        capacity: see `mmbench.analysis.leaderboard.leaderboard`.
    """
    ranked = boards(results, capacity=capacity)
    made = [
        *(make(results, ranked) for make in RANKED.values()),
        *(make(results) for make in SECTIONS.values()),
    ]
    return [section for section in made if section is not None]


@contextmanager
def _writing_into(out: Path) -> Iterator[None]:
    """Make a folder, and explain what keeps it from being written.

    Raises:
        StoreError: in the place of an OSError.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise StoreError(
            f"--out must be a folder that can be written; {out} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def render(
    results: Results,
    sections: Sequence[Section],
    files: Sequence[str],
    name: str,
    title: str,
) -> str:
    """Return a page.

    Args:
        results: prepared results, for the counts and the styles of labels.
        sections: sections of the page.
        files: names of the files with its data, in the same folder.
        name: name of the suite.
        title: title of the page, one line.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    styles = style.label_styles(labels_of(results))
    runs = len(results.frame[["key", "seed"]].drop_duplicates())
    return environment.get_template("page.html").render(
        name=name,
        title=title or name,
        sections=sections,
        files=files,
        styles=styles,
        swatches=style.swatches(styles),
        note=track_in_words(results),
        counts={
            "tasks": len(tasks_of(results)),
            "algorithms": len(styles),
            "cells": len(results.footers),
            "runs": runs,
            "unfinished": len(results.unfinished),
            "missing": results.missing,
            "wanted": results.wanted,
        },
        anchors=_anchors(sections),
        breakable=_breakable,
        shown_width=_shown_width,
        sticky=_sticky,
        number=number,
        paragraph=_paragraph,
        css=_read_asset("page.css"),
        js=_read_asset("page.js"),
    )


def _read_asset(file: str) -> Markup:
    """Read a file of this folder that becomes part of the page as it is."""
    return Markup((_HERE / file).read_text("utf-8"))  # noqa: S704  # our own text


def _anchors(sections: Sequence[Section]) -> dict[str, list[str]]:
    """Return the addresses of each section's subsections, all different.

    Args:
        sections: the sections of the page.

    Returns:
        Anchor of the section to one address for each subsection.
    """
    taken = {section.anchor for section in sections}
    anchors: dict[str, list[str]] = {}
    for section in sections:
        anchors[section.anchor] = []
        for subsection in section.subsections:
            wanted = f"{section.anchor}-{_slug(subsection.title)}".strip("-")
            numbered = (f"{wanted}-{number}" for number in count(2))
            anchor = next(one for one in chain([wanted], numbered) if one not in taken)
            taken.add(anchor)
            anchors[section.anchor].append(anchor)
    return anchors


def _slug(text: str) -> str:
    """Return a heading as a part of an address."""
    signed = re.sub(r"(?<![a-z0-9])-(?=[0-9.])", "minus-", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", signed).strip("-")


def _shown_width(width: int) -> int:
    """Return the width of a figure on the page, enlarged to be read from afar.

    Texts of 8 points, 11 pixels, become those of 13 to 16 pixels.
    """
    row = ROW_PIXELS // 2 if width <= ROW_PIXELS // 2 else max(width, ROW_PIXELS)
    return min(round(1.5 * width), row)


def _sticky(table: Table) -> int | None:
    """Return the column that stays in view: the name of the row, if it is near."""
    for index, cell in enumerate(table.rows[0][:2] if table.rows else ()):
        if cell.label or cell.code:
            return index
    return None


def _breakable(spec: str) -> Markup:
    """Mark the places in a spec at which a line may break."""
    return Markup("<wbr>").join(re.split(r"(?=\[)|(?<=[,_])", spec))


def _paragraph(text: str) -> Markup:
    """Return a paragraph as HTML.

    Words between backticks are code, and an indented paragraph is preformatted.
    """
    if text.startswith("    "):
        return Markup("<pre>{}</pre>").format(dedent(text))
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # one backtick has no partner
        return Markup("<p>{}</p>").format(text)
    html = [
        Markup("<code>{}</code>").format(piece) if index % 2 else escape(piece)
        for index, piece in enumerate(pieces)
    ]
    return Markup("<p>{}</p>").format(Markup("").join(html))


def _printable_results(results: Results) -> Results:
    """Return results with control characters in all their text made visible."""
    footers = {key: _printable(footer) for key, footer in results.footers.items()}
    return results._replace(frame=make_printable(results.frame), footers=footers)


def _printable(value: Any) -> Any:
    """Return JSON values with control characters in their text made visible."""
    if isinstance(value, dict):
        return {printable(name): _printable(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_printable(entry) for entry in value]
    return printable(value) if isinstance(value, str) else value

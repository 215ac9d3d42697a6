"""Tables, wrapped lines, numbers and durations that several verbs print."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import click

from mmbench.core.printable import printable

GAP = "  "  # between two columns of a table
LEAST_WIDTH = 12  # that a column is narrowed to
NO_BREAK_SPACE = "\u00a0"


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
) -> None:
    """Print a table without lines; in a pipe, each row is one line.

    On a terminal that is too narrow, the widest column of text is wrapped. Where that
    is not enough, nothing is aligned and each row is wrapped as a whole.

    Args:
        columns: headings.
        rows: a text for each column.
        right: headings of the columns of numbers, which are aligned to the right.
    """
    table = [
        columns,
        *([printable(_on_one_line(text)) for text in row] for row in rows),
    ]
    widths = [max(map(_columns_of, column)) for column in zip(*table, strict=True)]
    width = shutil.get_terminal_size().columns
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    whole_rows = False
    if excess > 0 and sys.stdout.isatty():
        texts = [at for at, name in enumerate(columns) if name not in right]
        widest = max(texts, key=widths.__getitem__)
        widths[widest] -= excess
        whole_rows = widths[widest] < LEAST_WIDTH
    for row in table:
        if whole_rows:
            lines = _unaligned(row, width)
        else:
            lines = _aligned(row, widths, [name in right for name in columns])
        for line in lines:
            heading = row is columns and sys.stdout.isatty()
            click.echo(click.style(line, bold=True) if heading else line)


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ")


def _aligned(
    row: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]
) -> Iterator[str]:
    """Yield the lines of a row, in which a text that is too wide is wrapped."""
    wrapped = [
        [text] if _columns_of(text) <= width else _narrow(text, width)
        for text, width in zip(row, widths, strict=True)
    ]
    for texts in zip_longest(*wrapped, fillvalue=""):
        line = ""
        for text, width, right in zip(texts, widths, to_the_right, strict=True):
            space = " " * (width - _columns_of(text))
            line += (space + text if right else text + space) + GAP
        yield line.rstrip()


def _columns_of(text: str) -> int:
    """Return the columns that a text takes on a terminal; wide letters take two."""
    from rich.cells import cell_len  # `mmbench --help` need not import rich

    return cell_len(text)


def _narrow(text: str, width: int) -> list[str]:
    """Return a text in lines of at most this width, broken anywhere if it must be."""
    lines = list(wrap_line(text, width))
    if max(map(len, lines)) > width:
        lines = [text[at : at + width] for at in range(0, len(text), width)]
    return lines


def _unaligned(row: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines of a row as running text, in which short texts stay whole."""
    texts = [
        text.replace(" ", NO_BREAK_SPACE) if len(text) <= LEAST_WIDTH else text
        for text in row
        if text
    ]
    for line in wrap_line(GAP.join(texts), width, "", GAP):
        yield line.replace(NO_BREAK_SPACE, " ")


def wrap_line(line: str, width: int, first: str = "", rest: str = "") -> Iterator[str]:
    """Yield a line wrapped between words, and within specs after commas.

    Args:
        line: text of the line.
        width: most columns.
        first: indent of the first line.
        rest: indent of the others.
    """
    for filled in textwrap.wrap(
        line,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        # Only a spec can still be too long.
        *parts, last = filled.split(",") if len(filled) > width else [filled]
        wrapped = ""
        for part in (*(f"{part}," for part in parts), last):
            if wrapped and len(wrapped) + len(part) > width:
                yield wrapped
                wrapped = rest
            wrapped += part
        yield wrapped


def pluralize(number: int, word: str) -> str:
    """Return a number and its noun, as in "1 cell" and "2,000 cells"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def format_outcomes(outcomes: Mapping[Any, int]) -> str:
    """Return numbers of runs by status as text, as in "25 converged, 7 finished"."""
    return ", ".join(
        f"{count:,} {status}" for status, count in outcomes.items() if count
    )


def format_duration(value: float) -> str:
    """Return seconds as text, as in "1.5 s", "2 min 05 s" and "1 h 02 min"."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"

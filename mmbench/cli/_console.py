"""Tables, wrapped lines, numbers and durations that several verbs print."""

import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any
from unicodedata import east_asian_width

import click

from mmbench.core.printable import printable

GAP = "  "  # between two columns of a table
LEAST_WIDTH = 12  # that a column is narrowed to
NO_BREAK_SPACE = "\u00a0"
_WORDS = re.compile(r"( *)([^ ]+)")
# Parts of a word: a line may end after these characters.
_PARTS = re.compile(r"[^,\[(/|]*[,\[(/|]*")


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str] = (),
) -> None:
    """Print a table without lines; in a pipe, each row is one line.

    On a terminal that is too narrow, the widest columns of text are wrapped, between
    words and within specs after commas and brackets. Where that is not enough, nothing
    is aligned and each row is wrapped as a whole.

    Args:
        columns: headings.
        rows: a text for each column.
        right: headings of the columns of numbers, which are aligned to the right.
    """
    table = [
        columns,
        *([printable(_on_one_line(text)) for text in row] for row in rows),
    ]
    widths = [max(map(columns_of, column)) for column in zip(*table, strict=True)]
    width = shutil.get_terminal_size().columns
    whole_rows = False
    if sys.stdout.isatty():
        texts = [at for at, name in enumerate(columns) if name not in right]
        whole_rows = not _narrow(widths, texts, table, width)
    to_the_right = [name in right for name in columns]
    lines: list[str] = []
    for row in table:
        if whole_rows:
            wrapped = list(_unaligned(row, width))
        else:
            wrapped = list(_aligned(row, widths, to_the_right))
        if row is columns and sys.stdout.isatty():
            wrapped = [click.style(line, bold=True) for line in wrapped]
        lines += wrapped
    click.echo("\n".join(lines))


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ")


def _narrow(
    widths: list[int],
    texts: Sequence[int],
    table: Sequence[Sequence[str]],
    width: int,
) -> bool:
    """Narrow the widest columns of text, and return whether the table then fits.

    No column becomes narrower than its longest part, which would be broken.

    Args:
        widths: width of each column, which is changed.
        texts: indices of the columns of text.
        table: all rows.
        width: most columns of a line.
    """
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    least = {
        at: max(columns_of(part) for row in table for part in parts_of(row[at]) or [""])
        for at in texts
    }
    while excess > 0:
        wide = [at for at in texts if widths[at] > max(least[at], LEAST_WIDTH)]
        if not wide:
            return False
        widths[max(wide, key=widths.__getitem__)] -= 1
        excess -= 1
    return True


def _aligned(
    row: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]
) -> Iterator[str]:
    """Yield the lines of a row, in which a text that is too wide is wrapped."""
    if all(columns_of(text) <= width for text, width in zip(row, widths, strict=True)):
        yield _line(row, widths, to_the_right)
        return
    wrapped = [
        list(wrap_line(text, width)) or [""]
        for text, width in zip(row, widths, strict=True)
    ]
    for texts in zip_longest(*wrapped, fillvalue=""):
        yield _line(texts, widths, to_the_right)


def _line(
    texts: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool]
) -> str:
    """Return texts side by side, none of which is too wide."""
    padded = []
    for text, columns, right in zip(texts, widths, to_the_right, strict=True):
        letters = columns + len(text) - columns_of(text)
        padded.append(text.rjust(letters) if right else text.ljust(letters))
    return GAP.join(padded).rstrip()


def columns_of(text: str) -> int:
    """Return the columns that a text takes on a terminal; wide letters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (east_asian_width(one) in "WF")
        for one in text
    )


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
    """Yield a line wrapped between words, and specs and paths within words.

    Only a part of a word that is itself too long is broken anywhere.

    Args:
        line: text of the line.
        width: most columns.
        first: indent of the first line.
        rest: indent of the others.
    """
    done = first
    room, bare = max(width - columns_of(rest), 1), True
    for space, word in _WORDS.findall(line):
        whole = columns_of(word) <= room
        for number, part in enumerate([word] if whole else _fitting(word, room)):
            gap = "" if number or bare else space
            if columns_of(done + gap + part) <= width:
                done += gap + part
            else:
                if not bare or done.strip():
                    yield done
                done = rest + part
            bare = False
    yield done


def parts_of(text: str) -> list[str]:
    """Return the parts of a text between which a line may end."""
    return [part for word in text.split() for part in _PARTS.findall(word)]


def _fitting(word: str, room: int) -> Iterator[str]:
    """Yield the parts of a word; one that is too long is broken anywhere."""
    for part in filter(None, _PARTS.findall(word)):
        left = part
        while columns_of(left) > room:
            count = min(room, len(left))
            while count > 1 and columns_of(left[:count]) > room:
                count -= 1
            yield left[:count]
            left = left[count:]
        yield left


def _filled(word: str, room: int) -> Iterator[str]:
    """Yield the parts of a word, as many as fit at a time."""
    piece = ""
    for part in _fitting(word, max(room, 1)):
        if piece and columns_of(piece + part) > room:
            yield piece
            piece = ""
        piece += part
    yield piece


def command_lines(words: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines of a command that a shell reads as one.

    A line that goes on ends with a backslash. A word that is longer than a line is
    broken within as well, where a shell joins its parts.

    Args:
        words: the command and its arguments.
        width: most columns.
    """
    room, line = max(width - len(" \\"), 1), ""
    for word in words:
        quoted = shlex.quote(word)
        if not line or columns_of(f"{line} {quoted}") <= room:
            line = f"{line} {quoted}" if line else quoted
            continue
        yield f"{line} \\"
        pieces = [word] if columns_of(quoted) <= room else list(_filled(word, room - 4))
        for piece in pieces[:-1]:  # joined again by the shell, which sees no space
            yield f"{shlex.quote(piece)}\\"
        line = shlex.quote(pieces[-1])
    yield line


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

"""Terminal tables and words that several verbs print."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmbench.core.printable import printable

PIPE_WIDTH = 1000  # a pipe folds nothing, so that grep and cut see whole lines


class _Console(Console):
    """A console that shows control characters and does not obey them."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Text as rich has it."""
        return super().render_str(printable(text), **options)


def console() -> Console:
    """Standard output, in which brackets are brackets and not mark-up."""
    return _Console(
        markup=False,
        emoji=False,
        highlight=False,
        width=None if sys.stdout.isatty() else PIPE_WIDTH,
    )


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; the columns named in `right` hold numbers."""
    made = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    for name in columns:
        number = name in right
        made.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    return made


def show(screen: Console, rows: Table) -> None:
    """Print a table without the spaces that fill its last column."""
    with screen.capture() as captured:
        screen.print(rows)
    for line in captured.get().splitlines():
        screen.file.write(f"{line.rstrip()}\n")


def counted(number: int, word: str) -> str:
    """A number and its word, in the plural where it must be."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def listed(outcomes: Mapping[Any, int]) -> str:
    """Outcomes in words: 25 converged, 7 finished."""
    return ", ".join(
        f"{count:,} {status}" for status, count in outcomes.items() if count
    )


def seconds(value: float) -> str:
    """A duration as one reads it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"

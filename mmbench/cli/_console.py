"""Tables, numbers and durations that several verbs print."""

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmbench.core.printable import printable

PIPE_WIDTH = 1000  # columns; lines in a pipe are not folded, for grep and cut


class _Console(Console):
    """A console that makes control characters visible."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the printable text in rich's form."""
        return super().render_str(printable(text), **options)


def make_console() -> Console:
    """Return a console on stdout that reads no markup in brackets."""
    return _Console(
        markup=False,
        emoji=False,
        highlight=False,
        width=None if sys.stdout.isatty() else PIPE_WIDTH,
    )


def make_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return a table without lines; the columns in `right` are aligned to the right."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    for name in columns:
        number = name in right
        table.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table without the spaces that fill its last column."""
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


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

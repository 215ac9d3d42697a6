"""Section: a part of the page, made of prose, figures and tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup


@dataclass(frozen=True)
class TableCell:
    """One entry of a table.

    Args:
        text: what is shown.
        sort: what it is sorted by; None sorts by the text.
        label: whether it names an algorithm, shown with its swatch.
        shade: background strength from 0 to 1; None leaves it plain.
        code: whether it is set in a typewriter face.
        full: what the text is short for, shown where one points at it.
    """

    text: str
    sort: float | None = None
    label: bool = False
    shade: float | None = None
    code: bool = False
    full: str = ""


@dataclass(frozen=True)
class Table:
    """A sortable table.

    Args:
        caption: what it shows; may be empty where that is plain.
        columns: headings; one that starts with "#" is of numbers, set to the right.
        rows: one entry for each column.
        folded: whether it is shown only when its caption is opened.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[TableCell]]
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """One picture; those of a part stand side by side where there is room.

    Args:
        alt: what it shows, for who cannot see it.
        drawn: inline SVG; empty for a PNG.
        address: of an inlined PNG; empty for SVG.
        title: above it; one that is a label bears its swatch.
        label: whether the title is one.
        said: beside the title.
        width: in pixels on a wide screen.
        crisp: whether pixels stay square when it is enlarged.
    """

    alt: str
    drawn: Markup = Markup()
    address: str = ""
    title: str = ""
    label: bool = False
    said: str = ""
    width: int = 340
    crisp: bool = False


@dataclass(frozen=True)
class Subsection:
    """A part of a section.

    Args:
        title: empty for a part without heading.
        prose: paragraphs above its figures.
        legend: labels whose swatches are explained above the figures.
        chips: text and colour of what else is explained there.
        figures: side by side.
        notes: paragraphs below them.
        tables: after that.
        pre: text shown as it is, after the first paragraph.
        links: title to address, for a bibliography.
    """

    title: str = ""
    prose: Sequence[str] = ()
    legend: Sequence[str] = ()
    chips: Sequence[tuple[str, str]] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pre: str = ""
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page.

    Args:
        title: in the heading and the navigation.
        anchor: its address on the page.
        prose: paragraphs under the heading.
        aside: title and paragraphs of what is shown only when the title is opened.
        parts: what follows.
        files: name to table, written as CSV beside the page.
    """

    title: str
    anchor: str
    prose: Sequence[str] = ()
    aside: Sequence[str] = ()
    parts: Sequence[Subsection] = ()
    files: dict[str, pd.DataFrame] = field(default_factory=dict)


def is_count(column: dict[str, Any]) -> bool:
    """Whether a metric counts modes or digits, by whichever rule."""
    name = column["name"]
    # What is forgotten are events.
    return name.startswith(("modes", "digits")) and not name.endswith("_forgotten")


def percent(share: float) -> str:
    """A share as one reads it."""
    return "–" if np.isnan(share) else f"{100 * share:.0f} %"


def percents(low: float, high: float) -> str:
    """An interval of shares."""
    return "–" if np.isnan(low) else f"{100 * low:.0f} to {100 * high:.0f}"


def number(value: float) -> str:
    """A number in three digits."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace(",", "\u202f").replace("-", "−")
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}".replace(",", "\u202f").replace("-", "−")
    shown = f"{value:.3g}"
    mantissa, mark, exponent = shown.partition("e")
    raised = f"e{int(exponent)}" if mark else ""
    return (mantissa + raised).replace("-", "−")

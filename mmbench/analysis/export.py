"""Tables for other programs, with text that they show and do not obey.

What a store holds may be anyone's: its labels, reasons and names of columns reach
terminals, spreadsheets and pages.
"""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from mmbench.core.printable import printable

# A spreadsheet takes text for a formula if it begins like this, in any width; what is
# just a number is none.
_FORMULA = re.compile(r"[\s\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def escape_formula(text: str) -> str:
    """Return text that a spreadsheet shows; an apostrophe precedes a formula."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def to_csv(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV without control characters and formulas."""
    safe = map_text(frame, lambda text: escape_formula(printable(text)))
    return safe.to_csv(index=False, lineterminator="\n").encode()


def make_printable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with control characters in its text and names made visible."""
    return map_text(frame, printable)


def map_text(frame: pd.DataFrame, function: Callable[[str], str]) -> pd.DataFrame:
    """Return a table whose text and names of columns are changed by a function.

    Args:
        frame: the table. Of columns that get the same name, the first is kept.
        function: maps a text to its replacement.
    """
    columns: dict[str, pd.Series] = {}
    for name, values in frame.items():
        columns.setdefault(function(str(name)), _map_values(values, function))
    return pd.DataFrame(columns, index=frame.index)


def _map_values(values: pd.Series, function: Callable[[str], str]) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):  # truth values included
        return values
    changed: dict[Any, str] = {
        value: text
        for value in values.unique()
        if isinstance(value, str) and (text := function(value)) != value
    }
    return values.map(lambda value: changed.get(value, value)) if changed else values

"""Text that a terminal can show without obeying control characters."""

import re
from typing import Any

# Control characters but for "\t" and "\n", separators of lines and paragraphs, marks of
# the writing direction, and lone surrogates, which no file can hold.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_SHOWN_CHARACTERS = 200  # of a value, in a message
# By these a spreadsheet recognises a formula, also in the width of Chinese letters.
FORMULA_STARTS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def is_printable(text: str) -> bool:
    r"""Return whether a text is one line without control characters and tabs.

    Emoji and every script are printable.
    """
    return not _CONTROL.search(text) and "\n" not in text and "\t" not in text


def printable(text: str) -> str:
    r"""Return a text with control characters escaped (`\x1b`); line breaks stay."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def shorten(value: Any) -> str:
    """Return the `repr` of a value on one line, cut where it is long."""
    try:
        shown = " ".join(repr(value).split())
    except ValueError:  # of a whole number of more digits than Python prints
        return "an int of too many digits"
    if len(shown) <= _SHOWN_CHARACTERS:
        return shown
    return f"{shown[: _SHOWN_CHARACTERS - 3]}..."


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table or paragraph."""
    # What would end the cell, or begin HTML, code or a link.
    return re.sub(r"[\\|<>&`]|(?<=\])\(", r"\\\g<0>", " ".join(text.split()))


def markdown_code(text: str) -> str:
    """Return text as code in a cell of a table in Markdown."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    # A vertical bar would end the cell of a table within code too.
    inner = " ".join(text.split()).replace("|", r"\|")
    return f"{fence}{space}{inner}{space}{fence}"

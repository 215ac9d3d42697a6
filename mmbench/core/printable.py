"""Text that a terminal can show without obeying control characters."""

import re

# Control characters but for "\t" and "\n", separators of lines and paragraphs, marks of
# the writing direction, and lone surrogates, which no file can hold.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def is_printable(text: str) -> bool:
    r"""Return whether a text is one line without control characters and tabs.

    Emoji and every script are printable.
    """
    return not _CONTROL.search(text) and "\n" not in text and "\t" not in text


def printable(text: str) -> str:
    r"""Return a text with control characters escaped (`\x1b`); line breaks stay."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)

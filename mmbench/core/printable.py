"""Printable: text that a terminal shows and never obeys."""

import re

# Control characters, separators of lines and of paragraphs, what turns the direction of
# writing, and halves of characters, which no file can hold; not "\t" and "\n".
_COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def is_printable(text: str) -> bool:
    r"""Whether text is one line without control characters, "\t" among them.

    Emoji and every script are printable.
    """
    return not _COMMANDS.search(text) and "\n" not in text and "\t" not in text


def printable(text: str) -> str:
    r"""The text with its control characters written out (`\x1b`); lines stay lines."""
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)

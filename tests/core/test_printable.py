"""Control characters, written out."""

from hostile_text import LABELS

from mmbench.core.description import text
from mmbench.core.printable import is_printable, printable


def test_printable() -> None:
    """Control characters are written out; text, emoji and lines stay."""
    assert printable("a\nb\tc ∇é😀👨‍👩‍👧 עברית") == "a\nb\tc ∇é😀👨‍👩‍👧 עברית"
    assert printable("\x1b[1m\r\x7f\x9b") == "\\x1b[1m\\r\\x7f\\x9b"
    assert printable("\u202e\u2028\ud800") == "\\u202e\\u2028\\ud800"
    assert is_printable("∇é😀 עברית")
    assert not any(
        is_printable(character) for character in ("\n", "\t", "\r", "\0", "\x85")
    )
    assert all(is_printable(text(label)) for label in LABELS)

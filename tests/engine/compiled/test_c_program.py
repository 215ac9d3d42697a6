"""The text of generated C programs, as `docs/compiled.md` shows it."""

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "compiled.md"


def code_of(language: str) -> str:
    """Return the code block of the page in a language."""
    (block,) = re.findall(f"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    return block


def test_the_page_shows_what_the_generator_writes() -> None:
    """The example's code prints the example's text, but for the lines left out.

    Where another version of torch traces other operations, paste the new text.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code_of("python"), {})
    expected = printed.getvalue().splitlines()
    shown: list[str] = []
    for line in code_of("c").splitlines():
        left_out = re.fullmatch(r"/\* (\d+) lines: .* \*/", line)
        if left_out:
            shown += expected[len(shown) : len(shown) + int(left_out[1])]
        else:
            shown.append(line)
    assert shown == expected[: len(shown)]
    assert not "".join(expected[len(shown) :]).strip()

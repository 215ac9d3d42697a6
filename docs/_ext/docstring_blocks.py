"""Indented blocks of docstrings as literal text: update rules keep their lines."""

import re
from typing import Any

from sphinx.application import Sphinx

_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields|Examples?):$")


def keep_lines(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Put `::` before each indented block that is not part of a section."""
    kept: list[str] = []
    section = block = False
    for line in lines:
        if _SECTION.match(line):
            section = True
        elif line and not line.startswith(" "):
            section = block = False
        elif line and not section and not block and kept and not kept[-1]:
            kept += ["::", ""]
            block = True
        kept.append(line)
    lines[:] = kept


def setup(app: Sphinx) -> dict[str, bool]:
    """Add this extension; it reads docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", keep_lines, priority=100)
    return {"parallel_read_safe": True}

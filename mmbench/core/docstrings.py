"""Parsed docstrings of descriptions, which `show` and the methods page print."""

import inspect
import re
from typing import NamedTuple

_HEADED = re.compile(
    r"^(Args|State|Cost|Source|Solutions|Attributes|Differs from the source):\s*(.*)$"
)
_ARGUMENT = re.compile(r"^(\s+)\*{0,2}(\w+)(?: \(.*?\))?:(?:\s+(.*))?$")


class Doc(NamedTuple):
    """A parsed docstring.

    Args:
        summary: its first line.
        rule: the indented block that follows: the update rule or the payoff.
        text: the paragraphs before the first section.
        sections: heading to text of each section but "Args".
        arguments: field to text, from the section "Args"; for inherited fields that
            it does not have, from those of the base classes.
    """

    summary: str
    rule: str
    text: str
    sections: dict[str, str]
    arguments: dict[str, str]


def doc_of(cls: type) -> Doc:
    """Parse the docstring of a description's class; a class without one has none."""
    doc = _parse(cls)
    fields = getattr(cls, "__dataclass_fields__", {})
    inherited = {
        name: text
        for base in reversed(cls.__mro__[1:])
        for name, text in _parse(base).arguments.items()
        if name in fields and name not in doc.arguments
    }
    return doc._replace(arguments=doc.arguments | inherited)


def _parse(cls: type) -> Doc:
    """Parse the docstring that a class has itself."""
    # Not inspect.getdoc, which would fall back on the base class.
    lines = inspect.cleandoc(vars(cls).get("__doc__") or "").splitlines()
    summary = lines[0] if lines else ""
    rule: list[str] = []
    body: list[str] = []
    sections: dict[str, list[str]] = {}
    heading = ""
    for line in lines[1:]:
        if found := _HEADED.match(line):
            heading = found[1]
            sections[heading] = [found[2]] if found[2] else []
        elif heading == "Args" and line.strip() and not line.startswith(" "):
            heading = ""  # a paragraph, or a section that is not known here
            body.append(line)
        elif heading:
            sections[heading].append(line)
        elif line.startswith("    ") and not any(map(str.strip, body)):
            rule.append(line[4:])
        else:
            body.append(line)
    arguments = _arguments(sections.pop("Args", []))
    return Doc(
        summary=summary,
        rule="\n".join(rule).strip("\n"),
        text="\n".join(body).strip(),
        sections={name: _join(text) for name, text in sections.items()},
        arguments=arguments,
    )


def _join(lines: list[str]) -> str:
    """Join the lines of a wrapped text."""
    return " ".join(line.strip() for line in lines if line.strip())


def _arguments(lines: list[str]) -> dict[str, str]:
    """Map each argument of a section "Args" to its text."""
    arguments: dict[str, list[str]] = {}
    name = indent = ""
    for line in lines:
        found = _ARGUMENT.match(line)
        if found and found[1] == (indent or found[1]):
            indent, name = found[1], found[2]
            arguments[name] = [found[3] or ""]
        elif name:
            arguments[name].append(line)
    return {name: _join(text) for name, text in arguments.items()}

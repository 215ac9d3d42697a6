"""Docstrings of descriptions, taken apart: what `show` and the methods page print."""

import inspect
import re
from typing import NamedTuple

_HEADED = re.compile(
    r"^(Args|State|Cost|Source|Solutions|Attributes|Differs from the source):\s*(.*)$"
)


class Doc(NamedTuple):
    """Parts of a docstring.

    Args:
        summary: its first line.
        rule: the first indented block: the update rule or the payoff.
        text: the paragraphs between.
        sections: heading to text; "Args" is taken apart in `arguments`.
        arguments: field to what is said of it.
    """

    summary: str
    rule: str
    text: str
    sections: dict[str, str]
    arguments: dict[str, str]


def doc_of(cls: type) -> Doc:
    """The docstring of a description's class, taken apart."""
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
        elif heading:
            sections[heading].append(line)
        elif line.startswith("    ") and not _any(body):
            rule.append(line[4:])
        else:
            body.append(line)
    arguments = _arguments(sections.pop("Args", []))
    return Doc(
        summary=summary,
        rule="\n".join(rule).strip("\n"),
        text="\n".join(body).strip(),
        sections={name: _flowed(part) for name, part in sections.items()},
        arguments=arguments,
    )


def _any(lines: list[str]) -> bool:
    return any(line.strip() for line in lines)


def _flowed(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _arguments(lines: list[str]) -> dict[str, str]:
    arguments: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if found := re.match(r"^    (\w+): (.*)$", line):
            name = found[1]
            arguments[name] = [found[2]]
        elif name:
            arguments[name].append(line)
    return {name: _flowed(part) for name, part in arguments.items()}

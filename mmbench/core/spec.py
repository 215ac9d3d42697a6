"""Specs: how a description is written on the command line and in a suite.toml.

Examples are `gda`, `cgd[step_size=0.2]`, `package.module:Class[k=3]`,
`path/to/file.py:Class[k=3]` and `gda[direction=adam[beta1=0.5],step_size=(0.09,0.01)]`.
"""

from dataclasses import dataclass
from typing import Any

from mmbench.core.errors import DescriptionError

MAX_DEPTH = 20  # of nested brackets; specs in use have three


@dataclass(frozen=True)
class Reference:
    """A parsed spec `name[field=value,...]`.

    Args:
        name: what stands before the brackets.
        values: field to number, truth value, None, `Reference`, or tuple of these.
    """

    name: str
    values: dict[str, Any]


def parse(spec: str) -> Reference:
    """Parse the spec of a description.

    Raises:
        DescriptionError: when brackets do not match or a field has no value.
    """
    parser = _Parser(spec)
    reference = parser.reference()
    if parser.rest:
        raise parser.error(f"unexpected {parser.rest!r}")
    return reference


class _Parser:
    """A recursive-descent parser of specs."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.rest = spec.strip()
        self.depth = 0

    def error(self, what: str) -> DescriptionError:
        """Return the error that names the spec and what is wrong with it."""
        return DescriptionError(
            f"{self.spec!r} must read like name[field=value,field=(1,2)]; {what}."
        )

    def word(self, stops: str) -> str:
        """Consume the text up to the next of these characters."""
        end = next((i for i, c in enumerate(self.rest) if c in stops), len(self.rest))
        word, self.rest = self.rest[:end].strip(), self.rest[end:]
        return word

    def take(self, mark: str) -> bool:
        """Consume a character if it comes next, and return whether it did."""
        if not self.rest.startswith(mark):
            return False
        self.rest = self.rest[1:].lstrip()
        self.depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(mark, 0)
        if self.depth > MAX_DEPTH:
            raise self.error(f"brackets are nested more than {MAX_DEPTH} deep")
        return True

    def reference(self) -> Reference:
        """Parse `name` or `name[field=value,...]`."""
        name = self.word("[],()=")
        if not name:
            raise self.error("a name is missing")
        values: dict[str, Any] = {}
        if not self.take("["):
            return Reference(name, values)
        while not self.take("]"):
            key = self.word("[],()=")
            if not key or not self.take("="):
                raise self.error(f"{key or 'a field'!r} has no value")
            if key in values:
                raise self.error(f"{key!r} is given twice")
            values[key] = self.value()
            self.rest = self.rest.lstrip()
            if not self.take(",") and not self.rest.startswith("]"):
                raise self.error("a ']' is missing")
        self.rest = self.rest.lstrip()
        return Reference(name, values)

    def value(self) -> Any:
        """Parse the value of a field."""
        if self.take("("):
            items = []
            while not self.take(")"):
                items.append(self.value())
                self.rest = self.rest.lstrip()
                if not self.take(",") and not self.rest.startswith(")"):
                    raise self.error("a ')' is missing")
            return tuple(items)
        reference = self.reference()
        return reference if reference.values else _plain(reference)


def _plain(reference: Reference) -> Any:
    """Convert a bare word to a number, a truth value or None, where it is one."""
    constants = {"true": True, "false": False, "none": None}
    if reference.name.lower() in constants:
        return constants[reference.name.lower()]
    if reference.name.isascii() and "_" not in reference.name:
        for number in (int, float):
            try:
                return number(reference.name)
            except ValueError:
                continue
    return reference

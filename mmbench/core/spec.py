"""Words: how a description is named on the command line and in a suite.toml.

`gda`, `cgd[step_size=0.2]`, `gda[direction=adam[beta1=0.5],step_size=(0.09,0.01)]`,
`package.module:Class[k=3]`, `path/to/file.py:Class[k=3]`.
"""

from dataclasses import dataclass
from typing import Any

from mmbench.core.errors import DescriptionError

DEEPEST = 20  # brackets within brackets; real words have three


@dataclass(frozen=True)
class Reference:
    """A parsed `name[field=value,...]`; a value is a plain one or a `Reference`."""

    name: str
    values: dict[str, Any]


def parse(written: str) -> Reference:
    """Parse the words of a description.

    Raises:
        DescriptionError: when brackets do not match or a field has no value.
    """
    reader = _Reader(written)
    reference = reader.reference()
    if reader.rest:
        raise reader.fault(f"unexpected {reader.rest!r}")
    return reference


class _Reader:
    """A recursive-descent reader of the bracket grammar."""

    def __init__(self, written: str) -> None:
        self.written = written
        self.rest = written.strip()
        self.depth = 0

    def fault(self, what: str) -> DescriptionError:
        return DescriptionError(
            f"{self.written!r} must read like name[field=value,field=(1,2)]; {what}."
        )

    def word(self, stops: str) -> str:
        end = next((i for i, c in enumerate(self.rest) if c in stops), len(self.rest))
        word, self.rest = self.rest[:end].strip(), self.rest[end:]
        return word

    def take(self, mark: str) -> bool:
        if not self.rest.startswith(mark):
            return False
        self.rest = self.rest[1:].lstrip()
        self.depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(mark, 0)
        if self.depth > DEEPEST:
            raise self.fault(f"brackets stand more than {DEEPEST} deep")
        return True

    def reference(self) -> Reference:
        name = self.word("[],()=")
        if not name:
            raise self.fault("a name is missing")
        values: dict[str, Any] = {}
        if not self.take("["):
            return Reference(name, values)
        while not self.take("]"):
            key = self.word("[],()=")
            if not key or not self.take("="):
                raise self.fault(f"{key or 'a field'!r} has no value")
            if key in values:
                raise self.fault(f"{key!r} is given twice")
            values[key] = self.value()
            self.rest = self.rest.lstrip()
            if not self.take(",") and not self.rest.startswith("]"):
                raise self.fault("a ']' is missing")
        self.rest = self.rest.lstrip()
        return Reference(name, values)

    def value(self) -> Any:
        if self.take("("):
            parts = []
            while not self.take(")"):
                parts.append(self.value())
                self.rest = self.rest.lstrip()
                if not self.take(",") and not self.rest.startswith(")"):
                    raise self.fault("a ')' is missing")
            return tuple(parts)
        reference = self.reference()
        return reference if reference.values else _plain(reference)


def _plain(reference: Reference) -> Any:
    """A bare word as a number or truth value, where it is one."""
    words = {"true": True, "false": False, "none": None}
    if reference.name.lower() in words:
        return words[reference.name.lower()]
    written_plainly = reference.name.isascii() and "_" not in reference.name
    for number in (int, float) if written_plainly else ():
        try:
            return number(reference.name)
        except ValueError:
            continue
    return reference

"""Specs: how a description is written on the command line and in a suite.toml.

Examples are `gda`, `cgd[step_size=0.2]`, `package.module:Class[k=3]`,
`path/to/file.py:Class[k=3]` and `gda[direction=adam[beta1=0.5],step_size=(0.09,0.01)]`.

The path of a file may hold spaces and pairs of brackets, and where it begins a spec
also commas and equals signs, as in `runs [v2], k=1/file.py:Class[k=3]`. Any other text
may stand in double quotes, in which `""` is one quote: `Class[name="a, b"]`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmbench.core.errors import DescriptionError

INSTANCE = "instance"  # the field of a task that counts the games of a family
MAX_DEPTH = 20  # of nested brackets; specs in use have three


_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_FILE = re.compile(r"\.py(?=:)")
_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True)
class Reference:
    """A parsed spec `name[field=value,...]`.

    Args:
        name: what stands before the brackets.
        values: field to value: `Word`, text that was in quotes, `Reference` or a tuple
            of these.
    """

    name: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Word:
    """A bare word that is the value of a field, whose annotation says what it means.

    Args:
        text: the word.
    """

    text: str

    @property
    def constant(self) -> Any:
        """The number, truth value or None that the word reads as; else its text."""
        constants = {"true": True, "false": False, "none": None}
        if self.text.lower() in constants:
            return constants[self.text.lower()]
        if self.text.isascii() and "_" not in self.text:
            for number in (int, float):
                try:
                    return number(self.text)
                except ValueError:
                    continue
        return self.text


def parse(spec: str) -> Reference:
    """Parse the spec of a description.

    Raises:
        DescriptionError: when brackets do not match or a field has no value.
    """
    return _Parser(spec).parse()


def name_of_family(task: str) -> str:
    """Return the spec of a task without its instance: what all instances share."""
    bare = re.sub(rf"(?<=[\[,]){INSTANCE}=\d+(,|(?=\]))", "", task)
    return bare.replace(",]", "]").replace("[]", "")


def quote(text: str) -> str:
    """Return text as a spec has it: in quotes where it would be misread without."""
    if text and text == text.strip() and not set(text) & set('[](),="'):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def quoted_length(text: str) -> int:
    """Return the length of the quoted text that a text begins with; 0 for none."""
    found = _QUOTED.match(text)
    return found.end() if found else 0


def replace_files(spec: str, replace: Callable[[str], str]) -> str:
    """Return a spec with other paths of files in it, quoted where necessary.

    Args:
        spec: a spec; one that cannot be parsed is returned as it is.
        replace: returns the path that takes the place of a path.
    """
    parser = _Parser(spec)
    try:
        parser.parse()
    except DescriptionError:
        return spec
    for start, end, path in reversed(parser.files):
        spec = spec[:start] + quote(replace(path)) + spec[end:]
    return spec


class _Parser:
    """A recursive-descent parser of specs.

    Attributes:
        files: start and end in the spec of each path of a file, and the path.
    """

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.rest = spec.lstrip()
        self.depth = 0
        self.files: list[tuple[int, int, str]] = []

    def parse(self) -> Reference:
        """Parse the whole spec."""
        reference = self.reference()
        if self.rest:
            raise self.error(f"unexpected {self.rest!r}{self.hint(reference.name)}")
        return reference

    def hint(self, name: str) -> str:
        """Return what to write instead of what follows a name, where that is clear."""
        if self.rest.startswith("("):
            return "; parameters stand in square brackets"
        if self.rest.startswith(","):
            return "; give each spec by itself, with an option of its own"
        if self.rest.startswith("="):
            return f"; parameters stand in square brackets, {name}[field=value]"
        return ""

    def error(self, what: str) -> DescriptionError:
        """Return the error that names the spec and what is wrong with it."""
        return DescriptionError(
            f"{self.spec!r} must read like name[field=value,field=(1,2)]; {what}."
        )

    def word(self) -> str:
        """Consume the text up to the next character that has a meaning."""
        end = next((i for i, c in enumerate(self.rest) if c in "[],()="), None)
        return self.consume(len(self.rest) if end is None else end).strip()

    def consume(self, count: int) -> str:
        """Consume this many characters."""
        text, self.rest = self.rest[:count], self.rest[count:]
        return text

    def take(self, mark: str) -> bool:
        """Consume a character if it comes next, and return whether it did."""
        if not self.rest.startswith(mark):
            return False
        self.rest = self.rest[1:].lstrip()
        self.depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(mark, 0)
        if self.depth > MAX_DEPTH:
            raise self.error(f"brackets are nested more than {MAX_DEPTH} deep")
        return True

    def name(self) -> tuple[str, bool]:
        """Parse a name, and return whether all of it was in quotes."""
        start, quoted = len(self.spec) - len(self.rest), _QUOTED.match(self.rest)
        if quoted:
            self.consume(quoted.end())
            path, after = quoted[1].replace('""', '"'), self.word()
            is_file = path.endswith(".py") and after.startswith(":")
        else:
            path, after = self.consume(_end_of_path(self.rest, self.depth)), self.word()
            is_file = bool(path)
        if is_file:
            end = start + (quoted.end() if quoted else len(path))
            self.files.append((start, end, path))
        return path + after, bool(quoted) and not after

    def reference(self) -> Reference:
        """Parse `name` or `name[field=value,...]`."""
        name, _ = self.name()
        if not name:
            raise self.error("a name is missing")
        return Reference(name, self.fields(name))

    def fields(self, name: str) -> dict[str, Any]:
        """Parse `[field=value,...]`, or nothing."""
        values: dict[str, Any] = {}
        if not self.take("["):
            return values
        while not self.take("]"):
            key = self.word()
            if not key:
                raise self.error("the name of a field is missing")
            if not self.take("="):
                known = f"; write {name}[name={key}] with the name of a parameter"
                raise self.error(f"{key!r} has no value{known}")
            if key in values:
                raise self.error(f"{key!r} is given twice")
            values[key] = self.value()
            self.rest = self.rest.lstrip()
            if not self.take(",") and not self.rest.startswith("]"):
                raise self.error("a ']' is missing")
        self.rest = self.rest.lstrip()
        return values

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
        name, is_quoted = self.name()
        if is_quoted:
            return name
        if not name:
            raise self.error("a value is missing")
        if self.rest.startswith("["):
            return Reference(name, self.fields(name))
        return Word(name)


def _end_of_path(text: str, depth: int) -> int:
    """Return where the path of a Python file at the beginning of a text ends, or 0.

    A path is followed by a colon, and its brackets are in pairs. Within brackets a path
    ends at commas and equals signs as well.
    """
    for found in _FILE.finditer(text):
        if _is_path(text[: found.end()], within=depth > 0):
            return found.end()
    return 0


def _is_path(text: str, *, within: bool) -> bool:
    waiting: list[str] = []
    for character in text:
        if character in _CLOSING:
            waiting.append(_CLOSING[character])
        elif character in "])":
            if not waiting or waiting.pop() != character:
                return False
        elif within and not waiting and character in ",=":
            return False
    return not waiting

"""Descriptions: frozen dataclasses of plain values, checked when made, with a digest.

What one chooses (an algorithm, a task, a metric, a suite, a cell) is a description. It
travels between processes and is stored; tensors never are part of it.
"""

import dataclasses
import hashlib
import json
import sys
import types
import typing
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from mmbench.core.domains import Domain
from mmbench.core.errors import DescriptionError
from mmbench.core.printable import is_printable
from mmbench.core.source_files import source_digest

# A class is part of the keys of stored cells by the name under which it was
# first stored. One that moves keeps that name: never remove or change a line.
FIRST_NAMES = {"mmbench.engine.cell:Cell": "mmbench.plan:Cell"}


@dataclass(frozen=True, kw_only=True)
class Description:
    """Base of every description: its fields are checked and made canonical.

    Integers given for float fields become floats and lists become tuples, so that
    equal descriptions have equal digests.

    Raises:
        DescriptionError: when a field does not fit its annotation; the sentence names
            the field, what it must be and what was given.
    """

    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name, annotation in field_types(type(self)).items():
            value = getattr(self, name)
            fitted, fits = _fit(value, annotation)
            if not fits:
                raise DescriptionError(
                    f"{type(self).__name__}.{name} must be {spoken(annotation)}; "
                    f"got {value!r}."
                )
            object.__setattr__(self, name, fitted)
        self.check()

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""

    def __str__(self) -> str:
        return text(self)


@cache
def field_types(cls: type) -> dict[str, Any]:
    """Annotation of each field of a description class, domains included."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def spoken(annotation: Any) -> str:
    """An annotation in words, for messages and for `mmbench show`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        base, *domains = arguments
        return " ".join([spoken(base), *(str(domain) for domain in domains)])
    if origin is Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(spoken(one) for one in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"a sequence, each {spoken(arguments[0])}"
        return f"a pair, each {spoken(arguments[0])}"
    words = {
        int: "a whole number",
        float: "a number",
        str: "printable text",
        bool: "true or false",
        type(None): "none",
    }
    return words.get(annotation) or f"a {annotation.__name__}"


def _fit(value: Any, annotation: Any) -> tuple[Any, bool]:
    """The value as the annotation stores it, and whether it fits."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        fitted, fits = _fit(value, arguments[0])
        domains = [one for one in arguments[1:] if isinstance(one, Domain)]
        return fitted, fits and all(fitted in domain for domain in domains)
    if origin is Literal:
        return value, any(
            value == one and type(value) is type(one) for one in arguments
        )
    if origin in (types.UnionType, typing.Union):
        fitted = (_fit(value, one) for one in arguments)
        return next((pair for pair in fitted if pair[1]), (value, False))
    if origin is tuple:
        return _fit_tuple(value, arguments)
    if annotation is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:
            return value, False
        return float(value) + 0.0, True  # -0.0 equals 0.0, so it must read the same
    if annotation is int:
        return value, isinstance(value, int) and not isinstance(value, bool)
    if annotation is str:  # it goes to terminals, pages and files
        return value, isinstance(value, str) and is_printable(value)
    return value, isinstance(value, annotation)


def _fit_tuple(value: Any, arguments: tuple) -> tuple[Any, bool]:
    if not isinstance(value, list | tuple):
        return value, False
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        return value, False
    pairs = [_fit(one, of) for one, of in zip(value, arguments, strict=True)]
    return tuple(one for one, _ in pairs), all(fits for _, fits in pairs)


def canonical(value: Any, *, whole: bool = False) -> Any:
    """A description (or a part of one) as JSON values, with class and version.

    Args:
        value: the description.
        whole: whether fields that are no part of the identity are told too, so that
            `rebuilt` can give the same description back.
    """
    if isinstance(value, Description):
        fields = {
            field.name: canonical(getattr(value, field.name), whole=whole)
            for field in dataclasses.fields(value)
            if whole or _identifies(field, getattr(value, field.name))
        }
        return {"class": reference_of(type(value)), "version": value.version} | fields
    if isinstance(value, tuple):
        return [canonical(one, whole=whole) for one in value]
    return value


def _identifies(field: dataclasses.Field, value: Any) -> bool:
    """Whether a field is part of the identity: True, False or "unless default".

    The last is for fields added later, so that what was stored before keeps its key.
    """
    identity = field.metadata.get("identity", True)
    return value != field.default if identity == "unless default" else identity


def digest(value: Any) -> str:
    """Address of a description: 24 hexadecimal digits of the SHA-256 of its JSON."""
    document = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode()).hexdigest()[:24]


def reference_of(cls: type) -> str:
    """Class path of a description, with a digest of the source if it is an outsider's.

    The digest is that of the modules of the class and of its bases outside mmbench, and
    of what they import from beside them, so that edited code is never answered from old
    results.
    """
    outsiders = [one for one in cls.__mro__ if _is_external(one)]
    if not outsiders:
        name = f"{cls.__module__}:{cls.__qualname__}"
        return FIRST_NAMES.get(name, name)
    digests = "".join(_source_digest(one) for one in outsiders)
    source = hashlib.sha256(digests.encode()).hexdigest()[:16]
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
    return f"{Path(file).name}:{cls.__qualname__}@{source}"


def _is_external(cls: type) -> bool:
    """Whether a class is neither mmbench's nor of the standard library."""
    package = cls.__module__.partition(".")[0]
    return package != "mmbench" and package not in sys.stdlib_module_names


@cache
def _source_digest(cls: type) -> str:
    """Digest of the source of a class's module; where there is none, a random one."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    try:
        return source_digest(Path(str(file)))
    except OSError:  # typed into an interpreter: its results are never used again
        return uuid.uuid4().hex


def text(value: Any) -> str:
    """A description as one writes it: `gda[step_size=0.2]`, defaults left out."""
    if isinstance(value, Description):
        shown = [
            f"{field.name}={text(getattr(value, field.name))}"
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != field.default
        ]
        return name_of(type(value)) + (f"[{','.join(shown)}]" if shown else "")
    if isinstance(value, tuple):
        return f"({','.join(text(one) for one in value)})"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def name_of(cls: type) -> str:
    """Short name of a description's class.

    The file's name for a family member of mmbench (its registry key), the class's name
    in lower case for several that share a file, an outsider's class name as it is.
    """
    package, _, file = cls.__module__.rpartition(".")
    if not package.startswith("mmbench."):
        return cls.__name__
    return cls.__name__.lower() if file.startswith("_") else file

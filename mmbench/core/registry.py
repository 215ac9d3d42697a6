"""Registries: one explicit dict per family, names to classes resolved on first access.

Also the words by which a description is named on the command line and in a suite.toml:
`gda`, `cgd[step_size=0.2]`, `gda[direction=adam[beta1=0.5],step_size=(0.09,0.01)]`,
`package.module:Class[k=3]`, `path/to/file.py:Class[k=3]`.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from mmbench.core.description import Description, field_types
from mmbench.core.errors import DescriptionError, UnknownNameError, unknown_name


@dataclass(frozen=True)
class Registry(Mapping[str, Any]):
    """One family: its word, its base class, and its members by name.

    A member is named `package.module:Class` and imported when it is asked for, so that
    listing names loads nothing.

    Args:
        kind: the word for a member, such as "algorithm".
        base: reference of the family's abstract class.
        members: registry name to reference, in the order reports show them.
        nested: families whose members may stand in the fields of this one.
    """

    kind: str
    base: str
    members: Mapping[str, str]
    nested: tuple["Registry", ...] = ()

    def __getitem__(self, name: str) -> Any:
        if name not in self.members:
            raise KeyError(name)
        module, _, attribute = self.members[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def summary(self, name: str) -> str:
        """First line of a member's docstring, read from its source, not imported."""
        module, _, attribute = self.members[name].partition(":")
        spec = importlib.util.find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""

    def resolve(self, name: str) -> type:
        """The class of that name, or of that outside reference.

        Raises:
            UnknownNameError: when there is no such name; it suggests the nearest.
            DescriptionError: when an outside class cannot be loaded.
        """
        if name in self.members:
            return self[name]
        if ":" not in name:
            raise unknown_name(self.kind, name, self.members)
        return self._admit(load_outside(name), name)

    def build(self, described: "str | Mapping[str, Any] | Reference") -> Any:
        """A description from its words.

        Args:
            described: `name[field=value,...]`, or a parsed `Reference`.

        Raises:
            DescriptionError: one sentence that names what is wrong.
        """
        if isinstance(described, str):
            described = parse(described)
        cls = self.resolve(described.name)
        types = field_types(cls)
        values = {}
        for key, value in described.values.items():
            if key not in types:
                raise unknown_name(f"parameter of {described.name}", key, types)
            values[key] = self._value(value, types[key])
        missing = [
            field.name
            for field in fields(cls)
            if field.default is MISSING
            and field.default_factory is MISSING
            and field.name not in values
        ]
        if missing:
            raise DescriptionError(
                f"{described.name} must be given {', '.join(missing)}; got "
                f"{', '.join(values) or 'nothing'}."
            )
        return cls(**values)

    def described(self, given: str | Description) -> Any:
        """A member from its words, or the member itself.

        Raises:
            DescriptionError: one sentence that names what is wrong.
        """
        if isinstance(given, str):
            return self.build(given)
        if not isinstance(given, self.base_class):
            raise DescriptionError(f"{given} must be a {self.kind}; it is not.")
        return given

    def family_of(self, cls: type) -> "Registry | None":
        """This registry or the nested one whose members are of that class."""
        for family in (self, *self.nested):
            if issubclass(cls, family.base_class):
                return family
        return None

    @property
    def base_class(self) -> type:
        """The family's abstract class."""
        module, _, attribute = self.base.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def _value(self, value: Any, annotation: Any) -> Any:
        """A parsed value; a name becomes a member where a member is expected."""
        if isinstance(value, tuple):
            return tuple(self._value(one, annotation) for one in value)
        if not isinstance(value, Reference):
            return value
        for cls in _classes_in(annotation):
            if family := self.family_of(cls):
                return family.build(value)
        if value.values:
            raise DescriptionError(f"{value.name}[...] stands where none is expected.")
        return value.name

    def _admit(self, cls: Any, name: str) -> type:
        base = self.base_class
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise DescriptionError(
                f"{name} must be a subclass of mmbench's {base.__name__}; got {cls!r}."
            )
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise DescriptionError(f"{name} must define {', '.join(missing)}.")
        if not getattr(cls, "__dataclass_params__", None) or (
            "__dataclass_params__" not in vars(cls)
            and any(key in vars(cls) for key in getattr(cls, "__annotations__", {}))
        ):
            raise DescriptionError(
                f"{name} must be decorated with @dataclass(frozen=True, kw_only=True)."
            )
        return cls


def _classes_in(annotation: Any) -> Iterator[type]:
    """Description classes that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Description):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _classes_in(argument)


# ---- words ----


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

    def fault(self, what: str) -> DescriptionError:
        return DescriptionError(
            f"{self.written!r} must read like name[field=value,field=(1,2)]; {what}."
        )

    def word(self, stops: str) -> str:
        end = next((i for i, c in enumerate(self.rest) if c in stops), len(self.rest))
        word, self.rest = self.rest[:end].strip(), self.rest[end:]
        return word

    def take(self, mark: str) -> bool:
        if self.rest.startswith(mark):
            self.rest = self.rest[1:].lstrip()
            return True
        return False

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
    for number in (int, float):
        try:
            return number(reference.name)
        except ValueError:
            continue
    return reference


# ---- classes from outside ----


def load_outside(name: str) -> Any:
    """A class named `package.module:Class` or `path/to/file.py:Class`.

    Sets `outside` (the reference without its folder) and `source_digest` (of its
    module's source) on the class, which become part of the key of its cells.

    Raises:
        UnknownNameError: when there is no such file, module or class.
        DescriptionError: when its module raises.
    """
    location, _, attribute = name.rpartition(":")
    try:
        module = _module_at(location)
    except (OSError, ModuleNotFoundError) as error:
        raise UnknownNameError(
            f"{name!r} must name a Python file or an importable module; {error}."
        ) from error
    except (Exception, SystemExit) as error:
        raise DescriptionError(
            f"{location} must be importable; it raised {type(error).__name__}: {error}."
        ) from error
    if not hasattr(module, attribute):
        own = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        raise unknown_name(f"class in {location}", attribute, own)
    cls = getattr(module, attribute)
    # A class that the module only imports keeps the name it has.
    its_own = isinstance(cls, type) and cls.__module__ == module.__name__
    if its_own and not cls.__module__.startswith("mmbench."):
        origin = Path(str(module.__file__))
        cls.outside = f"{origin.name}:{attribute}"
        cls.source_digest = hashlib.sha256(origin.read_bytes()).hexdigest()[:16]
    return cls


def _module_at(location: str) -> ModuleType:
    """The module at a file path or import path; one file is loaded once."""
    if not location.endswith(".py"):
        return importlib.import_module(location)
    path = Path(location).resolve(strict=True)
    source = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    unique = f"mmbench_outside_{path.stem}_{source}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{location} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module

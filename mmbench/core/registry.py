"""Registries: one explicit dict per family, names to classes."""

import ast
import importlib
import importlib.util
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from mmbench.core.description import Description, field_types
from mmbench.core.errors import DescriptionError, unknown_name
from mmbench.core.external import load_external
from mmbench.core.spec import Reference, parse


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

    def resolve(self, name: str, *, external: bool = True) -> type:
        """The class of that name, or of that outside reference.

        Args:
            name: of a member, or a reference.
            external: whether a reference is loaded, which runs its code.

        Raises:
            UnknownNameError: when there is no such name; it suggests the nearest.
            DescriptionError: when an outside class cannot be loaded.
        """
        if name in self.members:
            return self[name]
        if ":" not in name or not external:
            raise unknown_name(self.kind, name, self.members)
        return self._admit(load_external(name), name)

    def build(
        self,
        described: "str | Mapping[str, Any] | Reference",
        *,
        external: bool = True,
    ) -> Any:
        """A description from its words.

        Args:
            described: `name[field=value,...]`, or a parsed `Reference`.
            external: whether classes from outside may be named, whose code is then run;
                never where the words are those of a stored file.

        Raises:
            DescriptionError: one sentence that names what is wrong.
        """
        if isinstance(described, str):
            described = parse(described)
        cls = self.resolve(described.name, external=external)
        types = field_types(cls)
        values = {}
        for key, value in described.values.items():
            if key not in types:
                raise unknown_name(f"parameter of {described.name}", key, types)
            values[key] = self._value(value, types[key], external=external)
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

    def coerce(self, given: str | Description) -> Any:
        """A member from its words, or the member itself.

        Raises:
            DescriptionError: one sentence that names what is wrong.
        """
        if isinstance(given, str):
            return self.build(given)
        if not isinstance(given, self.base_class):
            raise DescriptionError(f"{given!r} must be a {self.kind}; it is not.")
        self._admit(type(given), type(given).__name__)
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

    def _value(self, value: Any, annotation: Any, *, external: bool) -> Any:
        """A parsed value; a name becomes a member where a member is expected."""
        if isinstance(value, tuple):
            return tuple(
                self._value(one, annotation, external=external) for one in value
            )
        if not isinstance(value, Reference):
            return value
        for cls in _classes_in(annotation):
            if family := self.family_of(cls):
                return family.build(value, external=external)
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

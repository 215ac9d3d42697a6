"""Registries: one explicit dict for each family, from names to classes."""

import ast
import importlib
import importlib.util
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from mmbench.core.description import Description, field_types, fit
from mmbench.core.entry_points import Registrations, find_registrations
from mmbench.core.errors import DescriptionError, unknown_name
from mmbench.core.external import load_external
from mmbench.core.spec import Reference, Word, parse

Member = TypeVar("Member")
Described = TypeVar("Described", bound=Description)


@dataclass(frozen=True)
class LazyMapping(Mapping[str, Member]):
    """Named objects that are imported when they are asked for.

    Listing the names imports nothing.

    Args:
        kind: the noun for a member, such as "algorithm".
        base: reference of the members' base class, `package.module:Class`.
        members: name to reference of each member, in the order that reports use.
    """

    kind: str
    base: str
    members: Mapping[str, str]

    def __getitem__(self, name: str) -> Member:
        if name not in self.members:
            raise KeyError(name)
        return _import(self.members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def base_class(self) -> type:
        """The members' base class."""
        return _import(self.base)


@dataclass(frozen=True)
class Registry(LazyMapping[type[Described]]):
    """The classes of one family, by name; `Registry[Task]` builds tasks.

    Args:
        kind: the noun for a member, such as "algorithm".
        base: reference of the family's abstract class, `package.module:Class`.
        members: name to reference of each class, in the order that reports use.
        nested: families of which a member may be the value of a field of this one.
        group: group of the entry points by which installed packages register names for
            their own classes; empty where they cannot. These are no members of the
            mapping, and are looked up when they are asked for.
    """

    nested: tuple["Registry[Any]", ...] = ()
    group: str = ""

    @property
    def registered(self) -> Registrations:
        """What installed packages register; imports nothing of them."""
        if not self.group:
            return Registrations({}, {})
        return find_registrations(self.group, self.members)

    def summary(self, name: str) -> str:
        """Return the first line of a member's docstring without importing it."""
        module, _, attribute = self.members[name].partition(":")
        spec = importlib.util.find_spec(module)
        tree = ast.parse(Path(str(spec and spec.origin)).read_text("utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""

    def resolve(self, name: str, *, external: bool = True) -> type[Described]:
        """Return the class that a name or a reference stands for.

        Args:
            name: name of a member, name that an installed package registers, or
                reference of an external class.
            external: whether the last two are loaded, which runs the class's code.

        Raises:
            UnknownNameError: when there is no such name; it suggests the nearest.
            DescriptionError: when an external class cannot be loaded.
        """
        if name in self.members:
            return self[name]
        if not external:
            raise self._unknown(name)
        if ":" not in name:
            return self._resolve_registered(name)
        cls = load_external(name)
        self._check_class(cls, name)
        return cls

    def _resolve_registered(self, name: str) -> type[Described]:
        """Return the class for which an installed package registers a name.

        Raises:
            UnknownNameError: when none does.
            DescriptionError: when the class cannot be loaded.
        """
        members, problems = self.registered
        if name in problems:
            raise DescriptionError(problems[name])
        if name not in members:
            raise self._unknown(name, members)
        reference, package, _ = members[name]
        try:
            cls = load_external(reference)
            self._check_class(cls, reference)
        except DescriptionError as error:
            raise DescriptionError(
                f"{name!r}, which {package} registers, must be usable; {error}"
            ) from error
        return cls

    def _unknown(self, name: str, more: Iterable[str] = ()) -> DescriptionError:
        """Return the error for an unknown name, with what may have been meant."""
        words = name.split()
        if len(words) > 1 and all(word in self.members for word in words):
            return DescriptionError(
                f"{name!r} must be one {self.kind}; give each by itself, with an "
                "option of its own."
            )
        if name.endswith(".py"):
            return DescriptionError(explain_file(name))
        return unknown_name(self.kind, name, (*self.members, *more))

    def build(self, spec: str | Reference, *, external: bool = True) -> Described:
        """Build a description from its spec.

        Args:
            spec: `name[field=value,...]`, or a parsed `Reference`.
            external: whether external classes may be named, which runs their code;
                False where the spec comes from a stored file.

        Raises:
            DescriptionError: one sentence that names what is wrong.
        """
        reference = parse(spec) if isinstance(spec, str) else spec
        cls = self.resolve(reference.name, external=external)
        types = field_types(cls)
        values = {}
        for key, value in reference.values.items():
            if key not in types:
                raise unknown_name(f"parameter of {reference.name}", key, types)
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
                f"{reference.name} must be given {', '.join(missing)}; got "
                f"{', '.join(values) or 'nothing'}."
            )
        return cls(**values)

    def coerce(self, given: str | Description) -> Described:
        """Build a member from its spec, or check that an object is a member.

        Raises:
            DescriptionError: one sentence that names what is wrong.
        """
        if isinstance(given, str):
            return self.build(given)
        if not isinstance(given, self.base_class):
            raise DescriptionError(f"{given!r} must be a {self.kind}; it is not.")
        self._check_class(type(given), type(given).__name__)
        return typing.cast("Described", given)

    def family_of(self, cls: type) -> "Registry[Any] | None":
        """Return the registry, this one or a nested one, that a class belongs to."""
        for family in (self, *self.nested):
            if issubclass(cls, family.base_class):
                return family
        return None

    def _value(self, value: Any, annotation: Any, *, external: bool) -> Any:
        """Return a parsed value as the annotation of its field reads it."""
        if isinstance(value, tuple):
            return tuple(
                self._value(entry, annotation, external=external) for entry in value
            )
        if isinstance(value, str):  # it was in quotes
            return value
        families = map(self.family_of, _descriptions_in(annotation))
        family = next(filter(None, families), None)
        if isinstance(value, Word):
            is_name = family and (":" in value.text or value.text in family)
            for meaning in () if is_name else (value.constant, value.text):
                if any(fit(meaning, one)[1] for one in _leaves(annotation)):
                    return meaning
            if not family or not isinstance(value.constant, str):
                return value.constant
            value = Reference(value.text, {})
        if not family:
            raise DescriptionError(f"{value.name}[...] stands where none is expected.")
        return family.build(value, external=external)

    def _check_class(self, cls: Any, name: str) -> None:
        """Check that a class is a complete member of this family."""
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


def explain_file(name: str) -> str:
    """Return what to write instead of the path of a Python file, with its classes."""
    try:
        tree = ast.parse(Path(name).read_bytes())
    except OSError as error:
        return f"{name!r} must be a Python file; got {error.strerror}."
    except (SyntaxError, ValueError) as error:
        return f"{name!r} must be Python; got {error}."
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    example = f"{name}:{classes[0] if classes else 'Class'}"
    return (
        f"{name!r} must be followed by a class of the file, as in {example}; it has "
        f"{', '.join(classes) or 'none'}."
    )


def _import(reference: str) -> Any:
    """Import what `package.module:name` refers to."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types of single values that an annotation consists of."""
    origin = typing.get_origin(annotation)
    if origin is None or origin is typing.Literal:
        yield annotation
    else:
        arguments = typing.get_args(annotation)
        for argument in arguments[:1] if origin is typing.Annotated else arguments:
            if argument is not ...:
                yield from _leaves(argument)


def _descriptions_in(annotation: Any) -> Iterator[type]:
    """Yield the description classes that an annotation mentions."""
    for leaf in _leaves(annotation):
        if isinstance(leaf, type) and issubclass(leaf, Description):
            yield leaf

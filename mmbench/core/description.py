"""Descriptions: frozen dataclasses of plain values, checked when made, with a digest.

What a user chooses (an algorithm, a task, a metric, a suite, a cell) is a description.
It is sent between processes and stored; tensors are never part of it.
"""

import collections.abc
import dataclasses
import hashlib
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from mmbench.core.code_digest import code_digest
from mmbench.core.code_files import is_of_mmbench
from mmbench.core.code_parts import remember_files
from mmbench.core.code_patches import check_unpatched, remember_definitions
from mmbench.core.domains import Domain
from mmbench.core.errors import CodeError, DescriptionError
from mmbench.core.printable import is_printable, shorten
from mmbench.core.spec import quote

Value = typing.TypeVar("Value")

# Present name of a class: its name in keys, under which it was first stored. A class
# that moves gets a line here; never remove or change one.
FIRST_NAMES = {"mmbench.engine.cell:Cell": "mmbench.plan:Cell"}

# Metadata of a field that a class gained later: older keys stay valid.
UNLESS_DEFAULT = {"identity": "unless default"}


@dataclass(frozen=True, kw_only=True)
class Description:
    """Base class of all descriptions: fields are checked and made canonical.

    Integers given for float fields become floats and lists become tuples, so that
    equal descriptions have equal digests.

    Attributes:
        version: part of the digest; raised when the same fields come to mean other
            numbers.
        data_files: files that an external class reads while it runs, relative to the
            folder of its own file; their bytes are part of the digest.

    Raises:
        DescriptionError: when a field does not fit its annotation; the sentence names
            the field, what it must be and what was given.
    """

    version: ClassVar[int] = 1
    data_files: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Remember what the class defines, so that what is replaced is seen."""
        super().__init_subclass__(**options)
        remember_definitions(cls)
        remember_files(cls)

    def __post_init__(self, *_init_only: Any) -> None:
        for name, annotation in field_types(type(self)).items():
            value = getattr(self, name)
            fitted, fits = fit(value, annotation)
            if not fits:
                raise DescriptionError(
                    f"{type(self).__name__}.{name} must be "
                    f"{describe_annotation(annotation)}; got {shorten(value)}."
                )
            object.__setattr__(self, name, fitted)
        self.check()

    def check(self) -> None:
        """Raise `DescriptionError` when fields do not fit each other."""

    def __str__(self) -> str:
        return text(self)


# ---- fields ----

_PLAIN = (int, float, bool, str, type(None))
_AS_THEY_ARE = (int, bool, type(None))  # all their values fit, and are stored as such
_SEQUENCES = (list, collections.abc.Sequence)  # both are stored as tuples


def field_types(cls: type) -> dict[str, Any]:
    """Return the annotation of each field of a description class, with its domains.

    Raises:
        DescriptionError: when a field cannot be stored; the sentence names it and says
            how a field may be annotated.
    """
    return _field_types(cls)


@cache
def _field_types(cls: type) -> dict[str, Any]:
    """Return the annotations; cached, while `field_types` keeps its signature."""
    found = {}
    for field in cls.__dataclass_fields__.values():  # type: ignore[attr-defined]
        is_init_only = isinstance(field.type, InitVar) or "InitVar[" in str(field.type)
        if field not in dataclasses.fields(cls) and not is_init_only:
            continue  # a class variable
        who = f"{cls.__name__}.{field.name}"
        if is_init_only or not (field.init and field.compare):
            raise DescriptionError(
                f"{who} must be a field that is given, compared and stored; it must "
                "have neither InitVar nor init=False nor compare=False."
            )
        if field.name == "version":
            raise DescriptionError(
                f"{who} must be no field, but a class variable; write version: "
                "ClassVar[int] = 2."
            )
        annotation = _resolve(cls, field.name, field.type)
        if not _is_storable(annotation):
            raise DescriptionError(
                f"{who} must be annotated with int, float, bool, str, None, Literal, a "
                "class of descriptions such as Algorithm, or a tuple[...], list[...] "
                f"or union of these; got {inspect.formatannotation(annotation)}."
            )
        found[field.name] = annotation
    return found


def _resolve(cls: type, name: str, annotation: Any) -> Any:
    """Return the annotation of a field; one that is text is looked up.

    It is looked up in the module of the class that has the field, as the field of a
    base class may use names that other modules lack.
    """
    owner = next(
        (base for base in cls.__mro__ if name in inspect.get_annotations(base)), cls
    )
    module = vars(sys.modules.get(owner.__module__) or types.ModuleType(""))
    alone = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(alone, module, vars(owner).copy(), True)[name]
    except Exception as error:
        raise DescriptionError(
            f"{cls.__name__}.{name} must have an annotation that means something where "
            f"the class is defined; {inspect.formatannotation(annotation)} raised "
            f"{type(error).__name__}: {error}."
        ) from error


def _is_storable(annotation: Any) -> bool:
    """Return whether fields of this annotation can be checked and stored."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _is_storable(arguments[0])
    if origin is Literal:
        return all(type(choice) in _PLAIN for choice in arguments)
    if origin in (types.UnionType, typing.Union, tuple, *_SEQUENCES):
        return all(map(_is_storable, (one for one in arguments if one is not ...)))
    return annotation in _PLAIN or (
        isinstance(annotation, type) and issubclass(annotation, Description)
    )


def default_of(cls: type, name: str) -> Any:
    """Return the default of a field as it is stored; `MISSING` where it has none."""
    return _default_of(cls, name)


@cache
def _default_of(cls: type, name: str) -> Any:
    field = cls.__dataclass_fields__[name]  # type: ignore[attr-defined]
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    return fit(default, field_types(cls)[name])[0]


def describe_annotation(annotation: Any) -> str:
    """Return an annotation in plain words, for messages and for `mmbench show`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        domains = [str(item) for item in arguments[1:] if isinstance(item, Domain)]
        return " ".join([describe_annotation(arguments[0]), *domains])
    if origin is Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(describe_annotation, arguments))
    if origin in _SEQUENCES or arguments[1:] == (...,):
        return f"a sequence, each {describe_annotation(arguments[0])}"
    if origin is tuple:
        entries = list(map(describe_annotation, arguments))
        if len(entries) == 2 and len(set(entries)) == 1:
            return f"a pair, each {entries[0]}"
        return f"a sequence of {len(entries)}: {', '.join(entries) or 'nothing'}"
    names = {
        int: "a whole number",
        float: "a number",
        str: "printable text",
        bool: "true or false",
        type(None): "none",
    }
    name = annotation.__name__
    article = "an" if name[0] in "AEIOU" else "a"
    return names.get(annotation) or f"{article} {name}"


def fit(value: Any, annotation: Any) -> tuple[Any, bool]:
    """Return a value as a field stores it, and whether it fits the annotation.

    A number of NumPy, or a tensor that holds one number, counts as that number.
    """
    if type(value) is annotation and annotation in _AS_THEY_ARE:
        return value, True
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        fitted, fits = fit(value, arguments[0])
        domains = [item for item in arguments[1:] if isinstance(item, Domain)]
        return fitted, fits and all(fitted in domain for domain in domains)
    if origin is Literal:
        return value, any(
            value == choice and type(value) is type(choice) for choice in arguments
        )
    if origin in (types.UnionType, typing.Union):
        attempts = (fit(value, option) for option in arguments)
        return next((attempt for attempt in attempts if attempt[1]), (value, False))
    if origin is tuple:
        return _fit_tuple(value, arguments)
    if origin in _SEQUENCES:
        return _fit_tuple(value, (arguments[0], ...))
    if annotation is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= sys.float_info.max:
            return value, False
        return float(value) + 0.0, True  # -0.0 equals 0.0 and must have its digest
    if annotation is int:
        number = isinstance(value, int) and not isinstance(value, bool)
        return (int(value) if number else value), number
    if annotation is str:  # it is shown in terminals and pages
        if not isinstance(value, str) or not is_printable(value):
            return value, False
        return str.__str__(value), True  # the text of a member of an enumeration
    return value, isinstance(value, annotation)


def _fit_tuple(value: Any, arguments: tuple) -> tuple[Any, bool]:
    if hasattr(value, "tolist"):  # an array or a tensor
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return value, False
    if arguments[1:] == (...,):
        arguments = (arguments[0],) * len(value)
    if len(value) != len(arguments):
        return value, False
    if _are_whole(value) and set(arguments) == {int}:  # seeds, of which many are
        return tuple(value), True
    pairs = [fit(*entry) for entry in zip(value, arguments, strict=True)]
    return tuple(fitted for fitted, _ in pairs), all(fits for _, fits in pairs)


def _are_whole(values: list[Any] | tuple[Any, ...]) -> bool:
    """Return whether all values are whole numbers that a field stores as they are."""
    return set(map(type, values)) == {int}


def _fields(cls: type) -> tuple[dataclasses.Field[Any], ...]:
    return _fields_of_class(cls)


@cache
def _fields_of_class(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cls)  # which looks through all of them at each call


def nested(value: Any) -> Iterator[Description]:
    """Yield a description, or those in a tuple, with all that their fields hold."""
    if isinstance(value, Description):
        yield value
        for field in _fields(type(value)):
            if not isinstance(entry := getattr(value, field.name), _PLAIN):
                yield from nested(entry)
    elif isinstance(value, tuple) and not _are_whole(value):
        for entry in value:
            yield from nested(entry)


def made_anew(value: Value) -> Value:
    """Return a description made anew from its fields, with all that they hold.

    What an object has besides, such as a cached value, is no part of its key. One that
    has nothing besides is returned itself, shared with the caller.
    """
    if isinstance(value, tuple) and not _are_whole(value):
        return typing.cast(Value, tuple(map(made_anew, value)))
    if not isinstance(value, Description):
        return value
    cls = type(value)
    given = {field.name: getattr(value, field.name) for field in _fields(cls)}
    fields = {
        name: entry if type(entry) in _PLAIN else made_anew(entry)
        for name, entry in given.items()
    }
    if vars(value).keys() == fields.keys() and all(
        fields[name] is entry for name, entry in given.items()
    ):
        return value
    if not is_of_mmbench(cls):
        return cls(**fields)
    made = object.__new__(cls)  # its fields were checked when it was made
    vars(made).update(fields)
    return made


# ---- identity ----


def canonical(value: Any, *, whole: bool = False) -> Any:
    """Return a description (or a field of one) as JSON values, with class and version.

    Args:
        value: the description.
        whole: whether fields that are no part of the identity are included, so that
            `from_canonical` returns an equal description.
    """
    if isinstance(value, Description):
        _check_own_methods(value)
        fields = {
            field.name: canonical(getattr(value, field.name), whole=whole)
            for field in _fields(type(value))
            if whole or _identifies(field, getattr(value, field.name))
        }
        return {
            "class": reference_of(type(value)),
            "version": _version_of(value),
        } | fields
    if isinstance(value, tuple):
        if _are_whole(value):
            return list(value)
        return [canonical(entry, whole=whole) for entry in value]
    return value


def _version_of(value: Description) -> int:
    """Return the version of a description.

    Raises:
        DescriptionError: when it is no whole number.
    """
    version: Any = value.version
    if not isinstance(version, int) or isinstance(version, bool):
        raise DescriptionError(
            f"{type(value).__name__}.version must be a whole number of at least 1; got "
            f"{shorten(version)}."
        )
    return int(version)


def _check_own_methods(value: Description) -> None:
    """Check that no method was replaced on one object, which no digest would show.

    Raises:
        CodeError: when one was.
    """
    for name in vars(value):
        if isinstance(getattr(type(value), name, None), types.FunctionType):
            raise CodeError(
                f"{type(value).__name__} must have the methods of its class; its "
                f"{name} was replaced on one object. Define a subclass instead."
            )


def _identifies(field: dataclasses.Field, value: Any) -> bool:
    """Return whether the value of a field is part of the identity.

    A field's metadata has "identity" as True (also when absent), False or "unless
    default"; the last is for fields added later, so that stored cells keep their keys.
    """
    identity = field.metadata.get("identity", True)
    return value != field.default if identity == "unless default" else identity


def digest(value: Any) -> str:
    """Return the key of a description: 24 hexadecimal digits of its JSON's SHA-256."""
    document = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode()).hexdigest()[:24]


def reference_of(cls: type) -> str:
    """Return the name by which a class is stored, with a digest if it is external.

    Raises:
        CodeError: when loaded external code differs from its file, or a method of
            mmbench was replaced.
    """
    if is_of_mmbench(cls):
        check_unpatched(cls)
        name = f"{cls.__module__}:{cls.__qualname__}"
        return FIRST_NAMES.get(name, name)
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
    return f"{Path(file).name}:{cls.__qualname__}@{code_digest(cls).digest[:16]}"


def text(value: Any, named: Callable[[type], str] | None = None) -> str:
    """Return the spec of a description, `gda[step_size=0.2]`, without defaults.

    Args:
        value: the description, or a value of a field.
        named: the name of a class in the spec; None takes the short ones.
    """
    if isinstance(value, Description):
        cls = type(value)
        shown = [
            f"{name}={text(getattr(value, name), named)}"
            for name in field_types(cls)
            if getattr(value, name) != default_of(cls, name)
        ]
        return (named or name_of)(cls) + (f"[{','.join(shown)}]" if shown else "")
    if isinstance(value, tuple):
        return f"({','.join(text(entry, named) for entry in value)})"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return quote(str(value))


def name_of(cls: type) -> str:
    """Return the short name of a description's class.

    A class of mmbench has the name of its file (its name in the registry) or, in a file
    with a leading underscore, its own name in lower case; an external class has its own
    name.
    """
    package, _, file = cls.__module__.rpartition(".")
    if not package.startswith("mmbench."):
        return cls.__name__
    return cls.__name__.lower() if file.startswith("_") else file

"""Transport: a description as JSON that another process makes the same one of.

Only names travel: of mmbench's own classes, and of outside ones with the place of their
source. Whoever receives them loads the classes and refuses sources that differ.

A place is code that is run, so `received` is for what a trusted sender sent. `rebuilt`
takes the places from whoever calls it and, given none, runs nothing outside mmbench: so
descriptions in stored files, whoever wrote them, are safe to read.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbench.core.description import (
    FIRST_NAMES,
    Description,
    canonical,
    field_types,
    reference_of,
)
from mmbench.core.errors import DescriptionError, unknown_name
from mmbench.core.external import load_external

# Outside class, as `reference_of` names it, to what `load_external` loads it by.
Places = Mapping[str, str]

_SHOWN = 60  # characters of something unreadable that a message repeats


def to_json(value: Description) -> str:
    """The description, and where its outside classes lie, as JSON."""
    places: dict[str, str] = {}
    _note_places(value, places)
    return json.dumps({"value": canonical(value, whole=True), "places": places})


def from_json(document: str) -> Any:
    """The description that was sent.

    Raises:
        DescriptionError: when a class is not there or is not the same one.
    """
    try:
        told = json.loads(document)
        value, places = told["value"], told["places"]
    except (ValueError, KeyError, TypeError):
        raise DescriptionError(
            f"A description must be sent as JSON with its value and places; got "
            f"{document[:_SHOWN]!r}."
        ) from None
    return from_canonical(value, places)


def from_canonical(value: Any, places: Places) -> Any:
    """A description from its canonical JSON; fields left out take their defaults.

    Args:
        value: as `canonical` gave it.
        places: of outside classes.

    Raises:
        DescriptionError: when a class is not there or is not the same one, or a field
            is not what it must be.
    """
    if isinstance(value, list):
        return tuple(from_canonical(one, places) for one in value)
    if not isinstance(value, dict):
        return value
    reference, version = value.get("class"), value.get("version")
    if not isinstance(reference, str):
        raise DescriptionError(
            f"A description must tell its class; got {str(value)[:_SHOWN]!r}."
        )
    cls = _class_of(reference, places)
    if cls.version != version:
        raise DescriptionError(
            f"{cls.__name__} must have version {version!r}, which computed this; this "
            f"mmbench has {cls.version}."
        )
    fields = {
        name: from_canonical(one, places)
        for name, one in value.items()
        if name not in ("class", "version")
    }
    for name in fields:
        if name not in field_types(cls):
            raise unknown_name(f"field of {cls.__name__}", name, field_types(cls))
    try:
        return cls(**fields)
    except DescriptionError:
        raise
    except (Exception, SystemExit) as error:  # a field is missing, or an outside check
        raise DescriptionError(
            f"{cls.__name__} must be made of the fields that were stored; it raised "
            f"{type(error).__name__}: {error}."
        ) from error


def _class_of(reference: str, places: Places) -> type[Description]:
    """The class of that name, mmbench's or from its place outside."""
    if "@" not in reference:
        cls = _own_class(reference)
    elif reference not in places:
        raise DescriptionError(
            f"{reference!r} is from outside mmbench; say where it lies."
        )
    else:
        cls = load_external(places[reference])
    if not (isinstance(cls, type) and issubclass(cls, Description)):
        raise DescriptionError(f"{reference!r} must name a description; it does not.")
    if reference_of(cls) != reference:
        raise DescriptionError(
            f"{places.get(reference, 'The class')} must be the one that was used, "
            f"{reference}; it is now {reference_of(cls)}."
        )
    return cls


def _own_class(reference: str) -> Any:
    """What mmbench calls so; nothing outside mmbench is imported for it."""
    moved = {first: now for now, first in FIRST_NAMES.items()}
    module, _, name = moved.get(reference, reference).partition(":")
    if module.partition(".")[0] != "mmbench":
        raise DescriptionError(f"{reference!r} must name a class of mmbench.")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise DescriptionError(
            f"{reference!r} must be a class of this mmbench; it is not."
        ) from None


def _note_places(value: Any, places: dict[str, str]) -> None:
    """Where the outside classes of a description, nested ones included, lie."""
    if isinstance(value, tuple):
        for one in value:
            _note_places(one, places)
    if isinstance(value, Description):
        cls = type(value)
        reference = reference_of(cls)
        if "@" in reference:
            module = sys.modules.get(cls.__module__)
            file = getattr(module, "__file__", None)
            # A module within a package is imported by name, as its relative imports
            # need; any other, a script that runs too, is found by its file.
            packaged = "." in cls.__module__ or file is None
            place = cls.__module__ if packaged else str(Path(file).resolve())
            places[reference] = f"{place}:{cls.__qualname__}"
        for name in value.__dataclass_fields__:
            _note_places(getattr(value, name), places)

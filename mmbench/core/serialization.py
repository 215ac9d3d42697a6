"""Serialisation: descriptions as JSON from which another process makes equal ones.

The JSON holds classes by name: those of mmbench, and external ones together with the
location of their source. Whoever reads it loads the classes and refuses sources that
differ.

Loading a location runs the code that lies there, so `from_json` is for documents of a
trusted process. `from_canonical` is given the locations by its caller and, without any,
runs nothing that is external to mmbench: descriptions in stored files are safe to read,
whoever wrote them.
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
from mmbench.core.errors import CodeError, DescriptionError, unknown_name
from mmbench.core.external import load_external
from mmbench.core.made import Made, variable_of

# External class, as `reference_of` names it, to the name that `load_external` takes.
Locations = Mapping[str, str]

_SHOWN_CHARACTERS = 60  # of an unreadable document, in a message


def to_json(value: Description) -> str:
    """Return a description, and the locations of its external classes, as JSON."""
    locations: dict[str, str] = {}
    _collect_locations(value, locations)
    return json.dumps({"value": canonical(value, whole=True), "locations": locations})


def from_json(document: str) -> Any:
    """Return the description that `to_json` turned into a document.

    Raises:
        DescriptionError: when the document or a field does not fit.
        CodeError: when an external class is missing or is not the same one.
    """
    try:
        content = json.loads(document)
        value, locations = content["value"], content["locations"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DescriptionError(
            "A serialised description must be JSON with a value and locations; got "
            f"{document[:_SHOWN_CHARACTERS]!r}."
        ) from None
    try:
        return from_canonical(value, locations)
    except DescriptionError as error:
        if not locations:
            raise
        raise CodeError(str(error)) from error  # it was whole when it was written


def from_canonical(value: Any, locations: Locations) -> Any:
    """Return a description from its JSON values; absent fields take their defaults.

    Args:
        value: JSON values as `canonical` returns them.
        locations: locations of the external classes.

    Raises:
        DescriptionError: when a class is missing or is not the same one, or a field
            does not fit.
    """
    if isinstance(value, list):
        return tuple(from_canonical(entry, locations) for entry in value)
    if not isinstance(value, dict):
        return value
    reference, version = value.get("class"), value.get("version")
    if not isinstance(reference, str):
        raise DescriptionError(
            f"A description must have a class; got {str(value)[:_SHOWN_CHARACTERS]!r}."
        )
    cls = _class_of(reference, locations)
    if cls.version != version:
        raise DescriptionError(
            f"{cls.__name__} must have version {version!r}, which computed this; this "
            f"mmbench has {cls.version}."
        )
    fields = {
        name: from_canonical(field, locations)
        for name, field in value.items()
        if name not in ("class", "version")
    }
    known = field_types(cls)
    for name in fields:
        if name not in known:
            raise unknown_name(f"field of {cls.__name__}", name, known)
    try:
        return cls(**fields)
    except DescriptionError:
        raise
    except (Exception, SystemExit) as error:  # a field is missing, or external code
        raise DescriptionError(
            f"{cls.__name__} must be made of the fields that were stored; it raised "
            f"{type(error).__name__}: {error}."
        ) from error


def _class_of(reference: str, locations: Locations) -> type[Description]:
    """Return the class of a reference, from mmbench or from its location."""
    if "@" not in reference:
        cls = _own_class(reference)
    elif reference not in locations:
        raise DescriptionError(
            f"{reference!r} is an external class; its location must be given."
        )
    else:
        cls = load_external(locations[reference])
    if not (isinstance(cls, type) and issubclass(cls, Description)):
        raise DescriptionError(f"{reference!r} must name a description; it does not.")
    if reference_of(cls) != reference:
        hint = ""
        if issubclass(cls, Made):
            hint = (
                " First values that differ from process to process are made the same "
                "by torch.manual_seed, or by a function or class that makes them."
            )
        raise CodeError(
            f"{locations.get(reference, 'The class')} must be the one that was used, "
            f"{reference}; it is now {reference_of(cls)}.{hint}"
        )
    return cls


def _own_class(reference: str) -> Any:
    """Return the class of mmbench with this reference; imports nothing external."""
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


def _name_in_module(cls: type) -> str:
    """Return the name by which a class is found in its module.

    Raises:
        DescriptionError: when a call made it and no variable holds it.
    """
    name = variable_of(cls) if issubclass(cls, Made) else cls.__qualname__
    if not name:
        raise DescriptionError(
            f"{cls.__qualname__} must be held by a variable at the top level of a file "
            "for another process to find it; it was made within a function or has no "
            f"variable. Write {cls.__qualname__} = ... at the top level."
        )
    return name


def location_of(cls: type) -> tuple[str, str]:
    """Return the module or the file of an external class, and its name there.

    A module of a package is imported by name, as its relative imports need; any other,
    a script that is run included, is loaded from its file.

    Raises:
        DescriptionError: when a call made the class and no variable holds it.
    """
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    is_named = file is None or "." in cls.__module__
    location = cls.__module__ if is_named else str(Path(str(file)).resolve())
    return location, _name_in_module(cls)


def _collect_locations(value: Any, locations: dict[str, str]) -> None:
    """Add the locations of the external classes in a description, nested or not."""
    if isinstance(value, tuple):
        for entry in value:
            _collect_locations(entry, locations)
    if isinstance(value, Description):
        cls = type(value)
        reference = reference_of(cls)
        if "@" in reference:
            location, name = location_of(cls)
            locations[reference] = f"{location}:{name}"
        for name in value.__dataclass_fields__:
            _collect_locations(getattr(value, name), locations)

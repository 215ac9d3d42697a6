"""The registries by the names that the command line has for them."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from mmbench.algorithms import ACCEPTANCES, ALGORITHMS, DIRECTIONS, SCHEDULES
from mmbench.core.entry_points import Registrations
from mmbench.core.errors import DescriptionError, UnknownNameError, near_names
from mmbench.core.registry import LazyMapping, Registry
from mmbench.metrics import METRICS
from mmbench.suites import SUITES
from mmbench.tasks import LOSSES, REGULARISERS, TASKS

_KEY = re.compile(r"(?=.*\d)[0-9a-f]{4,24}")  # or its beginning

FAMILIES: dict[str, LazyMapping[Any]] = {
    "tasks": TASKS,
    "algorithms": ALGORITHMS,
    "directions": DIRECTIONS,
    "acceptances": ACCEPTANCES,
    "schedules": SCHEDULES,
    "losses": LOSSES,
    "regularisers": REGULARISERS,
    "metrics": METRICS,
    "suites": SUITES,
}


def summaries(family: str) -> Iterator[tuple[str, str]]:
    """Yield the name and summary of each member without importing torch."""
    registry = FAMILIES[family]
    for name in registry:
        if isinstance(registry, Registry):
            yield name, registry.summary(name)
        else:  # a suite is an object without a docstring, and quick to import
            yield name, registry[name].title


def registrations(family: str) -> Registrations:
    """Return what installed packages register in a family; imports nothing of them."""
    registry = FAMILIES[family]
    return (
        registry.registered if isinstance(registry, Registry) else Registrations({}, {})
    )


def external_among(specs: Iterable[str]) -> list[str]:
    """Return the specs that name a class of the user, or of an installed package."""
    words = {name for family in FAMILIES for name in registrations(family).members}
    return [
        spec for spec in specs if ":" in spec or words & set(re.findall(r"\w+", spec))
    ]


def registry_of(name: str) -> Any:
    """Return the registry that a name, or an external class, is a member of.

    Args:
        name: name or reference without parameters, but not of a suite; also one that
            an installed package registers.

    Raises:
        DescriptionError: when there is no such member.
    """
    from mmbench.core.registry import explain_file

    for registry in FAMILIES.values():
        if registry is not SUITES and name in registry:
            return registry
    for registry in FAMILIES.values():
        if isinstance(registry, Registry) and name in {*chain(*registry.registered)}:
            return registry
    if ":" in name:
        return _registry_of_external(name)
    if name.endswith(".py"):
        raise DescriptionError(explain_file(name))
    raise _unknown(name)


def _registry_of_external(name: str) -> Any:
    """Return the registry that an external class could be a member of."""
    from mmbench.core.external import load_external

    cls = load_external(name)
    for registry in FAMILIES.values():
        if isinstance(cls, type) and issubclass(cls, registry.base_class):
            return registry
    bases = ", ".join(registry.base_class.__name__ for registry in FAMILIES.values())
    raise DescriptionError(f"{name} must be a subclass of one of {bases}; it is not.")


def _unknown(name: str) -> DescriptionError:
    """Return the error for a name of no family, with what may have been meant."""
    if _KEY.fullmatch(name):
        return DescriptionError(
            f"NAME must be of a task, algorithm, metric or suite; {name!r} reads like "
            f"the key of a stored cell. `mmbench store ls` lists the cells, and "
            f"`mmbench replay {name}` computes one again."
        )
    known = [member for registry in FAMILIES.values() for member in registry]
    known += [one for family in FAMILIES for one in registrations(family).members]
    near = near_names(name, known)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(
        f"NAME must be of a task, algorithm, metric or suite; got {name!r}.{hint} "
        "`mmbench list` shows all names."
    )

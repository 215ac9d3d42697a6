"""Public names of a package that are imported when they are first used."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy_names(
    package: str, references: Iterable[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the module-level `__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: name of the package.
        references: what it offers, each as `package.module:Name`, or as
            `package.module` for a module.
    """
    homes: dict[str, str] = {}
    for reference in references:
        module, _, name = reference.partition(":")
        homes[name or module.rpartition(".")[2]] = reference

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, colon, _ = homes[name].partition(":")
        found = importlib.import_module(module)
        return getattr(found, name) if colon else found

    def names() -> list[str]:
        own = vars(sys.modules[package]).items()
        shown = {
            name
            for name, value in own
            if name.startswith("__") or isinstance(value, Mapping)  # a registry
        }
        return sorted(shown | homes.keys())

    return get, names

"""Packages offer their classes by name, and import them only when they are used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from mmbench.suites import Suite

PACKAGES = (
    "mmbench",
    "mmbench.algorithms",
    "mmbench.metrics",
    "mmbench.suites",
    "mmbench.tasks",
)
EVERY = pytest.mark.parametrize("package", PACKAGES)


def declared(package: str) -> set[str]:
    """Names that a package imports for type checkers alone."""
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    aliases = [alias for node in block.body for alias in node.names]
    assert all(alias.name == alias.asname for alias in aliases)
    return {alias.name for alias in aliases}


@EVERY
def test_every_name_can_be_imported(package: str) -> None:
    """Each name of the package is there, and is shown by `dir`."""
    module = importlib.import_module(package)
    for name in declared(package):
        found = getattr(module, name)
        assert isinstance(found, Suite) or found.__name__.rpartition(".")[2] == name
        assert name in dir(module)


@EVERY
def test_type_checkers_see_the_same_names(package: str) -> None:
    """What is imported when used is what is declared, no more and no less."""
    names = importlib.import_module(package)._NAMES
    offered = {one.rpartition(":")[2].rpartition(".")[2] for one in names}
    assert offered == declared(package)


@EVERY
def test_unknown_names_are_refused(package: str) -> None:
    """A name that is not there is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = importlib.import_module(package).Nothing


def test_completion_loads_nothing_heavy() -> None:
    """Listing the names of all packages imports neither torch nor pandas."""
    listing = "".join(f"import {package}; dir({package}); " for package in PACKAGES)
    check = f"import sys; {listing}print({{'torch', 'pandas'}} & set(sys.modules))"
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

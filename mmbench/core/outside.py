"""Outside: classes named by a reference to a file or a module that is not mmbench's."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mmbench.core.errors import DescriptionError, UnknownNameError, unknown_name


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

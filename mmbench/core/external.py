"""Outside: classes named by a reference to a file or a module that is not mmbench's."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mmbench.core.errors import DescriptionError, UnknownNameError, unknown_name
from mmbench.core.source_files import sources

# Folders that files were loaded from; modules beside them are known by bare names.
_folders: set[Path] = set()


def load_external(name: str) -> Any:
    """A class named `package.module:Class` or `path/to/file.py:Class`.

    Raises:
        UnknownNameError: when there is no such file, module or class.
        DescriptionError: when its module raises.
    """
    location, _, attribute = name.rpartition(":")
    relative = location.startswith(".") and not location.endswith(".py")
    if not location or not attribute or relative:
        raise UnknownNameError(
            f"{name!r} must read like path/to/file.py:Class or package.module:Class."
        )
    try:
        module = _module_at(location)
    except DescriptionError:
        raise
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
    return getattr(module, attribute)


def _module_at(location: str) -> ModuleType:
    """The module at a file path or import path; one file is loaded once."""
    if not location.endswith(".py"):
        return importlib.import_module(location)
    path = Path(location).resolve(strict=True)
    # With its place: a copy elsewhere may import another helper from beside it.
    source = hashlib.sha256(bytes(path) + b"\0" + path.read_bytes()).hexdigest()[:16]
    unique = f"mmbench_outside_{path.stem}_{source}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{location} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look their module up there
    sys.path.insert(0, str(path.parent))  # for what it imports from beside it
    try:
        spec.loader.exec_module(module)
        _refuse_doubles(path)
    except BaseException:
        del sys.modules[unique]
        raise
    finally:
        sys.path.remove(str(path.parent))
    _folders.add(path.parent)
    return module


def _refuse_doubles(path: Path) -> None:
    """Refuse a file whose import found a module from beside another outside file.

    Python keeps one module of a name, so the second `helper.py` would never be read.
    """
    for one in sources(path) - {path}:
        loaded = getattr(sys.modules.get(one.stem), "__file__", None)
        other = Path(loaded).resolve() if loaded else one.resolve()
        if other != one.resolve() and other.parent in _folders:
            raise DescriptionError(
                f"Modules beside outside classes must have different names; {one} and "
                f"{other} are both named {one.stem}. Rename one of them."
            )

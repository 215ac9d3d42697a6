"""External classes: those of a file or a module that is not part of mmbench."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mmbench.core.errors import DescriptionError, UnknownNameError, unknown_name
from mmbench.core.source_files import collect_source_files

# Folders of the files that were loaded; modules in them are imported by bare names.
_folders: set[Path] = set()


def load_external(name: str) -> Any:
    """Import a class by its reference, which runs the code of its module.

    Args:
        name: `package.module:Class` or `path/to/file.py:Class`.

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
    """Import the module of a file path or import path; a file is loaded only once."""
    if not location.endswith(".py"):
        return importlib.import_module(location)
    path = Path(location).resolve(strict=True)
    # The digest has the path too: a copy in another folder may import other helpers.
    source = hashlib.sha256(bytes(path) + b"\0" + path.read_bytes()).hexdigest()[:16]
    unique = f"mmbench_external_{path.stem}_{source}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{location} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look up their module here
    sys.path.insert(0, str(path.parent))  # for imports from its own folder
    try:
        spec.loader.exec_module(module)
        _check_module_names(path)
    except BaseException:
        del sys.modules[unique]
        raise
    finally:
        sys.path.remove(str(path.parent))
    _folders.add(path.parent)
    return module


def _check_module_names(path: Path) -> None:
    """Check that no import of a file found a module of another external file's folder.

    Python keeps one module of each name, so a second `helper.py` would not be read.
    """
    for source in collect_source_files(path) - {path}:
        loaded = getattr(sys.modules.get(source.stem), "__file__", None)
        found = Path(loaded).resolve() if loaded else source.resolve()
        if found != source.resolve() and found.parent in _folders:
            raise DescriptionError(
                f"Modules that external classes import must have different names; "
                f"{source} and {found} are both named {source.stem}. Rename one of "
                "them."
            )

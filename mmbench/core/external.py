"""External classes: those of a file or a module that is not part of mmbench."""

import contextlib
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from mmbench.core.code_files import (
    RecordingLoader,
    finder,
    imported_by,
    loaded_modules,
)
from mmbench.core.code_parts import has_edited_data
from mmbench.core.errors import DescriptionError, UnknownNameError, unknown_name
from mmbench.core.made import find_made, made_in
from mmbench.core.user_code import place_of


def load_external(name: str) -> Any:
    """Import a class by its reference, which runs the code of its module.

    A variable that holds a task of `mmbench.game` stands for the task's class.

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
    if "<locals>" in attribute:
        raise UnknownNameError(
            f"{name!r} must name a class at the top level of a file, which another "
            "process can find; it stands within a function."
        )
    try:
        module = _module_at(location)
    except DescriptionError:
        raise
    except (Exception, SystemExit) as error:
        place = place_of(error)
        if isinstance(error, OSError | ModuleNotFoundError) and not place:
            what = (
                f"{location}: {error.strerror}" if isinstance(error, OSError) else error
            )
            raise UnknownNameError(
                f"{name!r} must name a Python file or an importable module; {what}."
            ) from error
        raise DescriptionError(
            f"{location} must be importable; {f'{place},' if place else 'it'} raised "
            f"{type(error).__name__}: {error}."
        ) from error
    made = find_made(module, attribute)
    if made is not None:
        return type(made)
    if not hasattr(module, attribute):
        own = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and value.__module__ == module.__name__
        ]
        own += [variable for variable, _ in made_in(module)]
        raise unknown_name(f"class in {location}", attribute, own)
    return getattr(module, attribute)


def _module_at(location: str) -> ModuleType:
    """Import the module of a file path or import path, from the bytes of its file.

    A module that is loaded already is used again while its file, and the files that it
    imported, are unchanged.
    """
    folder = Path.cwd()
    try:
        with finder.serving(None):
            if not location.endswith(".py"):
                return importlib.import_module(location)
            return _module_of_file(Path(location).resolve(strict=True))
    finally:
        os.chdir(folder)  # relative paths would mean other files


def _module_of_file(path: Path) -> ModuleType:
    # The digest has the path too: a copy in another folder may import other helpers.
    source = hashlib.sha256(bytes(path) + b"\0" + path.read_bytes()).hexdigest()[:16]
    unique = f"mmbench_external_{path.stem}_{source}"
    _unload_edited()
    if {unique, *imported_by(unique)} <= sys.modules.keys():
        return sys.modules[unique]
    loader = RecordingLoader(unique, str(path), path.parent)
    spec = importlib.util.spec_from_file_location(unique, path, loader=loader)
    if spec is None:
        raise ModuleNotFoundError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look up their module here
    try:
        with _seeded():
            loader.exec_module(module)
    except BaseException:
        del sys.modules[unique]
        raise
    return module


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Have torch's global generator at a fixed seed, and as it was afterwards.

    A module of torch that a file makes then has the same first values in each process.
    """
    import torch  # noqa: PLC0415  # takes a second

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _unload_edited() -> None:
    """Forget the modules that have been edited since, and those that imported them."""
    names = loaded_modules.keys() & sys.modules.keys()
    edited = {name for name in names if not _is_current(name)}
    for name in names:
        if name in edited or imported_by(name) & edited:
            del sys.modules[name]


def _is_current(name: str) -> bool:
    loaded = loaded_modules[name]
    try:
        is_current = loaded.path.read_bytes() == loaded.content
    except OSError:
        return False
    return is_current and not has_edited_data(sys.modules[name])

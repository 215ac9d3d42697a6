"""The files and packages that an external class consists of, and their check.

A module that is loaded must be what its file states.
"""

import functools
import hashlib
import stat
import sys
import time
import types
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path, PurePath
from typing import Any
from weakref import WeakKeyDictionary

from mmbench.core.code_files import (
    CodeFile,
    RecordingLoader,
    constant_text,
    file_of,
    find_beside,
    find_module,
    imported_by,
    is_external_file,
    loaded_modules,
    parse_source,
    place_of_file,
    version_of_package,
)
from mmbench.core.code_patches import function_in
from mmbench.core.errors import CodeError

_RACY_SECONDS = 2.0  # a file that changed so recently may change again unseen


class CodeParts:
    """The files and packages that a class consists of.

    Args:
        cls: the class, for messages.

    Attributes:
        files: its external files.
    """

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self.files: dict[Path, CodeFile] = {}
        self._queue: list[CodeFile] = []
        self._packages: set[str] = set()

    def lines(self) -> Iterator[str]:
        """Yield what stands for them in a digest, in an order of its own."""
        for file in sorted(
            (file.label, file.source.digest) for file in self.files.values()
        ):
            yield repr(file)
        for version in sorted(filter(None, map(version_of_package, self._packages))):
            yield repr(version)

    def add_module(self, module: Any) -> None:
        """Add the file of a module, where it is external; else its package.

        Args:
            module: a module, or the object that took its place in `sys.modules`.
        """
        path = file_of(module)
        if path is None:
            self.add_package(str(getattr(module, "__name__", "")))
        else:
            self.add_file(path, module.__name__)

    def add_file(self, path: Path, module: str) -> CodeFile:
        """Add a file, and return it."""
        if path not in self.files:
            try:
                self.files[path] = CodeFile.of_module(module, path)
            except OSError as error:
                raise CodeError(
                    f"{path}, which {self._cls.__name__} consists of, must be a file "
                    f"that can be read; it gave {type(error).__name__}: "
                    f"{error.strerror}."
                ) from error
            self._queue.append(self.files[path])
        return self.files[path]

    def add_installed(self, cls: type) -> None:
        """Add the file of a class in an installed package, and the package."""
        module = sys.modules.get(cls.__module__)
        file = getattr(module, "__file__", None)
        package = cls.__module__.partition(".")[0]
        if isinstance(file, str) and package not in sys.stdlib_module_names:
            self.add_file(Path(file), cls.__module__)
        self.add_package(cls.__module__)

    def add_imports(self) -> None:
        """Add all files that files import, after a check of each.

        Raises:
            CodeError: when a loaded module differs from its file.
        """
        while self._queue:
            file = self._queue.pop()
            _check_loaded(file)
            for name in file.imports():
                self.add_import(name, file.home)
            for name in imported_by(file.module) & sys.modules.keys():
                self.add_module(sys.modules[name])
            if file.module in sys.modules:
                for value in list(vars(sys.modules[file.module]).values()):
                    if isinstance(value, types.ModuleType):
                        self.add_module(value)

    def add_import(self, name: str, home: Path | None) -> None:
        """Add a module by its absolute name, loaded or not."""
        module = sys.modules.get(name)
        if module is not None:
            self.check_home(name, home)
            self.add_module(module)
            return
        spec = find_spec(name, home)
        if spec is None:
            return
        if is_external_spec(spec):
            origin = Path(spec.origin)
            self.add_file(origin.resolve().parent / origin.name, name)
        else:
            self.add_package(name)

    def check_home(self, name: str, home: Path | None) -> None:
        """Check that an import found no module of another class's folder.

        Python keeps one module of each name, so a second `helper.py` is not read.
        """
        loaded = loaded_modules.get(name)
        if not loaded or not home or loaded.home == home:
            return
        spec = find_beside(name, home)
        if spec and Path(spec.origin).resolve() != loaded.path.resolve():
            raise CodeError(
                "Modules that external classes import must have different names; "
                f"{spec.origin} and {loaded.path} are both named {name}. Rename one of "
                "them."
            )

    def add_package(self, module: str) -> None:
        """Add the package of a module, by the module's name."""
        self._packages.add(module.partition(".")[0])


def find_spec(name: str, home: Path | None) -> Any:
    """Return the spec of a module that is not loaded; None where there is none."""
    package, _, _ = name.rpartition(".")
    path = None
    if package:
        parent = sys.modules.get(package) or find_spec(package, home)
        path = getattr(parent, "__path__", None) or getattr(
            parent, "submodule_search_locations", None
        )
        if path is None:
            return None
    try:
        return find_module(name, path, home)
    except (ImportError, AttributeError, ValueError, OSError):
        return None


def is_external_spec(spec: Any) -> bool:
    """Return whether the spec of a module, if there is one, is of an external file."""
    has_file = spec is not None and spec.has_location and spec.origin
    return bool(has_file) and is_external_file(Path(spec.origin))


def edited_error(path: Path, what: str) -> CodeError:
    """Return the error for a file that was edited after it was imported."""
    return CodeError(
        f"{path} must be as it was when it was imported; {what} is not what the file "
        "says. Import it anew, or start Python again."
    )


# What the file of an external module held when it was first seen, by name: the spec
# of the module, which is another one after a reload, and the bytes of the file.
_sources: dict[str, tuple[Any, bytes]] = {}
# What the data files of classes held when the classes were made, by class.
_data: "WeakKeyDictionary[type, dict[Path, str]]" = WeakKeyDictionary()


def remember_files(cls: type) -> None:
    """Remember what files of external code hold when one of its classes is made.

    The module of the class is being executed and has executed what it imports; either
    may have read the data files of the class.
    """
    if cls.__module__.partition(".")[0] == "mmbench":
        return
    _sources.pop(cls.__module__, None)
    for name, module in list(sys.modules.items()):
        if not isinstance(module, types.ModuleType) or _is_remembered(name, module):
            continue
        path = file_of(module)
        if path is not None:
            with suppress(OSError):
                _remember_source(module, CodeFile.of_module(name, path))
    if "data_files" in vars(cls):
        with suppress(CodeError):  # names that are none are refused when they are used
            who = cls.__name__
            files = data_files(cls, who)
            _data[cls] = {path: digest_of_data(path, who) for path in files}


def _is_remembered(name: str, module: types.ModuleType) -> bool:
    return name in _sources and _sources[name][0] is module.__spec__


def _remember_source(module: types.ModuleType, file: CodeFile) -> bytes:
    """Return what a module's file held when it was first seen."""
    if not _is_remembered(file.module, module):
        _sources[file.module] = module.__spec__, file.content
    return _sources[file.module][1]


def _check_loaded(file: CodeFile) -> None:
    """Check that a loaded module has the functions and constants of its file.

    Nor may the file state anything else than when it was first seen.

    Raises:
        CodeError: when it has others.
    """
    module = sys.modules.get(file.module)
    if module is None or file.is_recorded or not is_plain(module):
        return
    first = _remember_source(module, file)
    if first != file.content and parse_source(first).digest != file.source.digest:
        raise edited_error(file.path, "what was loaded")
    for name, value in file.source.constants.items():
        found = vars(module).get(name, value)
        is_alike = type(found) is type(value)
        if is_alike and constant_text(found) != constant_text(value):
            raise edited_error(file.path, name)
    for value in list(vars(module).values()):
        is_own_class = isinstance(value, type) and value.__module__ == module.__name__
        for member in [value, *(vars(value).values() if is_own_class else ())]:
            function = function_in(member)
            if function is None or function.__globals__ is not vars(module):
                continue
            code = function.__code__
            is_of_file = file_of_function(function) == file.path
            if is_of_file and file.find_code(code) is None:
                raise edited_error(file.path, code.co_qualname)


def is_plain(module: Any) -> bool:
    """Return whether a module runs what its file states.

    A loader that rewrites sources, as that of a test runner, is of another class.
    """
    kinds = (type(None), SourceFileLoader, RecordingLoader)
    return type(getattr(module, "__loader__", None)) in kinds


def file_of_function(function: types.FunctionType) -> Path | None:
    """Return the file that a function's code is from; None where there is none."""
    name = function.__code__.co_filename
    if name.startswith("<"):
        return None
    path = Path(name)
    own = function.__globals__.get("__file__")
    if isinstance(own, str) and Path(own).name == path.name:
        path = Path(own)  # a script's code has the path that it was started by
    return place_of_file(str(path)) if path.is_file() else None


def data_files(cls: type, who: str) -> Iterator[Path]:
    """Yield the data files that a class names, below the folder of its file.

    Args:
        cls: the class.
        who: name of the class whose digest is made, for messages.

    Raises:
        CodeError: when they are no names.
    """
    names = vars(cls).get("data_files", ())
    names = (names,) if isinstance(names, str | PurePath) else names
    is_list = isinstance(names, tuple | list | set | frozenset)
    if not is_list or not all(
        isinstance(name, str | PurePath) and "\0" not in str(name) for name in names
    ):
        raise CodeError(
            f"{who}.data_files must be a tuple of names of files; got {names!r}."
        )
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    folder = Path(file).resolve().parent if file else Path.cwd()
    for name in sorted(map(str, names)):
        yield folder / name


def check_data(cls: type, path: Path, content: str) -> None:
    """Check that a data file is as it was when the class was made.

    Args:
        cls: the class.
        path: one of its data files.
        content: the digest of what the file holds now.

    Raises:
        CodeError: when it has been edited since.
    """
    if _data.get(cls, {}).get(path, content) != content:
        raise CodeError(
            f"{path} must be as it was when {cls.__name__} was defined, which may have "
            "read it then; it was edited. Define the class anew, or start Python again."
        )


def has_edited_data(module: types.ModuleType) -> bool:
    """Return whether a data file of a class of a module has been edited since."""
    for cls in vars(module).values():
        if not isinstance(cls, type) or cls not in _data:
            continue
        try:
            for path in _data[cls]:
                check_data(cls, path, digest_of_data(path, cls.__name__))
        except CodeError:
            return True
    return False


def digest_of_data(path: Path, who: str) -> str:
    """Return the digest of a data file.

    Args:
        path: the file.
        who: name of the class, for messages.

    Raises:
        CodeError: when it cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not path.is_dir():
            raise CodeError(
                f"{who}.data_files must name files of fixed content; {path} is a pipe "
                "or a device."
            )
        stamp = (
            status.st_ctime_ns,
            status.st_mtime_ns,
            status.st_ino,
            status.st_size,
        )
        if time.time() - status.st_ctime < _RACY_SECONDS:
            return _sha256(path)
        return _sha256_of_stamp(path, stamp)
    except OSError as error:
        raise CodeError(
            f"{who}.data_files must name files that can be read; "
            f"{path} gave {type(error).__name__}: {error.strerror}."
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=1024)
def _sha256_of_stamp(path: Path, _stamp: tuple[int, ...]) -> str:
    return _sha256(path)

"""The digest of external code: of what runs when a class is used.

It covers the source of the class's file and of all external files that it imports, and
what the class's functions use besides: values of globals, of closures and of defaults,
functions and classes of other modules, versions of installed packages, and the data
files that the class names. A function must be what its file states; one without a file
counts by the statement that was typed, or by its bytecode.

Not covered are files and environment variables that are read while a step runs, names
that are looked up by computed strings, and state within installed packages.
"""

import contextlib
import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import importlib
import re
import sys
import time
import types
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import resolve_name
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

from mmbench.core.code_files import (
    CodeFile,
    RecordingLoader,
    describe_code,
    file_of,
    find_beside,
    find_module,
    finder,
    imported_by,
    is_external_class,
    is_external_file,
    is_installed_name,
    is_of_mmbench,
    loaded_modules,
    typed_source,
    version_of_package,
)
from mmbench.core.errors import CodeError

_RACY_SECONDS = 2.0  # a file that changed so recently may change again unseen
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, slice)
_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
)
_BUILTINS = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)
# What Python and `dataclasses` add to a class; it follows from the rest.
_GENERATED = frozenset(
    f"__{name}__"
    for name in (
        *("init", "repr", "eq", "lt", "le", "gt", "ge", "hash", "new"),
        *("setattr", "delattr", "replace", "getstate", "setstate"),
    )
)

# Names that Python gives each module; their values are of its place.
_MODULE_NAMES = frozenset(
    f"__{name}__"
    for name in ("name", "file", "path", "spec", "loader", "package", "builtins")
)
_UNIQUE_NAME = re.compile(r"mmbench_external_(\w+?)_[0-9a-f]{16}")


class CodeDigest(NamedTuple):
    """The digest of what runs when a class is used.

    Args:
        digest: SHA-256 in hexadecimal.
        files: the external files of its modules.
    """

    digest: str
    files: frozenset[Path]


def code_digest(cls: type) -> CodeDigest:
    """Return the digest of a class that is not of mmbench.

    Of a class in an installed package it has the file and the package's version.

    Raises:
        CodeError: when loaded code differs from its file, or uses what cannot be
            compared between processes.
    """
    check_unpatched(cls)
    walk = _Walk(cls)
    try:
        walk.visit(cls, cls.__name__)
        for base in cls.__mro__:
            if not is_external_class(base) and not is_of_mmbench(base):
                walk.add_installed(base)
        walk.visit_rest()
    except RecursionError:
        raise CodeError(
            f"{cls.__name__} must use values that are nested less deep; Python's "
            "recursion limit was reached."
        ) from None
    return CodeDigest(walk.finish(), frozenset(walk.files))


class _Walk:
    """A walk through the objects that a class depends on, which feeds one digest.

    Args:
        cls: the class, for messages.
    """

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._hash = hashlib.sha256()
        self._seen: dict[int, tuple[int, Any]] = {}  # id: number, and the object itself
        # Whose objects are walked through; those without content are then let pass.
        self._lenient: Literal["", "package", "module"] = ""
        self._modules: list[types.ModuleType] = []  # to be walked through at the end
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        self._folder = str(Path(file).resolve().parent) if file else None
        self.files: dict[Path, CodeFile] = {}
        self._queue: list[CodeFile] = []
        self._packages: set[str] = set()

    def finish(self) -> str:
        """Add what is independent of the order of the walk, and return the digest."""
        files = sorted((file.label, file.source.digest) for file in self.files.values())
        versions = sorted(
            version for name in self._packages if (version := version_of_package(name))
        )
        optimised = [f"optimize {level}"] if (level := sys.flags.optimize) else []
        for entry in (*files, *versions, *optimised):
            self._add(repr(entry))
        return self._hash.hexdigest()

    def _add(self, text: str) -> None:
        text = _UNIQUE_NAME.sub(r"\1", text)  # it has the bytes and the folder
        if self._folder:
            text = text.replace(self._folder, ".")
        self._hash.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))

    # ---- objects ----

    def visit(self, value: Any, where: str) -> None:
        """Add an object.

        Args:
            value: the object.
            where: what it is to the class, for messages.
        """
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            text = value.hex() if isinstance(value, float) else repr(value)
            self._add(f"{type(value).__name__} {text}")
            return
        if type(value) is tuple:
            self._visit_all("tuple", value, where)
            return
        if id(value) in self._seen:
            self._add(f"seen {self._seen[id(value)][0]}")
            return
        self._seen[id(value)] = len(self._seen), value
        self._visit_new(value, where)

    def _visit_all(self, kind: str, values: Iterable[Any], where: str) -> None:
        values = list(values)
        self._add(f"{kind} {len(values)}")
        for value in values:
            self.visit(value, where)

    def _visit_new(self, value: Any, where: str) -> None:
        """Add an object that the walk meets for the first time."""
        if isinstance(value, type):
            self._visit_class(value)
        elif isinstance(value, types.FunctionType):
            self._visit_function(value, where)
        elif isinstance(value, types.ModuleType):
            self._visit_module(value)
        elif isinstance(value, _DESCRIPTORS):
            self._add("descriptor")
        elif isinstance(value, _BUILTINS):
            self._add(f"builtin {value.__qualname__}")
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType | type):
                self.visit(owner, where)
        elif type(value) is list:
            self._visit_all("list", value, where)
        elif type(value) is dict:
            self._visit_all("dict", (x for item in value.items() for x in item), where)
        elif type(value) in (set, frozenset):
            self._visit_set(value, where)
        elif isinstance(value, PurePath):
            self._add(f"path {value}")
        elif not self._visit_wrapper(value, where):
            self._visit_instance(value, where)

    def _visit_set(self, value: Iterable[Any], where: str) -> None:
        """Add a set, whose order depends on the process."""
        outer, seen, digests = self._hash, self._seen, []
        for entry in value:
            self._hash, self._seen = hashlib.sha256(), dict(seen)
            self.visit(entry, where)
            digests.append(self._hash.hexdigest())
        self._hash, self._seen = outer, seen
        self._add(f"set {sorted(digests)}")

    def _visit_wrapper(self, value: Any, where: str) -> bool:
        """Add a callable that holds others; return whether the object is one."""
        if isinstance(value, types.MethodType):
            parts: tuple[Any, ...] = (value.__func__, value.__self__)
        elif isinstance(value, staticmethod | classmethod):
            parts = (value.__func__,)
        elif isinstance(value, property):
            parts = (value.fget, value.fset, value.fdel)
        elif isinstance(value, functools.cached_property):
            parts = (value.func,)
        elif isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
        elif isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001
            parts = (value.__wrapped__,)
        elif isinstance(value, types.MappingProxyType):
            parts = (dict(value),)
        else:
            return False
        self._visit_all(type(value).__name__, parts, where)
        return True

    def _visit_instance(self, value: Any, where: str) -> None:
        """Add an object by its content: a tensor's bytes, or what pickle would take."""
        cls = type(value)
        torch = sys.modules.get("torch")
        if torch and isinstance(value, torch.Tensor):
            try:
                data = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
                content = data.reshape(-1).view(torch.uint8).numpy().tobytes()
            except (RuntimeError, TypeError, NotImplementedError) as error:
                raise self._incomparable(value, where) from error
            self._add(f"tensor {data.dtype} {tuple(data.shape)}")
            self._add(hashlib.sha256(content).hexdigest())
            return
        if isinstance(value, enum.Enum):
            self.visit(cls, where)
            self._add(value.name)
            return
        try:
            reduce = copyreg.dispatch_table.get(cls)
            reduced = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception as error:  # of an external class, or of what has no content
            if self._lenient:
                self._add(f"instance {cls.__module__}:{cls.__qualname__}")
                return
            raise self._incomparable(value, where) from error
        if isinstance(reduced, str):
            self._add(f"global {cls.__module__}:{reduced}")
            return
        self._add("instance")
        for part in reduced[:3]:
            self.visit(part, where)
        for part in reduced[3:5]:
            self._visit_all("items", part or (), where)

    def _incomparable(self, value: Any, where: str) -> CodeError:
        return CodeError(
            f"{self._cls.__name__} must use only values whose content can be compared "
            f"between processes; {where} is a {type(value).__qualname__}. Make it in "
            "the function that uses it, or a field of plain values."
        )

    def _visit_module(self, module: types.ModuleType) -> None:
        self._add(f"module {module.__name__.rpartition('.')[2]}")
        self.add_module(module)
        if file_of(module) is not None:
            self._modules.append(module)

    def _visit_class(self, cls: type) -> None:
        """Add a class: external ones with their bases and all that they define."""
        module = sys.modules.get(cls.__module__)
        is_external = is_external_class(cls)
        name = (
            cls.__qualname__ if is_external else f"{cls.__module__}:{cls.__qualname__}"
        )
        self._add(f"class {name}")
        if not is_external:
            self._add_package(cls.__module__)
            return
        if module is not None:
            self.add_module(module)
        self._visit_all("bases", cls.__bases__, f"a base of {cls.__qualname__}")
        if is_external_class(type(cls)):
            self.visit(type(cls), f"the metaclass of {cls.__qualname__}")
        for name, value in sorted(vars(cls).items()):
            if not _follows(cls, name, value):
                self._add(name)
                self.visit(value, f"{cls.__qualname__}.{name}")
        for data in _data_files(cls):
            self._add(f"data {data.name} {self._digest_of_data(data)}")

    def _digest_of_data(self, path: Path) -> str:
        try:
            status = path.stat()
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
                f"{self._cls.__name__}.data_files must name files that can be read; "
                f"{path} gave {type(error).__name__}: {error.strerror}."
            ) from error

    # ---- functions ----

    def _visit_function(self, function: types.FunctionType, where: str) -> None:
        """Add a function: its code, and the values that it uses."""
        code = function.__code__
        if is_installed_name(code.co_filename):
            self._visit_installed(function, where)
            return
        file = _file_of_function(function)
        before = self._lenient
        if before == "package":
            self._lenient = ""
        self._visit_external(function, file, where)
        self._lenient = before

    def _visit_external(
        self, function: types.FunctionType, file: Path | None, where: str
    ) -> None:
        """Add a function of external code: its source, and the values that it uses."""
        code = function.__code__
        self._add(f"function {self._source_of(function, file, where)}")
        self._visit_captured(function, where)
        names = _global_names(code)
        for name in sorted(names.loaded - _MODULE_NAMES):
            if name in function.__globals__:
                self._add(name)
                value = function.__globals__[name]
                self.visit(value, f"the global {name!r}")
                self._visit_attributes(value, names.attributes)
        for statement in names.imports:
            for module in self._imported(function, statement):
                self.visit(module, f"the module {module.__name__}")
                self._visit_attributes(module, names.attributes)

    def _imported(
        self, function: types.FunctionType, statement: "_Import"
    ) -> Iterator[types.ModuleType]:
        """Yield the modules that an import statement of a function gives.

        External modules that are not loaded are imported, as the function would do, so
        that their values are known.
        """
        own = function.__globals__
        loaded = loaded_modules.get(str(own.get("__name__")))
        home, name = loaded.home if loaded else None, statement.name
        try:
            if statement.level:
                dots = "." * statement.level
                name = resolve_name(f"{dots}{name}", own.get("__package__"))
        except ImportError:  # the function will raise it
            return
        for full in (name, *(f"{name}.{each}" for each in statement.attributes)):
            self._add_import(full, home)
            if full not in sys.modules and _is_external_spec(_find(full, home)):
                # Whatever it raises, the function will raise it as well.
                with contextlib.suppress(Exception, SystemExit), finder.serving(home):
                    importlib.import_module(full)
            if full in sys.modules:
                self._check_home(full, home)
                yield sys.modules[full]

    def _visit_attributes(self, module: Any, names: frozenset[str]) -> None:
        """Add the values that an external module has under the names in a code."""
        if not isinstance(module, types.ModuleType) or file_of(module) is None:
            return
        for name in sorted(names & vars(module).keys()):
            value = vars(module)[name]
            if isinstance(value, types.ModuleType) and id(value) in self._seen:
                continue
            self._add(name)
            self.visit(value, f"{module.__name__}.{name}")
            self._visit_attributes(value, names)

    def _visit_installed(self, function: types.FunctionType, where: str) -> None:
        """Add a function of an installed package, which may wrap an external one."""
        self._add(f"function {function.__module__}:{function.__qualname__}")
        self._add_package(function.__module__ or "")
        compiled = getattr(function, "_torchdynamo_orig_callable", None)
        if compiled is not None:
            self.visit(compiled, where)
            return
        before, self._lenient = self._lenient, self._lenient or "package"
        self._visit_captured(function, where)
        self._lenient = before

    def _visit_captured(self, function: types.FunctionType, where: str) -> None:
        """Add what a function captured when it was made."""
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            self._add(name)
            try:
                content = cell.cell_contents
            except ValueError:  # it is empty
                continue
            self.visit(content, f"{name!r}, which {where} closes over,")
        self.visit(function.__defaults__, f"a default of {where}")
        self.visit(function.__kwdefaults__, f"a default of {where}")
        for name, value in sorted(vars(function).items()):
            if not name.startswith("__") or name == "__wrapped__":
                self._add(name)
                self.visit(value, f"{where}.{name}")

    def _source_of(
        self, function: types.FunctionType, path: Path | None, where: str
    ) -> str:
        """Return what stands for the code of a function, after a check of its file.

        Raises:
            CodeError: when its file says something else.
        """
        code, module = function.__code__, str(function.__globals__.get("__name__"))
        if path is None:
            typed = typed_source(code)
            return typed or f"bytecode {_PYTHON} {describe_code(code)}"
        file = self.add_file(path, module)
        if (found := file.find_code(code)) is not None:
            return f"{file.label} {found}"
        if _is_plain(sys.modules.get(module)):
            raise _edited(path, code.co_qualname)
        return f"bytecode {_PYTHON} {describe_code(code)}"

    # ---- files and packages ----

    def add_module(self, module: types.ModuleType) -> None:
        """Add the file of a module, where it is external; else its package."""
        path = file_of(module)
        if path is None:
            self._add_package(module.__name__)
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
        self._add_package(cls.__module__)

    def visit_rest(self) -> None:
        """Add the modules that were met, and all files that files import."""
        self._lenient = "module"
        while self._queue or self._modules:
            if self._modules:
                self._visit_values(self._modules.pop(0))
                continue
            file = self._queue.pop()
            _check_loaded(file)
            for name in file.imports():
                self._add_import(name, file.home)
            for name in imported_by(file.module) & sys.modules.keys():
                self.add_module(sys.modules[name])
            if file.module in sys.modules:
                for value in list(vars(sys.modules[file.module]).values()):
                    if isinstance(value, types.ModuleType):
                        self.add_module(value)

    def _visit_values(self, module: types.ModuleType) -> None:
        """Add all that a module has, since no code shows what is used of it."""
        for name, value in sorted(vars(module).items()):
            if not name.startswith("__") and not isinstance(value, types.ModuleType):
                self._add(name)
                self.visit(value, f"{module.__name__}.{name}")

    def _add_import(self, name: str, home: Path | None) -> None:
        """Add a module by its absolute name, loaded or not."""
        module = sys.modules.get(name)
        if module is not None:
            self._check_home(name, home)
            self.add_module(module)
            return
        spec = _find(name, home)
        if spec is None:
            return
        if _is_external_spec(spec):
            origin = Path(spec.origin)
            self.add_file(origin.resolve().parent / origin.name, name)
        else:
            self._add_package(name)

    def _check_home(self, name: str, home: Path | None) -> None:
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

    def _add_package(self, module: str) -> None:
        self._packages.add(module.partition(".")[0])


def _find(name: str, home: Path | None) -> Any:
    """Return the spec of a module that is not loaded; None where there is none."""
    package, _, _ = name.rpartition(".")
    path = None
    if package:
        parent = sys.modules.get(package) or _find(package, home)
        path = getattr(parent, "__path__", None) or getattr(
            parent, "submodule_search_locations", None
        )
        if path is None:
            return None
    try:
        return find_module(name, path, home)
    except (ImportError, AttributeError, ValueError, OSError):
        return None


def _is_external_spec(spec: Any) -> bool:
    """Return whether the spec of a module, if there is one, is of an external file."""
    has_file = spec is not None and spec.has_location and spec.origin
    return bool(has_file) and is_external_file(Path(spec.origin))


def _edited(path: Path, what: str) -> CodeError:
    return CodeError(
        f"{path} must be as it was when it was imported; {what} is not what the file "
        "says. Import it anew, or start Python again."
    )


def _check_loaded(file: CodeFile) -> None:
    """Check that a loaded module has the functions and constants of its file.

    Raises:
        CodeError: when it has others.
    """
    module = sys.modules.get(file.module)
    if module is None or file.is_recorded or not _is_plain(module):
        return
    for name, value in file.source.constants.items():
        found = vars(module).get(name, value)
        if type(found) is type(value) and repr(found) != repr(value):
            raise _edited(file.path, name)
    for value in list(vars(module).values()):
        is_own_class = isinstance(value, type) and value.__module__ == module.__name__
        for member in [value, *(vars(value).values() if is_own_class else ())]:
            function = _function_in(member)
            if function is None or function.__globals__ is not vars(module):
                continue
            code = function.__code__
            is_of_file = _file_of_function(function) == file.path
            if is_of_file and file.find_code(code) is None:
                raise _edited(file.path, code.co_qualname)


def _is_plain(module: types.ModuleType | None) -> bool:
    """Return whether a module runs what its file states.

    A loader that rewrites sources, as that of a test runner, is of another class.
    """
    kinds = (type(None), SourceFileLoader, RecordingLoader)
    return type(getattr(module, "__loader__", None)) in kinds


def _follows(cls: type, name: str, value: Any) -> bool:
    """Return whether an entry of a class follows from the others, or is of no use."""
    function = _function_in(value)
    if function:
        file = function.__code__.co_filename
        has_generated = "__dataclass_params__" in vars(cls) or issubclass(cls, tuple)
        is_generated = name in _GENERATED and file == "<string>" and has_generated
        return is_generated or _is_of_namedtuple(function)
    is_dunder = name.startswith("__") and name.endswith("__")
    return (is_dunder and not callable(value)) or name == "_abc_impl"


def _is_of_namedtuple(function: types.FunctionType) -> bool:
    return str(function.__globals__.get("__name__", "")).startswith("namedtuple_")


def _data_files(cls: type) -> Iterator[Path]:
    """Yield the data files that a class names, below the folder of its file."""
    names = vars(cls).get("data_files", ())
    names = (names,) if isinstance(names, str | Path) else sorted(map(str, names))
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    folder = Path(file).resolve().parent if file else Path.cwd()
    for name in names:
        yield folder / name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=1024)
def _sha256_of_stamp(path: Path, _stamp: tuple[int, ...]) -> str:
    return _sha256(path)


def _file_of_function(function: types.FunctionType) -> Path | None:
    """Return the file that a function's code is from; None where there is none."""
    name = function.__code__.co_filename
    if name.startswith("<"):
        return None
    path = Path(name)
    own = function.__globals__.get("__file__")
    if isinstance(own, str) and Path(own).name == path.name:
        path = Path(own)  # a script's code has the path that it was started by
    return path.resolve().parent / path.name if path.is_file() else None


class _Import(NamedTuple):
    """An import statement in a code: its dots, its module and names taken from it."""

    level: int
    name: str
    attributes: tuple[str, ...]


class _Names(NamedTuple):
    """Names in a code and in those nested in it, by their use."""

    loaded: frozenset[str]
    attributes: frozenset[str]
    imports: tuple[_Import, ...]


@cache
def _global_names(code: types.CodeType) -> _Names:
    loaded, attributes, imports = set(), set(code.co_names), set()
    before: list[Any] = [0, None]  # what the last two instructions put on the stack
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            loaded.add(str(instruction.argval))
        elif instruction.opname == "IMPORT_NAME":
            level, names = before
            imports.add(_Import(level, str(instruction.argval), tuple(names or ())))
        before = [before[1], instruction.argval]
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            inner = _global_names(const)
            loaded |= inner.loaded
            attributes |= inner.attributes
            imports |= set(inner.imports)
    return _Names(frozenset(loaded), frozenset(attributes), tuple(sorted(imports)))


# What the bodies of classes of mmbench define, by class.
_definitions: dict[type, dict[str, Any]] = {}


def remember_definitions(cls: type) -> None:
    """Remember what the body of a class of mmbench has just defined."""
    if cls.__module__.partition(".")[0] == "mmbench":
        _definitions[cls] = dict(vars(cls))


def check_unpatched(cls: type) -> None:
    """Check that the classes of mmbench among a class and its bases are unchanged.

    Raises:
        CodeError: when a method was replaced or added.
    """
    for base in cls.__mro__:
        defined = _definitions.get(base)
        if defined is None:
            continue
        for name, value in list(vars(base).items()):
            before = defined.get(name)
            if value is before or _follows(base, name, value):
                continue
            is_new = name not in defined
            if isinstance(before, dataclasses.Field) or (
                is_new and not _is_method(value)
            ):
                continue  # made by `dataclass`
            if not _is_wrapped_by_package(value, before):
                raise CodeError(
                    f"{base.__qualname__} must be as mmbench defines it; its {name} "
                    "was replaced. Derive your own class from it."
                )


def _is_method(value: Any) -> bool:
    return callable(value) or hasattr(value, "__get__")


def _is_wrapped_by_package(value: Any, before: Any) -> bool:
    """Return whether an installed package, as a type checker, wrapped a method."""
    inner = _function_in(value)
    outer = value
    for name in ("fget", "func", "__func__"):
        outer = getattr(outer, name, outer)
    if inner is None or not isinstance(outer, types.FunctionType):
        return False
    file = outer.__code__.co_filename
    is_package = is_installed_name(file) or file.startswith("<@")
    return is_package and inner is _function_in(before)


def _function_in(value: Any) -> types.FunctionType | None:
    """Return the innermost function of an entry of a class, if it has one."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    elif isinstance(value, staticmethod | classmethod):
        value = value.__func__
    while isinstance(value, types.FunctionType) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value if isinstance(value, types.FunctionType) else None

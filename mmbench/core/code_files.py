"""Files of external code: which they are, what of them was loaded, what they import.

External code is all that is neither of mmbench nor of the standard library nor of an
installed package. An editable install is external: its files change.
"""

import ast
import contextlib
import hashlib
import importlib.machinery
import importlib.metadata
import inspect
import linecache
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache, cached_property, lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

# Packages whose versions are part of the provenance of each cell, and mmbench.
RECORDED_PACKAGES = ("mmbench", "torch", "numpy", "pandas", "scipy")
_OWN_FOLDER = Path(__file__).resolve().parent.parent
_MAX_SOURCES = 4096  # parsed at a time


class Loaded(NamedTuple):
    """What `RecordingLoader` compiled.

    Args:
        path: the file.
        content: its bytes, which are those that were compiled.
        home: folder in which its imports are looked up first; None where Python alone
            decides.
    """

    path: Path
    content: bytes
    home: Path | None


# Modules loaded by `RecordingLoader`, by name, and the modules that each imported.
loaded_modules: dict[str, Loaded] = {}
_imported_by: dict[str, set[str]] = {}


def imported_by(module: str) -> set[str]:
    """Return the modules that a module, or one of these, imported.

    Only modules that `RecordingLoader` loaded are among them.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        new = _imported_by.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


class RecordingLoader(importlib.machinery.SourceFileLoader):
    """A loader that compiles the bytes of a source file and keeps them.

    Python's own loader takes a compiled file in `__pycache__` for current where size
    and time, in whole seconds, are those of the source.

    Args:
        name: name of the module.
        path: its file.
        home: as `Loaded` has it.
    """

    def __init__(self, name: str, path: str, home: Path | None) -> None:
        super().__init__(name, path)
        self._home = home

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        content = self.get_data(self.path)
        loaded_modules[fullname] = Loaded(Path(self.path), content, self._home)
        code: CodeType = self.source_to_code(content, self.path)
        return code


def is_external_file(path: Path) -> bool:
    """Return whether a file is of external code."""
    return not is_installed_name(str(path))


def is_installed_name(file: str) -> bool:
    """Return whether a code's file is of mmbench or of an installed package."""
    return not file.startswith("<") and _is_installed(file, tuple(sys.path))


@cache
def _is_installed(file: str, search_path: tuple[str, ...]) -> bool:
    path = _resolve(file)
    is_listed = path in _installed_paths(search_path)
    return is_listed or _is_in_installed(path.parent, search_path)


@cache
def _is_in_installed(folder: Path, search_path: tuple[str, ...]) -> bool:
    installed = _installed_paths(search_path)
    return any(place in installed for place in (folder, *folder.parents))


@cache
def _resolve(file: str) -> Path:
    """Return a file without links; thousands are asked for each search path."""
    return Path(file).resolve()


@cache
def _installed_paths(search_path: tuple[str, ...]) -> frozenset[Path]:
    """Return the folders of mmbench, the standard library and installed packages.

    Of other folders on the search path, where `pip install --target` may have put
    packages, it has what the metadata of these list.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_paths()[name] for name in names]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    found = {_OWN_FOLDER, *(Path(folder).resolve() for folder in folders)}
    for record in (path for e in search_path for path in Path(e).glob("*.dist-info")):
        with contextlib.suppress(OSError):
            lines = (record / "RECORD").read_text("utf-8", "replace").splitlines()
            tops = {line.split(",")[0].split("/")[0] for line in lines} - {"", ".."}
            found |= {(record.parent / top).resolve() for top in tops}
    return frozenset(found)


def file_of(module: Any) -> Path | None:
    """Return the file of an external module; None for any other.

    A program that is read from standard input has none.
    """
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or file == "<stdin>" or is_installed_name(file):
        return None
    return place_of_file(file)


def place_of_file(file: str) -> Path:
    """Return a file's path without links of folders; a link goes by its own name."""
    return _place(file, os.getcwd())  # noqa: PTH109  # thousands are asked for


@cache
def _place(file: str, _working_directory: str) -> Path:
    path = Path(file)
    return path.resolve().parent / path.name


def is_external_module(module: ModuleType) -> bool:
    """Return whether the values of a module are those of external code.

    External is also a module that was made in a session, `__main__`, and a package
    without a file in a folder of no installed package.
    """
    if file_of(module) is not None or module.__name__ == "__main__":
        return True
    if isinstance(getattr(module, "__file__", None), str):
        return False
    if module.__spec__ is None:
        return True
    folders = list(getattr(module, "__path__", ()))
    return bool(folders) and not any(map(is_installed_name, map(str, folders)))


def is_external_class(cls: type) -> bool:
    """Return whether a class is neither of mmbench nor of an installed package.

    What is typed in a session or started as a script is external, and so is a class
    whose module has no file, unless Python itself has the module built in, and one that
    was made by a call: its module is that of the function that made it.
    """
    home: Any = cls.__module__
    if not isinstance(home, str):  # a class in C of an installed package
        return False
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    is_stdlib = cls.__module__.partition(".")[0] in sys.stdlib_module_names
    if cls.__module__ == "__main__" or (is_stdlib and not _is_found(cls, module)):
        return True
    if any(map(_is_external_function, vars(cls).values())):
        return True  # whatever module it says that it is of
    if isinstance(file, str):
        return not is_installed_name(file)
    return not is_stdlib


def _is_external_function(value: Any) -> bool:
    """Return whether an entry of a class is a function of an external file."""
    if not isinstance(value, FunctionType):
        return False
    file = value.__code__.co_filename
    return not file.startswith("<") and not is_installed_name(file)


def _is_found(cls: type, module: Any) -> bool:
    """Return whether a module has a class under its name, or has private classes."""
    found = module
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    if found is cls:
        return True
    functions = [value for value in vars(cls).values() if hasattr(value, "__code__")]
    return bool(functions) and all(
        is_installed_name(function.__code__.co_filename) for function in functions
    )


def is_of_mmbench(cls: type) -> bool:
    """Return whether a class is the one that mmbench defines under its name."""
    if cls.__module__.partition(".")[0] != "mmbench":
        return False
    return getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls


class CodeFile:
    """An external file, as it was loaded or, where that is not known, as it is.

    Args:
        path: the file.
        content: its bytes.
        name: name of its module, loaded or not.
        home: as `Loaded` has it.

    Attributes:
        module: name of the module that was loaded from it; empty for none.
    """

    def __init__(
        self, path: Path, content: bytes, name: str, home: Path | None
    ) -> None:
        self.path, self.content, self.name, self.home = path, content, name, home
        self.module = name if name in sys.modules else ""

    @classmethod
    def of_module(cls, name: str, path: Path) -> "CodeFile":
        """Return the file of a module, which need not be loaded.

        Raises:
            OSError: when it cannot be read.
        """
        loaded = loaded_modules.get(name)
        if loaded and _same_file(loaded.path, path):
            return cls(path, loaded.content, name, loaded.home)
        return cls(path, path.read_bytes(), name, None)

    @cached_property
    def label(self) -> str:
        """The file's path below the folder that its name is relative to."""
        if "." in self.name:  # a package, which need not have an __init__.py
            is_init = self.path.name == "__init__.py"
            place = self.name.replace(".", "/")
            return f"{place}/__init__.py" if is_init else f"{place}{self.path.suffix}"
        folder = self.path.parent
        while folder != folder.parent and (folder / "__init__.py").exists():
            folder = folder.parent
        return self.path.relative_to(folder).as_posix()

    @property
    def is_recorded(self) -> bool:
        """Whether the bytes are those that were compiled."""
        loaded = loaded_modules.get(self.module)
        return loaded is not None and loaded.content == self.content

    @property
    def source(self) -> "ParsedSource":
        """What the bytes say."""
        return parse_source(self.content)

    def find_code(self, code: CodeType) -> str | None:
        """Return the place of a function's code among those that the bytes compile to.

        A reloader may have compiled a method under another qualified name.

        Returns:
            Qualified name and number; None where the file has no such code.
        """
        named = _compiled(self.content, str(self.path)).get(code.co_name, [])
        same = [i for i, found in enumerate(named) if is_same_code(code, found)]
        exact = [i for i in same if named[i].co_qualname == code.co_qualname]
        return next((f"{named[i].co_qualname} {i}" for i in (*exact, *same)), None)

    def imports(self) -> Iterator[str]:
        """Yield the absolute names of modules that the file's statements import.

        Names of attributes are among them where they could be those of modules.
        """
        package = self._package()
        for level, name, attributes in self.source.imports:
            base = name
            if level:
                parents = package.split(".")
                if not package or level > len(parents):
                    continue
                parents = parents[: len(parents) - level + 1]
                base = ".".join([*parents, *([name] if name else [])])
            yield base
            for attribute in attributes:
                yield f"{base}.{attribute}"

    def _package(self) -> str:
        module = sys.modules.get(self.module)
        package = getattr(module, "__package__", None)  # a module may be any object
        if package:
            return str(package)
        return ".".join(Path(self.label).parent.parts)


def _same_file(a: Path, b: Path) -> bool:
    return a == b or a.resolve() == b.resolve()


class ParsedSource(NamedTuple):
    """What the bytes of a source file say.

    Args:
        digest: SHA-256 of its statements, without comments, layout and docstrings; of
            the bytes where they are no Python.
        imports: level, module and attributes of each import statement.
        constants: names that are set once, to a literal, and their values.
    """

    digest: str
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    constants: dict[str, Any]


@lru_cache(maxsize=_MAX_SOURCES)
def parse_source(content: bytes) -> ParsedSource:
    """Parse the bytes of a source file."""
    try:
        tree = ast.parse(content)
        digest = digest_of_nodes(tree.body, keep_docs=b"__doc__" in content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ParsedSource(hashlib.sha256(content).hexdigest(), (), {})
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                imports += [
                    (0, ".".join(parts[: i + 1]), ()) for i in range(len(parts))
                ]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names if alias.name != "*")
            parts = (node.module or "").split(".")
            for i in range(len(parts) - 1):
                imports.append((node.level, ".".join(parts[: i + 1]), ()))
            imports.append((node.level, node.module or "", names))
    return ParsedSource(digest, tuple(dict.fromkeys(imports)), _constants(tree))


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Return the names that a module sets once, to a literal, and their values."""
    stored = [
        name
        for node in ast.walk(tree)
        for name in (
            [node.id]
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
            else node.names
            if isinstance(node, ast.Global)
            else []
        )
    ]
    found = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value:
            targets, value = [statement.target], statement.value
        else:
            continue
        target = targets[0]
        if (
            len(targets) == 1
            and isinstance(target, ast.Name)
            and stored.count(target.id) == 1
        ):
            try:
                literal = ast.literal_eval(value)
                hash(literal)  # a list or a dict may be filled later
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
            found[target.id] = literal
    return found


def digest_of_nodes(nodes: list[ast.stmt], *, keep_docs: bool) -> str:
    """Return the SHA-256 of statements, without comments, layout and docstrings.

    It does not depend on the version of Python, as far as its grammar goes.

    Args:
        nodes: the statements.
        keep_docs: whether docstrings count.
    """
    digest = hashlib.sha256()
    stack: list[Any] = [_without_doc(nodes, keep_docs)]
    while stack:  # a deep expression must not exhaust the interpreter's stack
        item = stack.pop()
        if isinstance(item, ast.AST):
            digest.update(f"<{type(item).__name__}".encode())
            stack.append(">")
            for name, value in reversed(list(ast.iter_fields(item))):
                if name in ("ctx", "kind", "type_comment") or value in (None, []):
                    continue
                is_body = name == "body" and isinstance(value, list)
                stack.append(_without_doc(value, keep_docs) if is_body else value)
                stack.append(f"{name}=")
        elif isinstance(item, list):
            stack.append("]")
            stack += reversed(item)
            digest.update(b"[")
        elif isinstance(item, str):
            digest.update(f"{len(item)}:{item}".encode("utf-8", "surrogatepass"))
        else:
            digest.update(f"{type(item).__name__} {item!r};".encode())
    return digest.hexdigest()


def _without_doc(body: list[ast.stmt], keep_docs: bool) -> list[ast.stmt]:
    has_doc = (
        not keep_docs
        and body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )
    return body[1:] if has_doc else body


@lru_cache(maxsize=_MAX_SOURCES)
def _compiled(content: bytes, path: str) -> dict[str, list[CodeType]]:
    """Return the code of the functions of a source file, by name."""
    found: dict[str, list[CodeType]] = {}
    try:
        waiting = [compile(content, path, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    while waiting:
        code = waiting.pop(0)
        found.setdefault(code.co_name, []).append(code)
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]
    return found


def is_same_code(a: CodeType, b: CodeType) -> bool:
    """Return whether two codes do the same, wherever in a file they stand."""
    return describe_code(a) == describe_code(b)


@lru_cache(maxsize=_MAX_SOURCES)
def describe_code(code: CodeType) -> str:
    """Return what a code does, as text; it depends on the version of Python."""
    consts = [
        describe_code(const)
        if isinstance(const, CodeType)
        else f"{type(const).__name__} {constant_text(const)}"
        for const in code.co_consts
    ]
    return repr(
        (
            *(code.co_code, code.co_names, code.co_varnames, code.co_freevars),
            *(code.co_cellvars, code.co_argcount, code.co_posonlyargcount),
            *(code.co_kwonlyargcount, code.co_flags, code.co_exceptiontable, consts),
        )
    )


def constant_text(value: Any) -> str:
    """Return the text of a plain value, the same in every process.

    The order of a set depends on the process, and Python writes no whole number of
    thousands of decimal digits.
    """
    match value:
        case bool():
            return repr(value)
        case int():
            return hex(value)
        case range() | slice():
            ends = map(constant_text, (value.start, value.stop, value.step))
            return f"{type(value).__name__}({', '.join(ends)})"
        case tuple() | list():
            return f"{type(value).__name__}({', '.join(map(constant_text, value))})"
        case set() | frozenset():
            return f"{type(value).__name__}({sorted(map(constant_text, value))})"
        case dict():
            pairs = (
                f"{constant_text(k)}: {constant_text(v)}" for k, v in value.items()
            )
            return f"dict({', '.join(pairs)})"
    return repr(value)


def typed_source(code: CodeType) -> str | None:
    """Return the source of a function that was typed in a session; None if unknown.

    It is the digest of the whole top-level statement that the function stands in, with
    others on its lines, and the place of this one among functions of one name in them.
    """
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    named = _compiled("".join(lines).encode(), code.co_filename).get(code.co_name, [])
    if not any(is_same_code(code, candidate) for candidate in named):
        return None
    line = code.co_firstlineno
    nodes = [node for node in tree.body if line in _lines_of(node)]
    if not nodes:
        return None
    lines_of_nodes = set().union(*map(_lines_of, nodes))
    inside = [one for one in named if one.co_firstlineno in lines_of_nodes]
    place = [is_same_code(code, one) for one in inside].index(True)
    digest = digest_of_nodes(nodes, keep_docs=False)
    return f"{digest} {place}" if place else digest


def _lines_of(node: ast.stmt) -> range:
    """Return the lines of a statement, those of its decorators included."""
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(item.lineno for item in decorators)])
    return range(first, (node.end_lineno or first) + 1)


def find_module(name: str, path: Any, home: Path | None) -> Any:
    """Return the spec of a module that an external file imports; it is not loaded.

    Args:
        name: absolute name of the module.
        path: where its package looks for it; None for a top-level name.
        home: folder that is looked up first.
    """
    if home and path is None and (spec := find_beside(name, home)):
        return spec
    for finder in sys.meta_path:
        if isinstance(finder, ExternalFinder):
            continue
        find = getattr(finder, "find_spec", None)
        if find and (found := find(name, path)):
            return found
    if home and path is None:
        return importlib.machinery.PathFinder.find_spec(name, [str(home)])
    return None


def find_beside(name: str, home: Path) -> Any:
    """Return the spec of a top-level module in a folder; None where there is none."""
    if "." in name or name in sys.builtin_module_names:
        return None
    spec = importlib.machinery.PathFinder.find_spec(name, [str(home)])
    return spec if spec and spec.origin else None  # no folder without __init__.py


class ExternalFinder:
    """A finder for what external code imports: beside it first, by our loader.

    It serves imports from modules that `RecordingLoader` loaded, whenever they run, and
    all imports while `serves_all` is above zero.
    """

    serves_all = 0
    home: Path | None = None  # looked up first, where the importer is not known

    @contextlib.contextmanager
    def serving(self, home: Path | None) -> Iterator[None]:
        """Serve all imports within a context, those of mmbench from a folder first."""
        install_finder()
        before, self.home = self.home, home
        self.serves_all += 1
        try:
            yield
        finally:
            self.serves_all -= 1
            self.home = before

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a module; None where Python is to look for it."""
        importer_name = _importer()
        importer = loaded_modules.get(importer_name)
        if importer is None and not self.serves_all:
            return None
        home = importer.home if importer else self.home
        spec = find_module(name, path, home)
        if (
            spec
            and type(spec.loader) is importlib.machinery.SourceFileLoader
            and is_external_file(Path(spec.origin))
        ):
            spec.loader = RecordingLoader(name, spec.origin, home)
            _imported_by.setdefault(importer_name, set()).add(name)
        return spec


def _importer() -> str:
    """Return the name of the module whose code imports something just now."""
    frame, is_import = inspect.currentframe(), False
    while frame:
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] in ("importlib", "_frozen_importlib"):
            is_import = True
        elif is_import:
            return name
        frame = frame.f_back
    return ""


finder = ExternalFinder()


def install_finder() -> None:
    """Have Python ask `finder` before it looks into its path."""
    if finder not in sys.meta_path:
        own = importlib.machinery.PathFinder
        at = sys.meta_path.index(own) if own in sys.meta_path else len(sys.meta_path)
        sys.meta_path.insert(at, finder)


def version_of_package(name: str) -> str:
    """Return the version of an installed package by the name that imports it.

    It is empty where none is to be recorded: of the standard library, of mmbench, and
    of packages whose versions are part of each cell's provenance.
    """
    if name in sys.stdlib_module_names or name in RECORDED_PACKAGES:
        return ""
    found = sorted(filter(None, set(_distributions().get(name, ()))))
    return " ".join(f"{each} {importlib.metadata.version(each)}" for each in found)


@cache
def _distributions() -> dict[str, Any]:
    """Return which distributions bring a module; one without METADATA has no name."""
    return dict(importlib.metadata.packages_distributions())

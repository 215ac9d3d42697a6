"""The walk through all values that an external class uses, which gives its digest."""

import builtins
import contextlib
import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import importlib
import inspect
import re
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import resolve_name
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

from mmbench.core.code_files import (
    constant_text,
    describe_code,
    finder,
    is_external_class,
    is_external_module,
    is_installed_name,
    loaded_modules,
    typed_source,
)
from mmbench.core.code_parts import (
    CodeParts,
    check_data,
    data_files,
    digest_of_data,
    edited_error,
    file_of_function,
    find_spec,
    is_external_spec,
    is_plain,
)
from mmbench.core.code_patches import follows, is_dunder, is_own_dunder
from mmbench.core.errors import CodeError

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

# Where a name is looked up that a module does not have; a session may add names to it.
_BUILTIN_NAMES = vars(builtins)
_ABSENT = object()

# Names that Python gives each module; their values are of its place.
_MODULE_NAMES = frozenset(
    f"__{name}__"
    for name in ("name", "file", "path", "spec", "loader", "package", "builtins")
)
# Attributes that follow from what is known of an object of a kind.
_KNOWN_ATTRIBUTES = {
    functools.cached_property: ("func", "attrname", "lock"),
    enum.Enum: ("_name_", "_sort_order_"),
}
_UNIQUE_NAME = re.compile(r"mmbench_external_(\w+?)_[0-9a-f]{16}")


class Walk:
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
        # To be walked through at the end, in an order that no set has given.
        self._modules: dict[int, types.ModuleType] = {}
        self._walked: set[int] = set()
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        self._folder = str(Path(file).resolve().parent) if file else None
        self.parts = CodeParts(cls)
        self.caches: list[Any] = []  # functions that remember what they returned
        self.data: set[Path] = set()  # files that its classes name as their data

    def finish(self) -> str:
        """Add what is independent of the order of the walk, and return the digest."""
        optimised = [f"optimize {level}"] if (level := sys.flags.optimize) else []
        for line in (*self.parts.lines(), *map(repr, optimised)):
            self._add(line)
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
            text = value.hex() if isinstance(value, float) else constant_text(value)
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
            home = getattr(value, "__module__", None)
            home = home if isinstance(home, str) else ""
            self._add(f"builtin {home}:{value.__qualname__}")
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
            self._visit_own(value, where)
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
            code = getattr(value.__wrapped__, "__code__", None)
            if code and not is_installed_name(code.co_filename):
                self.caches.append(value)
        elif isinstance(value, weakref.WeakKeyDictionary) and self._lenient:
            return True  # what `functools.singledispatch` has found
        elif isinstance(value, types.MappingProxyType):
            parts = (dict(value),)
        else:
            return False
        self._visit_all(type(value).__name__, parts, where)
        self._visit_own(value, where)
        return True

    def _visit_own(self, value: Any, where: str) -> None:
        """Add what an object has beyond what its kind has: its class and attributes."""
        if is_external_class(type(value)):
            self.visit(type(value), f"the class of {where}")
        for name, own in sorted(_own_attributes(value).items()):
            self._add(name)
            self.visit(own, f"{where}.{name}")

    def _visit_instance(self, value: Any, where: str) -> None:
        """Add an object by its content: what pickle would take, and what that lacks."""
        cls, torch = type(value), sys.modules.get("torch")
        if torch and isinstance(value, torch.Tensor):
            self._visit_tensor(value, where)
            return
        if isinstance(value, enum.Enum):
            self.visit(cls, where)
            self._add(value.name)
            if is_external_class(cls):
                self._visit_own(value, where)
            return
        try:
            reduce = copyreg.dispatch_table.get(cls)
            reduced = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception as error:  # of an external class, or of what has no content
            if torch and isinstance(value, torch.nn.Module):  # it is parametrised
                self._visit_all("module", (cls, *cls.__bases__, vars(value)), where)
                return
            if self._lenient:
                self._add(f"instance {cls.__module__}:{cls.__qualname__}")
                return
            raise self._incomparable(value, where) from error
        if isinstance(reduced, str):
            self._visit_named(value, reduced, where)
            return
        function, arguments, state, *items = (*reduced, None, None, None)[:5]
        if isinstance(state, dict):
            state = without_cached(cls, state)
            if torch and isinstance(value, torch.nn.Module):
                state = _with_ranked_hooks(state, vars(torch.nn.Module()))
        self._add("instance")
        for part in (function, arguments, state):
            self.visit(part, where)
        for part in items:
            self._visit_all("items", part or (), where)
        if isinstance(value, getattr(sys.modules.get("numpy"), "ndarray", ())):
            self._visit_own(value, where)

    def _visit_tensor(self, value: Any, where: str) -> None:
        """Add a tensor of torch: its bytes, attributes and hooks."""
        torch: Any = sys.modules["torch"]
        try:
            data = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
            content = data.reshape(-1).view(torch.uint8).numpy().tobytes()
        except (RuntimeError, TypeError, NotImplementedError) as error:
            raise self._incomparable(value, where) from error
        self._add(f"tensor {data.dtype} {tuple(data.shape)} {value.requires_grad}")
        self._add(hashlib.sha256(content).hexdigest())
        self._visit_own(value, where)
        hooks = value._backward_hooks or {}  # noqa: SLF001  # torch has no other name
        self._visit_all("hooks", hooks.values(), where)

    def _visit_named(self, value: Any, name: str, where: str) -> None:
        """Add an object that pickle takes by the name of a global."""
        cls = type(value)
        if is_external_class(cls):  # its content, whatever name it goes by
            self._add("instance")
            self._visit_own(value, where)
        elif self._lenient or _is_of_package(value, name):
            home = getattr(value, "__module__", None) or cls.__module__
            self._add(f"global {home}:{name}")
        else:
            raise self._incomparable(value, where)

    def _incomparable(self, value: Any, where: str) -> CodeError:
        return CodeError(
            f"{self._cls.__name__} must use only values whose content can be compared "
            f"between processes; {where} is a {type(value).__qualname__}. Make it in "
            "the function that uses it, or a field of plain values."
        )

    def _visit_module(self, module: types.ModuleType) -> None:
        name, is_external = module.__name__, is_external_module(module)
        self._add(f"module {name.rpartition('.')[2] if is_external else name}")
        self.parts.add_module(module)
        # What is used of `__main__` is known by name; it holds a whole session.
        if is_external and name != "__main__":
            self._modules[id(module)] = module

    def _visit_class(self, cls: type) -> None:
        """Add a class: external ones with their bases and all that they define."""
        module: Any = sys.modules.get(cls.__module__)
        is_external = is_external_class(cls)
        name = (
            cls.__qualname__ if is_external else f"{cls.__module__}:{cls.__qualname__}"
        )
        self._add(f"class {name}")
        if not is_external:
            self.parts.add_package(cls.__module__)
            return
        if isinstance(module, types.ModuleType):
            self.parts.add_module(module)
        self._visit_all("bases", cls.__bases__, f"a base of {cls.__qualname__}")
        if is_external_class(type(cls)):
            self.visit(type(cls), f"the metaclass of {cls.__qualname__}")
        for name, value in sorted(vars(cls).items()):
            # Members that are combinations come up as they are used.
            is_found = issubclass(cls, enum.Enum) and name == "_value2member_map_"
            is_declared = is_found or is_own_dunder(name, value)
            if not is_declared and not follows(cls, name, value):
                self._add(name)
                self.visit(value, f"{cls.__qualname__}.{name}")
        self._visit_declarations(cls)
        for data in data_files(cls, self._cls.__name__):
            content = digest_of_data(data, self._cls.__name__)
            check_data(cls, data, content)
            self.data.add(data)
            self._add(f"data {data.name} {content}")

    def _visit_declarations(self, cls: type) -> None:
        """Add what a class's body declares without a function that states it."""
        for field in vars(cls).get("__dataclass_fields__", {}).values():
            flags = field.init, field.repr, field.compare, field.hash
            self._add(f"{field.name} {flags}")
            content = (field.default, field.default_factory)
            given = [one for one in content if one is not dataclasses.MISSING]
            self._visit_all("field", given, f"{cls.__qualname__}.{field.name}")
            self.visit(dict(field.metadata), f"{cls.__qualname__}.{field.name}")
        before, self._lenient = self._lenient, self._lenient or "package"
        # Packages may keep objects without content under names like those of Python.
        own = [name for name, value in vars(cls).items() if is_own_dunder(name, value)]
        for name in ("__orig_bases__", "__annotations__", *sorted(own)):
            self._add(name)
            # Python gives a class an empty dict of annotations when one asks for them.
            self.visit(vars(cls).get(name) or None, f"{cls.__qualname__}.{name}")
        self._lenient = before

    # ---- functions ----

    def _visit_function(self, function: types.FunctionType, where: str) -> None:
        """Add a function: its code, and the values that it uses."""
        code = function.__code__
        if is_installed_name(code.co_filename):
            self._visit_installed(function, where)
            return
        file = file_of_function(function)
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
            value = function.__globals__.get(name, _BUILTIN_NAMES.get(name, _ABSENT))
            if value is not _ABSENT:
                self._add(name)
                self.visit(value, f"the global {name!r}")
                self._visit_attributes(value, names.attributes)
        for statement in names.imports:
            for module in self._imported(function, statement):
                self.visit(module, f"the import of {statement.name}")
                self._visit_attributes(module, names.attributes)

    def _imported(
        self, function: types.FunctionType, statement: "_Import"
    ) -> Iterator[Any]:
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
            self.parts.add_import(full, home)
            if full not in sys.modules and is_external_spec(find_spec(full, home)):
                # Whatever it raises, the function will raise it as well.
                with contextlib.suppress(Exception, SystemExit), finder.serving(home):
                    importlib.import_module(full)
            if full in sys.modules:
                self.parts.check_home(full, home)
                yield sys.modules[full]

    def _visit_attributes(self, module: Any, names: frozenset[str]) -> None:
        """Add the values that an external module has under the names in a code."""
        if not isinstance(module, types.ModuleType) or not is_external_module(module):
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
        self.parts.add_package(function.__module__ or "")
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
        file = self.parts.add_file(path, module)
        if (found := file.find_code(code)) is not None:
            return f"{file.label} {file.source.digest} {found}"
        if is_plain(sys.modules.get(module)):
            raise edited_error(path, code.co_qualname)
        return f"bytecode {_PYTHON} {describe_code(code)}"

    def visit_rest(self) -> None:
        """Add the modules that were met, and all files that files import."""
        self._lenient = "module"
        self.parts.add_imports()
        while waiting := self._modules.keys() - self._walked:
            names = {key: _place_of(self._modules[key]) for key in waiting}
            first = min(waiting, key=names.__getitem__)
            self._walked.add(first)
            self._visit_values(self._modules[first])
            self.parts.add_imports()

    def _visit_values(self, module: types.ModuleType) -> None:
        """Add all that a module has, since no code shows what is used of it."""
        for name, value in sorted(vars(module).items()):
            if not name.startswith("__") and not isinstance(value, types.ModuleType):
                self._add(name)
                self.visit(value, f"{module.__name__}.{name}")


def without_cached(cls: type, attributes: dict[Any, Any]) -> dict[Any, Any]:
    """Return the attributes of an object without what its properties have computed.

    Args:
        cls: the class of the object.
        attributes: its attributes by name.
    """
    return {
        name: value
        for name, value in attributes.items()
        if not isinstance(
            inspect.getattr_static(cls, str(name), None), functools.cached_property
        )
    }


def _with_ranked_hooks(state: dict[str, Any], empty: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a torch module with its hooks numbered from 0.

    torch numbers the hooks of all modules of a process in the order of their making.

    Args:
        state: the attributes of the module.
        empty: those of a module of torch's base class, which name the hooks.
    """
    hooks = {
        name: state[name] for name in empty if "_hooks" in name and state.get(name)
    }
    numbers = sorted({key for entry in hooks.values() for key in entry})
    return state | {
        name: {numbers.index(key): hook for key, hook in entry.items()}
        for name, entry in hooks.items()
    }


def _place_of(module: types.ModuleType) -> tuple[str, str]:
    """Return the name and the file of a module, by which modules are ordered."""
    return module.__name__, str(getattr(module, "__file__", ""))


def _own_attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object that its kind does not have by itself."""
    found = dict(getattr(value, "__dict__", None) or {})
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ()) if is_external_class(base) else ()
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                found[name] = getattr(value, name)
    kinds = [kind for kind in _KNOWN_ATTRIBUTES if isinstance(value, kind)]
    known = {name for kind in kinds for name in _KNOWN_ATTRIBUTES[kind]}
    return {
        name: own
        for name, own in without_cached(type(value), found).items()
        if name not in known and not is_dunder(name)
    }


def _is_of_package(value: Any, name: str) -> bool:
    """Return whether an object is the global of that name of a package or of Python."""
    home = getattr(value, "__module__", None)
    modules = [sys.modules.get(home)] if home else list(sys.modules.values())
    return any(
        isinstance(module, types.ModuleType)
        and not is_external_module(module)
        and functools.reduce(_attribute, name.split("."), module) is value
        for module in modules
    )


def _attribute(owner: Any, name: str) -> Any:
    """Return an attribute that an object has by itself; None where it has none."""
    return getattr(owner, "__dict__", {}).get(name)


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

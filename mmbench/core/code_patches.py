"""The check that the classes of mmbench are as mmbench defines them."""

import dataclasses
import functools
import operator
import types
from typing import Any, TypeVar

from mmbench.core.code_files import is_installed_name
from mmbench.core.errors import CodeError

# What Python and `dataclasses` add to a class; it follows from the rest.
_GENERATED = frozenset(
    f"__{name}__"
    for name in (
        *("init", "repr", "eq", "lt", "le", "gt", "ge", "hash", "new"),
        *("setattr", "delattr", "replace", "getstate", "setstate"),
    )
)

# What Python, `dataclasses`, `typing` and `abc` keep in a class.
_OF_PYTHON = frozenset(
    f"__{name}__"
    for name in (
        *("module", "qualname", "doc", "dict", "weakref", "slots", "hash"),
        *("annotations", "annotate", "annotate_func", "annotations_cache"),
        *("dataclass_fields", "dataclass_params", "match_args", "final"),
        *("orig_bases", "parameters", "type_params", "abstractmethods", "classcell"),
        *("firstlineno", "static_attributes", "protocol_attrs", "objclass"),
        "slotnames",  # of `copyreg`, once an object has been copied
        *("non_callable_proto_members", "callable_proto_members_only"),
    )
)

Class = TypeVar("Class", bound=type)

# What the bodies of classes of mmbench define, by class.
_definitions: dict[type, dict[str, Any]] = {}
_checked: dict[type, dict[str, Any]] = {}  # its entries when they were in order
_protected: list[type] = []


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
        _check_definitions(base, "Derive your own class from it")


def protected(cls: Class) -> Class:
    """Have `check_protected` check a class of mmbench, of which no key is made."""
    remember_definitions(cls)
    if cls in _definitions:
        _protected.append(cls)
    return cls


def check_protected() -> None:
    """Check that the oracle and the games of mmbench are as mmbench defines them.

    Raises:
        CodeError: when a method was replaced or added.
    """
    for cls in _protected:
        _check_definitions(cls, "Start Python again, without what replaces it")


def _check_definitions(cls: type, instead: str) -> None:
    defined = _definitions.get(cls)
    if defined is None or _is_as_checked(cls):
        return
    for name, value in list(vars(cls).items()):
        before = defined.get(name)
        if value is before or follows(cls, name, value):
            continue
        is_new = name not in defined
        if isinstance(before, dataclasses.Field) or (is_new and not _is_method(value)):
            continue  # made by `dataclass`
        if not _is_wrapped_by_package(value, before):
            raise CodeError(
                f"{cls.__qualname__} must be as mmbench defines it; its {name} was "
                f"replaced. {instead}."
            )
    _checked[cls] = dict(vars(cls))


def _is_as_checked(cls: type) -> bool:
    """Return whether a class has the very entries that a check found in order."""
    checked = _checked.get(cls, {})
    present = vars(cls)
    return list(present) == list(checked) and all(
        map(operator.is_, present.values(), checked.values())
    )


def _is_method(value: Any) -> bool:
    return callable(value) or hasattr(value, "__get__")


def _is_wrapped_by_package(value: Any, before: Any) -> bool:
    """Return whether an installed package, as a type checker, wrapped a method."""
    inner = function_in(value)
    outer = value
    for name in ("fget", "func", "__func__"):
        outer = getattr(outer, name, outer)
    if inner is None or not isinstance(outer, types.FunctionType):
        return False
    file = outer.__code__.co_filename
    is_package = is_installed_name(file) or file.startswith("<@")
    return is_package and inner is function_in(before)


def follows(cls: type, name: str, value: Any) -> bool:
    """Return whether an entry of a class follows from the others, or is of no use."""
    function = function_in(value)
    if function:
        made = function.__code__.co_qualname.startswith("__create_fn__.")
        is_generated = (
            name in _GENERATED and made and "__dataclass_params__" in vars(cls)
        )
        return is_generated or _is_of_namedtuple(function)
    return (name in _OF_PYTHON and not callable(value)) or name == "_abc_impl"


def is_dunder(name: str) -> bool:
    """Return whether a name is like those that Python reserves for itself."""
    return name.startswith("__") and name.endswith("__")


def is_own_dunder(name: str, value: Any) -> bool:
    """Return whether an entry of a class only looks like one of Python's own values."""
    return is_dunder(name) and name not in _OF_PYTHON and not _is_method(value)


def _is_of_namedtuple(function: types.FunctionType) -> bool:
    return str(function.__globals__.get("__name__", "")).startswith("namedtuple_")


def function_in(value: Any) -> types.FunctionType | None:
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

"""The type checker of the tests: shapes and types of every call of mmbench."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Hashable, Iterable
from dataclasses import is_dataclass
from threading import local
from typing import Annotated, Any, Literal, NoReturn

import jaxtyping
import numpy as np
from beartype import BeartypeConf, beartype
from torch import Tensor

# An int may stand for a float, as everywhere in Python.
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped
_CONTAINERS = (tuple, list, dict, set, frozenset)

# Frames of this module are taken for those of jaxtyping, which mmbench expects between
# its functions and their callers; it refuses others that wrap its functions.
__name__ = "jaxtyping.checked"


def install_import_hook(modules: Iterable[str]) -> None:
    """Check every call of the functions of modules that are imported from now on.

    The hook of jaxtyping decorates functions with `jaxtyping.jaxtyped`, which doubles
    the time of the tests. `checked` takes its place, and calls it where it must.
    """
    jaxtyping.jaxtyped = checked
    jaxtyping.install_import_hook(list(modules), "typechecker.typechecker")


def checked(function: Any = None, *, typechecker: Callable) -> Any:
    """Return a function whose arguments and results are checked, or a class with such.

    The constructors of descriptions are left as they are: descriptions check their own
    fields, and tests check these messages.
    """
    if function is None:
        return functools.partial(checked, typechecker=typechecker)
    if inspect.isclass(function):
        if is_dataclass(function) and "__init__" in vars(function):
            init = checked(vars(function)["__init__"], typechecker=typechecker)
            function.__init__ = init
        return function
    if function.__name__ == "__init__":
        _, *given = inspect.signature(function).parameters.values()
        if given and all(value.kind is value.KEYWORD_ONLY for value in given):
            return function
    calls = _Calls(function, typechecker)

    def call(*arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        return calls.answer(arguments, named)

    return functools.update_wrapper(_as_of_jaxtyping(call), function)


def _as_of_jaxtyping(function: types.FunctionType) -> types.FunctionType:
    """Return a function whose code says that it is of jaxtyping."""
    file = _jaxtyped.__code__.co_filename
    function.__code__ = function.__code__.replace(co_filename=file)
    return function


class _Calls:
    """The calls of a function, which are checked by `jaxtyped` where they differ.

    What was found right is not checked again: the verdict follows from types, shapes
    and values that are compared.

    Args:
        function: the function.
        typechecker: what `jaxtyped` is given.
    """

    def __init__(self, function: Callable, typechecker: Callable) -> None:
        self._function, self._typechecker = function, typechecker
        hints = inspect.get_annotations(function).values()
        # Of these beartype checks an item at random, another one each time.
        self._are_sampled = any(map(_is_sampled, hints))
        # What arguments looked like, and what results looked like after these.
        self._right: dict[Hashable, set[Hashable]] = {}
        self._computed = local()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("What was checked is no part of a function.")

    @_as_of_jaxtyping
    def answer(self, arguments: tuple, named: dict[str, Any]) -> Any:
        """Call the function, and return its result."""
        __tracebackhide__ = True
        values = [*arguments, *named.values()]
        if self._are_sampled and any(isinstance(v, _CONTAINERS) and v for v in values):
            return self._check(*arguments, **named)
        seen = (*named, *map(_seen, values))
        results = self._right.get(seen)
        if results is None:
            result = self._check(*arguments, **named)
            self._right[seen] = set()
            return result
        result = self._function(*arguments, **named)
        is_sampled = self._are_sampled and isinstance(result, _CONTAINERS)
        after = _seen(result)
        if after not in results or is_sampled:
            self._computed.result = result
            self._check(*arguments, **named)
            results.add(after)
        return result

    @functools.cached_property
    def _check(self) -> Callable:
        """Call and check the function, or check the result that is there already."""
        function, computed = self._function, self._computed

        @_as_of_jaxtyping
        def compute(*arguments: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            if "result" in vars(computed):
                return vars(computed).pop("result")
            return function(*arguments, **named)

        # Annotations are evaluated where the function was defined.
        names, closure = function.__globals__, compute.__closure__
        same = types.FunctionType(compute.__code__, names, closure=closure)
        functools.update_wrapper(same, function)
        return _jaxtyped(same, typechecker=self._typechecker)


def _is_sampled(hint: Any) -> bool:
    """Return whether a value may have any number of items, which share a type."""
    if isinstance(hint, str):
        return "[" in hint
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is None or origin in (Callable, Literal, type):
        return False
    if origin in (typing.Union, types.UnionType) or (
        origin is tuple and ... not in inner
    ):
        return any(map(_is_sampled, inner))
    return _is_sampled(inner[0]) if origin is Annotated else True


def _seen(value: Any) -> Hashable:
    """Return all that the annotations of mmbench say anything about."""
    kind = type(value)
    parts = _PARTS.get(kind)
    if parts is None:
        parts = _PARTS[kind] = _parts_of(kind)
    return parts(value)


def _parts_of(kind: type) -> Callable[[Any], Hashable]:
    """Return a function that returns what is seen of the values of a type."""
    if issubclass(kind, Tensor | np.ndarray):
        return lambda value: (kind, value.dtype, value.shape)
    if kind in (int, bool, str) or issubclass(kind, type):
        return lambda value: (kind, value)
    if issubclass(kind, tuple):
        return lambda value: (kind, *map(_seen, value))
    return lambda _: kind


_PARTS: dict[type, Callable[[Any], Hashable]] = {}

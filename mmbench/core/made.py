"""Descriptions whose class was made by a call, as `mmbench.game` makes one.

Such a description has no fields: what it was made of are attributes of its class, and
so part of its key. Another process finds it by the variable that holds it.
"""

import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from mmbench.core.description import Description
from mmbench.core.errors import DescriptionError
from mmbench.core.printable import shorten

Base = TypeVar("Base", bound=Description)

_NAME = re.compile(r"[^\W\d][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class Made(Description):
    """Base of the descriptions whose classes calls make.

    Attributes:
        parts: made descriptions that this one brings along.
    """

    parts: ClassVar[tuple[Description, ...]] = ()

    def __reduce__(self) -> tuple:
        return _unpickle, (type(self).__module__, type(self).__qualname__)


def make(
    base: type[Base], name: Any, module: str, doc: str | None, **attributes: Any
) -> Base:
    """Return a description of a new class.

    Args:
        base: base class.
        name: name of the class, which tables show.
        module: name of the module that asks for it.
        doc: docstring, which reports print.
        attributes: attributes of the class.

    Raises:
        DescriptionError: when the name is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DescriptionError(
            "name must be a word of letters, digits, dots and dashes that begins with "
            f"a letter; got {shorten(name)}."
        )

    def fill(namespace: dict[str, Any]) -> None:
        namespace.update(attributes, __module__=module, __qualname__=name, __doc__=doc)

    cls = types.new_class(name, (base,), exec_body=fill)
    made: Any = dataclass(frozen=True, kw_only=True)(cls)
    return cast(Base, made())


def calling_module() -> str:
    """Return the name of the module that called mmbench."""
    frame: Any = sys._getframe(1)  # noqa: SLF001  # the module of who calls us
    while _is_between(frame):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))  # `exec` may give none


def _is_between(frame: Any) -> bool:
    """Return whether a frame is of mmbench, or of a check of its arguments."""
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    return (
        package in ("mmbench", "jaxtyping") or "@beartype" in frame.f_code.co_filename
    )


def made_in(module: Any) -> Iterator[tuple[str, Made]]:
    """Yield what variables of a module hold, each with the name of its variable.

    What a description brings along has the name of its class.
    """
    held = [
        (name, value)
        for name, value in list(vars(module).items())
        if isinstance(value, Made)
    ]
    yield from held
    for _, value in held:
        for part in value.parts:
            if isinstance(part, Made):
                yield type(part).__qualname__, part


def variable_of(cls: type) -> str:
    """Return the name by which another process finds a made class in its module.

    Returns:
        The name; empty where no variable of the module holds it.
    """
    module = sys.modules.get(cls.__module__)
    held = made_in(module) if module else ()
    return next((name for name, value in held if type(value) is cls), "")


def find_made(module: Any, name: str) -> Made | None:
    """Return what a variable, or a class, of a name in a module made; None for none."""
    by_class = {type(value).__qualname__: value for _, value in made_in(module)}
    return (by_class | dict(made_in(module))).get(name)


def _unpickle(module: str, name: str) -> Made:
    found = find_made(sys.modules[module], name)
    if found is None:
        raise AttributeError(f"{module} has no {name}")
    return found

"""A check that external code stays, while it runs, what its key stands for."""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmbench.core.code_digest import code_digest
from mmbench.core.code_files import file_of, is_of_mmbench
from mmbench.core.description import Description
from mmbench.core.errors import CodeError


class CodeGuard:
    """A check of the external classes in a description; without any it does nothing.

    Args:
        description: what is about to be computed.
        is_current: returns whether its key is what it was when it was planned.

    Raises:
        CodeError: when it is not.
    """

    def __init__(
        self, description: Description, is_current: Callable[[], bool]
    ) -> None:
        classes = dict.fromkeys(_external_classes(description))
        if classes and not is_current():
            raise _changed(next(iter(classes)))
        self._folder = Path.cwd()
        self._digests = {cls: code_digest(cls) for cls in classes}
        self._loaded = _external_modules() if classes else {}

    def check(self) -> None:
        """Check that nothing has changed, and that no other code was loaded.

        Raises:
            CodeError: when the results are not those of the code in the key.
        """
        if not self._digests:
            return
        os.chdir(self._folder)  # external code may have left it
        known = {path for digest in self._digests.values() for path in digest.files}
        name = next(iter(self._digests)).__name__
        for module, path in _external_modules().items():
            if module not in self._loaded and path not in known:
                raise CodeError(
                    f"{name} must import what it uses by import statements, so that "
                    f"its key contains it; {path} was imported while it ran. Nothing "
                    "was stored."
                )
        for cls, before in self._digests.items():
            if code_digest(cls).digest != before.digest:
                raise _changed(cls)


def _external_classes(value: Any) -> Iterator[type]:
    """Yield the external classes of a description and of those nested in it."""
    if isinstance(value, tuple):
        for entry in value:
            yield from _external_classes(entry)
    if isinstance(value, Description):
        if not is_of_mmbench(type(value)):
            yield type(value)
        for field in dataclasses.fields(value):
            yield from _external_classes(getattr(value, field.name))


def _external_modules() -> dict[str, Any]:
    """Return the external modules that are loaded, by name, and their files."""
    found = {name: file_of(module) for name, module in list(sys.modules.items())}
    return {name: path for name, path in found.items() if path is not None}


def _changed(cls: type) -> CodeError:
    return CodeError(
        f"{cls.__name__} must not change the code or the globals that it uses once it "
        "is planned, for its key stands for them; it did. Nothing was stored. Keep "
        "such values in the state."
    )

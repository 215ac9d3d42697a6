"""A check that external code stays, while it runs, what its key stands for."""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmbench.core.code_digest import CodeDigest, code_digest, digest_of_value
from mmbench.core.code_files import file_of, is_of_mmbench
from mmbench.core.code_patches import check_protected
from mmbench.core.code_values import without_cached
from mmbench.core.description import Description, nested
from mmbench.core.errors import CodeError


class CodeGuard:
    """A check that a description's external classes and mmbench's own are unchanged.

    When it is made, functions of the classes forget what `functools.cache` remembers.

    Args:
        description: what is about to be computed.
        is_current: returns whether its key is what it was when it was planned.

    Raises:
        CodeError: when it is not.
    """

    def __init__(self, description: Any, is_current: Callable[[], bool]) -> None:
        check_protected()
        external = list(_external(description))
        classes = dict.fromkeys(map(type, external))
        self._digests: dict[type, CodeDigest] = {}
        if not classes:
            return
        if not is_current():
            raise _changed(next(iter(classes)))
        self._folder = Path.cwd()
        self._digests |= {cls: code_digest(cls) for cls in classes}
        for digest in self._digests.values():
            for cache in digest.caches:
                cache.cache_clear()  # it may hold what earlier values of globals gave
        self._objects = [(found, _attributes(found)) for found in external]
        self._loaded = _external_modules()

    def check(self) -> None:
        """Check that nothing has changed, and that no other code was loaded.

        Raises:
            CodeError: when the results are not those of the code in the key.
        """
        check_protected()
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
        for found, attributes in self._objects:
            for changed in attributes.items() ^ _attributes(found).items():
                raise CodeError(
                    f"{type(found).__name__} must not change its own attributes once "
                    f"it runs; {changed[0]} was set. Nothing was stored. Keep what "
                    "changes in the state, and what follows from fields in a "
                    "functools.cached_property."
                )


def _external(description: Any) -> Iterator[Description]:
    """Yield what is of external classes in a description, and itself if it is."""
    for found in nested(description):
        if not is_of_mmbench(type(found)):
            yield found


def _attributes(found: Description) -> dict[str, str]:
    """Return the digests of what an object has besides fields and cached properties."""
    cls = type(found)
    fields = {field.name for field in dataclasses.fields(found)}
    return {
        name: digest_of_value(cls, name, value)
        for name, value in without_cached(cls, vars(found)).items()
        if name not in fields
    }


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

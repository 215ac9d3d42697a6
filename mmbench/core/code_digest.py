"""The digest of external code: of what runs when a class is used.

It covers the source of the class's file and of all external files that it imports, and
what the class's functions use besides: values of globals, of closures and of defaults,
functions and classes of other modules, versions of installed packages, and the data
files that the class names. A function must be what its file states; one without a file
counts by the statement that was typed, or by its bytecode.

Not covered are files and environment variables that are read while a step runs, the
time and random numbers, docstrings, names that are looked up by computed strings, and
state within installed packages.
"""

from pathlib import Path
from typing import Any, NamedTuple

from mmbench.core.code_files import is_external_class, is_of_mmbench
from mmbench.core.code_patches import check_unpatched
from mmbench.core.code_values import Walk
from mmbench.core.errors import CodeError


class CodeDigest(NamedTuple):
    """The digest of what runs when a class is used.

    Args:
        digest: SHA-256 in hexadecimal.
        files: the external files of its modules.
        caches: its functions that remember what they returned, by `functools`.
        data: the data files of its classes.
    """

    digest: str
    files: frozenset[Path]
    caches: tuple[Any, ...]
    data: frozenset[Path]


def code_digest(cls: type) -> CodeDigest:
    """Return the digest of a class that is not of mmbench.

    Of a class in an installed package it has the file and the package's version.

    Raises:
        CodeError: when loaded code differs from its file, or uses what cannot be
            compared between processes.
    """
    check_unpatched(cls)
    walk = Walk(cls)
    try:
        walk.visit(cls, cls.__name__)
        for base in cls.__mro__:
            if not is_external_class(base) and not is_of_mmbench(base):
                walk.parts.add_installed(base)
        walk.visit_rest()
    except RecursionError:
        raise CodeError(
            f"{cls.__name__} must use values that are nested less deep; Python's "
            "recursion limit was reached."
        ) from None
    digest = walk.finish()
    files, data = frozenset(walk.parts.files), frozenset(walk.data)
    return CodeDigest(digest, files, tuple(walk.caches), data)


def digest_of_value(cls: type, name: str, value: Any) -> str:
    """Return the digest of an attribute that an object of an external class holds.

    Raises:
        CodeError: when its content cannot be compared.
    """
    walk = Walk(cls)
    walk.visit(value, f"{cls.__name__}.{name}")
    return walk.finish()

"""Beside: the source files that an outside module is made of.

A module is itself and what it imports from beside it: files of its own folder and, for
a module of a package, of the folder that the package lies in; and what these import in
turn. Found by reading the sources, so that nothing is run; an import by a computed name
goes unseen.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path


def source_digest(file: Path) -> str:
    """SHA-256 of a module's source and of all that it imports from beside it.

    Raises:
        OSError: when the file cannot be read.
    """
    root = _root(file)
    lines = [
        f"{one.relative_to(root).as_posix()} {_digest(one)}"
        for one in sorted(sources(file))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sources(file: Path) -> set[Path]:
    """The file and those that it imports from beside it, directly or not."""
    start = file.resolve()
    root = _root(file)
    found, waiting = set(), [start]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _imported(one, root, start.parent)
    return found


def _root(file: Path) -> Path:
    """The folder that imports are looked up in: the first that is no package."""
    folder = file.resolve().parent
    while folder != folder.parent and (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _imported(file: Path, root: Path, folder: Path) -> Iterator[Path]:
    """Files under the root that a file's import statements name.

    Args:
        file: whose statements.
        root: where absolute names are looked up.
        folder: of the module that all began with, where they are looked up too.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # its bytes count, but it imports nothing
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                for base in {root, folder}:
                    yield from _files(base, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            for base in (
                _bases(file, node.level, root) if node.level else {root, folder}
            ):
                yield from _files(base, module)
                for alias in node.names:  # which may be a module of its own
                    yield from _files(base, [*module, alias.name])


def _bases(file: Path, level: int, root: Path) -> Iterator[Path]:
    """The folder that so many dots of a relative import mean; none above the root."""
    parents = file.parents[level - 1 : level]
    yield from (one for one in parents if one == root or root in one.parents)


def _files(base: Path, parts: list[str]) -> Iterator[Path]:
    """The file of a dotted name under a folder, and those of the packages above it.

    Links are not followed, so that a file is known by the name that imports it.
    """
    folder = base
    for part in parts:
        for path in (folder / part / "__init__.py", folder / f"{part}.py"):
            if path.is_file():
                yield path
        folder = folder / part

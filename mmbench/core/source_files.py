"""The source files that an external module consists of.

These are its own file and the local files that it imports, directly or not: files of
its folder and, if it belongs to a package, of the folder that contains the package.
They are found by parsing the sources, so that nothing is run; an import by a computed
name is not found.
"""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path


def source_digest(file: Path) -> str:
    """Return the SHA-256 of a module's source and of the local files that it imports.

    Raises:
        OSError: when the file cannot be read.
    """
    root = _root(file)
    lines = [
        f"{source.relative_to(root).as_posix()} {_digest(source)}"
        for source in sorted(collect_source_files(file))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def collect_source_files(file: Path) -> set[Path]:
    """Return a file and the local files that it imports, directly or not."""
    start = file.resolve()
    root = _root(file)
    found, waiting = set(), [start]
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting += _imports(source, root, start.parent)
    return found


def _root(file: Path) -> Path:
    """Return the folder of absolute imports: the nearest one that is no package."""
    folder = file.resolve().parent
    while folder != folder.parent and (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _imports(file: Path, root: Path, folder: Path) -> Iterator[Path]:
    """Yield the files under a root that the import statements of a file name.

    Args:
        file: source file with the statements.
        root: folder in which absolute names are looked up.
        folder: folder of the first module, in which they are looked up as well.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # its bytes are part of the digest, but it imports nothing
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
                for alias in node.names:  # each may be a module
                    yield from _files(base, [*module, alias.name])


def _bases(file: Path, level: int, root: Path) -> Iterator[Path]:
    """Yield the folder that the dots of a relative import mean; none above the root."""
    for folder in file.parents[level - 1 : level]:
        if folder == root or root in folder.parents:
            yield folder


def _files(base: Path, parts: list[str]) -> Iterator[Path]:
    """Yield the file of a dotted name under a folder, and those of its packages.

    Links are not followed, so that a file is known by the name that imports it.
    """
    folder = base
    for part in parts:
        for path in (folder / part / "__init__.py", folder / f"{part}.py"):
            if path.is_file():
                yield path
        folder = folder / part

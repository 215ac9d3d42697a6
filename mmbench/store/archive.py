"""Transfer of cells between stores, by an archive or from folder to folder.

An archive is a zip file without compression whose members are files of a store under
their own names. Nothing of it is written before all of it was found to be whole.
"""

import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.files import atomic_writer, remove_leftovers
from mmbench.store import schema2
from mmbench.store.difference import Numbers, first_difference
from mmbench.store.folder import KEY, Store
from mmbench.store.stored_files import (
    COMPANIONS,
    StoredFiles,
    fault_of_companion,
    read_blocks,
)

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can hold
_MODE = 0o644 << 16  # permissions of members, in the upper half as Unix writes them

# What `zipfile` raises where a file is not as it must be, names and offsets included.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError),
    struct.error,
)

# A cell's files by name, companions first; each is opened by a call.
Files = Mapping[str, Callable[[], IO[bytes]]]


class ImportCounts(NamedTuple):
    """What became of the cells that were to be imported.

    Args:
        added: number of cells that the store did not have.
        replaced: number of cells that took the place of the store's own.
        kept: number of cells of which the store's own stayed.
        same: number of cells that were the same in both.
        differences: where cells differ that both have, by key, in words.
    """

    added: int = 0
    replaced: int = 0
    kept: int = 0
    same: int = 0
    differences: Mapping[str, str] = {}


def export(store: Store, keys: Sequence[str], out: Path) -> None:
    """Write cells to an archive; the same cells give the same bytes.

    Args:
        store: where the cells are.
        keys: the cells' keys.
        out: the archive to write.

    Raises:
        StoreError: when a cell is damaged or the file cannot be written.
    """
    paths = [path for key in sorted(keys) for path in _checked_paths(store, key)]
    write_archive(out, {path.name: path for path in paths})


def write_archive(out: Path, members: Mapping[str, Path]) -> None:
    """Write files to an archive; the same files give the same bytes.

    Args:
        out: the archive to write.
        members: name of each member, in order, to its file.

    Raises:
        StoreError: when it cannot be written.
    """
    try:
        remove_leftovers([out])
        with atomic_writer(out) as file, zipfile.ZipFile(file, "w") as archive:
            for name, path in members.items():
                member = zipfile.ZipInfo(name, _EPOCH)
                member.external_attr = _MODE
                member.create_system = 3  # Unix, wherever it is written
                member.file_size = path.stat().st_size
                with archive.open(member, "w") as target:
                    for block in _read_blocks(partial(_open, path)):
                        target.write(block)
    except OSError as error:
        raise StoreError(
            f"--out must be a file that can be written; {out} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def merge(other: Store, store: Store, *, theirs: bool = False) -> ImportCounts:
    """Copy the cells of another store into a store.

    Args:
        other: where the cells are; those of schema 2 are rewritten.
        store: where they go; it may be the same folder.
        theirs: whether a cell that the store has already is replaced.

    Raises:
        StoreError: when a cell is damaged; nothing has been written then.
    """
    old, cells = {}, {}
    for key in other:
        if schema2.is_schema2(other.table(key)):
            old[key] = key in store and not schema2.is_schema2(store.table(key))
            schema2.read_cell(other.folder, key)
        else:
            paths = _checked_paths(other, key)
            cells[key] = {path.name: partial(_open, path) for path in paths}
    counts = _write_cells(cells, store, theirs=theirs)
    for key, is_stored in old.items():
        given = schema2.read_cell(other.folder, key)
        if is_stored:
            tensors = given.arrays | _renamed(given.iterates)
            numbers = Numbers(given.frame, given.footer, tensors)
            ours = store.require(key)
            if apart := first_difference(numbers_of(ours), numbers):
                counts = counts._replace(differences={**counts.differences, key: apart})
        if is_stored and not theirs:
            counts = counts._replace(kept=counts.kept + 1)
            continue
        store.put(key, *given)
        counts = counts._replace(
            added=counts.added + (not is_stored), replaced=counts.replaced + is_stored
        )
        if other.folder.resolve() == store.folder.resolve():
            schema2.remove_companions(store.folder, key)
    return counts


def take(file: Path, store: Store, *, theirs: bool = False) -> ImportCounts:
    """Copy the cells of an archive into a store.

    Args:
        file: the archive.
        store: where the cells go.
        theirs: whether a cell that the store has already is replaced.

    Raises:
        StoreError: when it is no archive, or not whole; nothing has been written then.
    """
    with open_archive(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        cells = {}
        for name in sorted(members):
            key, _, suffix = name.partition(".")
            if suffix == "parquet" and KEY.fullmatch(key):
                cells[key] = _checked_members(archive, key, members)
        known = {name for files in cells.values() for name in files}
        if unknown := sorted(set(members) - known):
            raise StoreError(
                f"{file} must hold cells and nothing else; {unknown[0]!r} belongs to "
                "none of its tables."
            )
        return _write_cells(cells, store, theirs=theirs)


def _write_cells(
    cells: Mapping[str, Files], store: Store, *, theirs: bool
) -> ImportCounts:
    """Write cells that were found to be whole into a store."""
    counts = {"added": 0, "replaced": 0, "kept": 0, "same": 0}
    differences = {}
    for key, files in cells.items():
        stored = store.read(key)
        if stored is None or stored.faults:
            counts["added"] += 1
        elif b"".join(_read_blocks(files[f"{key}.parquet"])) == stored.content:
            counts["same"] += 1
            continue
        else:
            if apart := _difference(stored, key, files):
                differences[key] = apart
            counts["replaced" if theirs else "kept"] += 1
            if not theirs:
                continue
        blocks = {name: _read_blocks(files[name]) for name in files}
        store.write_files(key, blocks, stored)
    return ImportCounts(**counts, differences=differences)


def numbers_of(stored: StoredFiles) -> Numbers:
    """Return what is stored of a cell, to be compared.

    Raises:
        DamagedError: when a file is not as it was written.
    """
    tensors = stored.arrays() | _renamed(stored.iterates())
    return Numbers(stored.frame, stored.footer, tensors)


def _difference(stored: StoredFiles, key: str, files: Files) -> str:
    """Return where a stored cell and files of it differ first; empty if nowhere."""
    try:
        return first_difference(numbers_of(stored), _numbers(key, files))
    except (StoreError, SafetensorError):
        return "the arrays of one of them cannot be read"


def _numbers(key: str, files: Files) -> Numbers:
    """Return what the files of a cell hold that were found to be whole."""
    tensors: dict[str, np.ndarray] = {}
    for name, source in files.items():
        content = b"".join(_read_blocks(source))
        if name == f"{key}.parquet":
            table = StoredFiles(Path(name), content, None)
        elif not name.endswith(f".{COMPANIONS['state']}"):
            loaded = load(content)
            is_kept = name.endswith(COMPANIONS["iterates"])
            tensors |= _renamed(loaded) if is_kept else loaded
    return Numbers(table.frame, table.footer, tensors)


def _renamed(iterates: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return kept iterates under names that no array has."""
    return {f"iterates/{name}": values for name, values in iterates.items()}


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _read_blocks(source: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    """Yield the blocks of a file, which is opened when the first is asked for."""
    with source() as file:
        yield from read_blocks(file.read)


def _checked_paths(store: Store, key: str) -> list[Path]:
    """Return the paths of a whole cell's files, its table last.

    Raises:
        StoreError: when the cell is damaged.
    """
    stored = store.require(key)
    for fault in stored.faults:
        raise StoreError(f"{fault} See mmbench store check --store {store.folder}")
    return [*stored.companions.values(), store.table(key)]


# ---- archives ----


@contextmanager
def open_archive(file: Path, verb: str = "store export") -> Iterator[zipfile.ZipFile]:
    """Open an archive and check that its members are not larger than it is.

    Args:
        file: the archive.
        verb: the one that writes such archives, for messages.

    Raises:
        StoreError: when it is no such archive.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            is_uncompressed = all(
                member.compress_type == zipfile.ZIP_STORED
                and member.file_size == member.compress_size
                and not member.flag_bits & 1  # encrypted
                for member in members
            )
            is_unique = len({member.filename for member in members}) == len(members)
            total = sum(member.file_size for member in members)
            if not (is_uncompressed and is_unique and total <= file.stat().st_size):
                raise StoreError(
                    f"{file} must be an archive of `mmbench {verb}`; it is "
                    "another zip file."
                )
            yield archive
    except _ZIP_ERRORS as error:
        raise StoreError(
            f"{file} must be an archive of `mmbench {verb}`; reading it gave "
            f"{type(error).__name__}: {error}."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{file} must be an archive or a folder that can be read; it gave "
            f"{type(error).__name__}: {error.strerror or error}."
        ) from error


def _checked_members(
    archive: zipfile.ZipFile, key: str, members: Mapping[str, zipfile.ZipInfo]
) -> Files:
    """Read all files of a cell in an archive once, and return how to open them.

    Raises:
        StoreError: when one is missing or is not as it was written.
    """
    table = Path(f"{archive.filename}") / f"{key}.parquet"
    stored = StoredFiles(table, archive.read(members[table.name]), None)
    stored.table  # noqa: B018  # reading it checks it
    files = {}
    for kind, path in stored.companions.items():
        if path.name not in members:
            raise StoreError(f"{archive.filename} must hold {path.name}; it does not.")
        with archive.open(members[path.name]) as file:
            blocks = read_blocks(file.read)
            if fault := fault_of_companion(path, kind, blocks, stored.footer):
                raise DamagedError(fault)
        files[path.name] = partial(archive.open, members[path.name])
    return files | {table.name: partial(archive.open, members[table.name])}

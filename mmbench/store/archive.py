"""Archive: cells from one store to another, by one file or from folder to folder.

An archive is a zip file without compression whose members are files of a store under
their own names. Nothing of it is written before all of it was found to be whole.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

from mmbench.core.errors import StoreError
from mmbench.store import schema2
from mmbench.store.atomic import atomic_writer
from mmbench.store.folder import KEY, Store, companion, digests_of
from mmbench.store.parquet import read_footer

_PART = 2**20  # bytes that are copied at once
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can tell
_MODE = 0o644 << 16  # of members, in the upper half as Unix writes it

# A cell's files by name, companions first; each is opened by a call.
Files = Mapping[str, Callable[[], BufferedIOBase]]


class ImportCounts(NamedTuple):
    """How many cells were written new, replaced, left as they were, and the same."""

    added: int = 0
    replaced: int = 0
    kept: int = 0
    same: int = 0


def export(store: Store, keys: Sequence[str], out: Path) -> None:
    """Write cells as an archive; the same cells give the same bytes.

    Args:
        store: where they are.
        keys: of the cells.
        out: file to write.

    Raises:
        StoreError: when a cell is damaged or the file cannot be written.
    """
    paths = [path for key in sorted(keys) for path in _paths(store, key)]
    try:
        with atomic_writer(out) as file, zipfile.ZipFile(file, "w") as archive:
            for path in paths:
                member = zipfile.ZipInfo(path.name, _EPOCH)
                member.external_attr = _MODE
                member.create_system = 3  # Unix, wherever it is written
                member.file_size = path.stat().st_size
                with archive.open(member, "w") as target, path.open("rb") as source:
                    for part in _parts(source):
                        target.write(part)
    except OSError as error:
        raise StoreError(
            f"--out must be a file that can be written; {out} gave "
            f"{type(error).__name__}: {error.strerror}."
        ) from error


def merge(other: Store, store: Store, *, theirs: bool = False) -> ImportCounts:
    """Take the cells of another store.

    Args:
        other: where they are; cells of the schema before this one are rewritten.
        store: where they go; that may be the same folder.
        theirs: whether a cell that is there already is replaced.

    Raises:
        StoreError: when one of them is damaged; nothing has been written then.
    """
    old, cells = {}, {}
    for key in other:
        if schema2.is_older(other.table(key)):
            old[key] = key in store and not schema2.is_older(store.table(key))
            schema2.cell(other.folder, key)
        else:
            paths = _paths(other, key)
            cells[key] = {path.name: partial(path.open, "rb") for path in paths}
    taken = _take(cells, store, theirs=theirs)
    for key, here in old.items():
        if here and not theirs:
            taken = taken._replace(kept=taken.kept + 1)
            continue
        store.put(key, *schema2.cell(other.folder, key))
        taken = taken._replace(
            added=taken.added + (not here), replaced=taken.replaced + here
        )
        if other.folder.resolve() == store.folder.resolve():
            schema2.clear(store.folder, key)
    return taken


def take(file: Path, store: Store, *, theirs: bool = False) -> ImportCounts:
    """Take the cells of an archive.

    Args:
        file: the archive.
        store: where they go.
        theirs: whether a cell that is there already is replaced.

    Raises:
        StoreError: when it is not one, or not whole; nothing has been written then.
    """
    with _opened(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        cells = {}
        for name in sorted(members):
            key, _, kind = name.partition(".")
            if kind == "parquet" and KEY.fullmatch(key):
                cells[key] = _cell_of(archive, key, members)
        known = {name for files in cells.values() for name in files}
        if strangers := sorted(set(members) - known):
            raise StoreError(
                f"{file} must hold cells and nothing else; {strangers[0]!r} belongs to "
                "none of its tables."
            )
        return _take(cells, store, theirs=theirs)


def _take(cells: Mapping[str, Files], store: Store, *, theirs: bool) -> ImportCounts:
    """Write cells that were found to be whole."""
    counts = {"added": 0, "replaced": 0, "kept": 0, "same": 0}
    for key, files in cells.items():
        if key not in store or store.faults(key):
            counts["added"] += 1
        elif _bytes(files[f"{key}.parquet"]) == store.table(key).read_bytes():
            counts["same"] += 1
            continue
        elif not theirs:
            counts["kept"] += 1
            continue
        else:
            counts["replaced"] += 1
        store.write_files(key, {name: _opening(files[name]) for name in files})
    return ImportCounts(**counts)


def _opening(source: Callable[[], BufferedIOBase]) -> Iterator[bytes]:
    """The parts of what a call opens, opened when the first is asked for."""
    with source() as file:
        yield from _parts(file)


def _parts(file: BufferedIOBase) -> Iterator[bytes]:
    while part := file.read(_PART):
        yield part


def _bytes(source: Callable[[], BufferedIOBase]) -> bytes:
    return b"".join(_opening(source))


def _paths(store: Store, key: str) -> list[Path]:
    """Files of a whole cell, its table last.

    Raises:
        StoreError: when the cell is not whole.
    """
    for fault in store.faults(key):
        raise StoreError(f"{fault} See mmbench store check --store {store.folder}")
    return [*store.companions(key).values(), store.table(key)]


# ---- archives ----


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose members are not larger than it is.

    Raises:
        StoreError: when it is not one.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            plain = all(
                one.compress_type == zipfile.ZIP_STORED
                and one.file_size == one.compress_size
                and not one.flag_bits & 1  # encrypted
                for one in members
            )
            names = {one.filename for one in members}
            held = sum(one.file_size for one in members)
            if not plain or len(names) < len(members) or held > file.stat().st_size:
                raise StoreError(
                    f"{file} must be an archive of `mmbench store export`; it is "
                    "another zip file."
                )
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise StoreError(
            f"{file} must be an archive of `mmbench store export`; reading it gave "
            f"{type(error).__name__}: {error}."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{file} must be an archive or a folder that can be read; it gave "
            f"{type(error).__name__}: {error.strerror or error}."
        ) from error


def _cell_of(
    archive: zipfile.ZipFile, key: str, members: Mapping[str, zipfile.ZipInfo]
) -> Files:
    """The files of a cell in an archive, all of them read once.

    Raises:
        StoreError: when one is missing or is not as it was written.
    """
    table = Path(f"{archive.filename}") / f"{key}.parquet"
    content = archive.read(members[table.name])
    files = {}
    for kind, digest in digests_of(table, read_footer(table, content)).items():
        name = companion(key, kind, digest)
        if name not in members:
            raise StoreError(f"{archive.filename} must hold {name}; it does not.")
        with archive.open(members[name]) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise StoreError(
                    f"{name} in {archive.filename} must hold what its table says; its "
                    "bytes have another SHA-256."
                )
        files[name] = partial(archive.open, members[name])
    return files | {table.name: partial(archive.open, members[table.name])}

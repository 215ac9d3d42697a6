"""Bundles: results with the source of the classes that computed them.

A bundle is a zip file without compression. Its members are the manifest, the results as
an archive, the environment that computed them, the source files of external classes and
a tuning record. Whoever unpacks one need not trust it: each member has a name that
stays in the folder, the size that the bundle itself has room for and the SHA-256 of the
manifest, and nothing of it is run or deserialised but the manifest, which is JSON.
"""

import hashlib
import json
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, TypedDict

from mmbench.core.errors import DamagedError, StoreError
from mmbench.core.files import sha256_of
from mmbench.core.json_schema import Count, Range, find_misfit, parse_json
from mmbench.core.printable import is_printable, shorten
from mmbench.store.archive import open_archive, write_archive
from mmbench.store.schema import Sha256
from mmbench.store.stored_files import read_blocks

FORMAT = 1  # of bundles; another one is refused
SUFFIX = ".mmbench.zip"
MANIFEST, RESULTS, ENVIRONMENT = "manifest.json", "results.zip", "environment.json"
SOURCE, TUNING = "source", "tuning"  # folders in a bundle

MAX_MEMBERS = 10_000
MAX_MANIFEST_BYTES = 2**22
_MAX_NAME_CHARACTERS = 200
_NAME = re.compile(
    rf"{re.escape(RESULTS)}|{re.escape(ENVIRONMENT)}|{TUNING}/[^/]+|{SOURCE}/\d+/.+"
)


class Member(TypedDict):
    """A member of a bundle."""

    bytes: Count
    sha256: Sha256


class Manifest(TypedDict):
    """What a bundle says of itself; it may say more."""

    bundle: Annotated[int, Range(FORMAT, FORMAT)]
    mmbench: str
    members: dict[str, Member]
    classes: dict[str, str]


def write_bundle(
    out: Path, files: Mapping[str, Path], classes: Mapping[str, str], version: str
) -> Manifest:
    """Write a bundle; the same files give the same bytes.

    Args:
        out: the bundle to write.
        files: name of each member but the manifest to its file.
        classes: reference of each external class to its location in the bundle, such
            as `source/0/mine.py:Mine`.
        version: of the mmbench that writes it.

    Returns:
        The manifest, which is a member as well.

    Raises:
        StoreError: when a member cannot have its name or the file cannot be written.
    """
    names = sorted(files)
    if found := _misfit_of_names([*names, MANIFEST]):
        raise StoreError(f"A bundle must have members of plain names; {found}.")
    manifest = Manifest(
        bundle=FORMAT,
        mmbench=version,
        members={
            name: Member(
                bytes=files[name].stat().st_size, sha256=sha256_of(files[name])
            )
            for name in names
        },
        classes=dict(sorted(classes.items())),
    )
    with TemporaryDirectory(prefix="mmbench-") as folder:
        path = Path(folder) / MANIFEST
        path.write_text(json.dumps(manifest, indent=1, sort_keys=True), "utf-8")
        write_archive(out, {MANIFEST: path} | {name: files[name] for name in names})
    return manifest


def is_bundle(file: Path) -> bool:
    """Return whether a zip file has the manifest of a bundle."""
    try:
        with zipfile.ZipFile(file) as archive:
            return MANIFEST in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def unpack(file: Path, folder: Path) -> Manifest:
    """Check a bundle and write its members into a folder.

    Args:
        file: the bundle.
        folder: an empty folder.

    Returns:
        The manifest.

    Raises:
        StoreError: when it is no bundle; the folder may hold part of it.
        DamagedError: when a member is not the one of the manifest.
    """
    with open_archive(file, "submit") as archive:
        infos = archive.infolist()
        if found := _misfit_of_members(infos):
            raise StoreError(f"{file} must be a bundle of `mmbench submit`; {found}.")
        manifest = _read_manifest(file, archive)
        names = {info.filename for info in infos} - {MANIFEST}
        if apart := sorted(names ^ set(manifest["members"])):
            is_unnamed = apart[0] in names
            raise StoreError(
                f"{file} must have the members of its manifest and no others; "
                f"{shorten(apart[0])} is {'not named' if is_unnamed else 'missing'}."
            )
        _write(folder / MANIFEST, archive, MANIFEST)
        for name, member in manifest["members"].items():
            if _write(folder / name, archive, name) != member:
                raise DamagedError(
                    f"{file} must hold what its manifest says; its {name} has other "
                    "bytes."
                )
    return manifest


def _misfit_of_members(infos: list[zipfile.ZipInfo]) -> str:
    """Return which member a bundle cannot have, in words; empty where none is such."""
    if len(infos) > MAX_MEMBERS:
        return f"it must have at most {MAX_MEMBERS:,} members; it has {len(infos):,}"
    for info in infos:
        mode = stat.S_IFMT(info.external_attr >> 16)
        if mode not in (0, stat.S_IFREG):
            return f"{shorten(info.filename)} is a link or another special file"
        if info.orig_filename != info.filename:
            return f"{shorten(info.orig_filename)} is no plain name"
    return _misfit_of_names([info.filename for info in infos])


def _misfit_of_names(names: list[str]) -> str:
    """Return which name a member cannot have, in words; empty where all are plain."""
    if MANIFEST not in names or RESULTS not in names:
        return f"it must have {MANIFEST} and {RESULTS}"
    folders = {str(place) for name in names for place in PurePosixPath(name).parents}
    for name in names:
        parts = name.split("/")
        is_plain = (
            len(name) <= _MAX_NAME_CHARACTERS
            and is_printable(name)
            and "\\" not in name
            and not {"", ".", ".."}.intersection(parts)
            and name not in folders
        )
        if not is_plain:
            return f"{shorten(name)} is no plain name"
        if name != MANIFEST and not _NAME.fullmatch(name):
            return f"it must have no member {shorten(name)}"
    return ""


def _read_manifest(file: Path, archive: zipfile.ZipFile) -> Manifest:
    """Read the manifest of a bundle.

    Raises:
        StoreError: when it does not fit its schema.
    """
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        found = f"it has more than {MAX_MANIFEST_BYTES:,} bytes"
    else:
        try:
            value = parse_json(archive.read(MANIFEST))
            found = find_misfit(value, Manifest) or _misfit_of_classes(value)
        except ValueError as error:
            found = f"it must be JSON; {error}"
    if found:
        raise StoreError(f"{file} must have a manifest of a bundle: {found}.")
    manifest: Manifest = value
    return manifest


def _misfit_of_classes(manifest: Manifest) -> str:
    """Return which class has no source in the bundle, in words, or nothing."""
    for reference, location in manifest["classes"].items():
        name, _, _ = location.rpartition(":")
        file, _, _ = reference.partition(":")
        is_source = name.startswith(f"{SOURCE}/") and name in manifest["members"]
        if not (is_source and PurePosixPath(name).name == file):
            return f"classes must have their source; {shorten(reference)} has none"
    return ""


def _write(path: Path, archive: zipfile.ZipFile, name: str) -> Member:
    """Write a member into a new file; return its size and digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with archive.open(name) as source, path.open("xb") as target:
        for block in read_blocks(source.read):
            digest.update(block)
            size += len(block)
            target.write(block)
    return Member(bytes=size, sha256=digest.hexdigest())

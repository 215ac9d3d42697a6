"""What a bundle of a store has: results, sources, environment, a tuning record.

Only what can be verified elsewhere is taken: finished cells, and classes whose files
lie together in one folder.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmbench.core.code_digest import code_digest
from mmbench.core.code_files import is_external_file
from mmbench.core.errors import CodeError, DescriptionError, StoreError
from mmbench.core.external import load_external
from mmbench.core.status import Status
from mmbench.runner.provenance import PROVENANCE
from mmbench.runner.stored_cell import locations_of, references_in, stored_cell
from mmbench.store import archive
from mmbench.store.bundle import ENVIRONMENT, RESULTS, SOURCE, TUNING
from mmbench.store.folder import Store
from mmbench.store.integrity import check
from mmbench.store.stored_files import StoredFiles

_RECORD_SUFFIXES = (".parquet", ".json")  # of files in a tuning record


class Submission(NamedTuple):
    """What a bundle has.

    Args:
        cells: number of cells.
        files: name of each member to its file.
        classes: reference of each external class to its location in the bundle.
    """

    cells: int
    files: dict[str, Path]
    classes: dict[str, str]


def gather_submission(
    store: Store, external: Sequence[str], suite: Path | None, scratch: Path
) -> Submission:
    """Gather what goes into the bundle of a store.

    Args:
        store: the store, all of whose cells are taken.
        external: external classes that the cells need, as `path/to/file.py:Class`.
        suite: a suite.toml that names a tuning record; None for none.
        scratch: folder for files that are made.

    Raises:
        StoreError: when a cell is damaged, unfinished or ended by a failure.
        DescriptionError: when the source of a class is not given, is not the one that
            computed a cell, or does not lie in one folder.
    """
    for finding in check(store):
        if finding.kind in ("damaged", "in progress"):
            name = f"{finding.path.name}: " if finding.kind == "in progress" else ""
            raise StoreError(
                "A store must hold whole and finished cells alone to be submitted; "
                f"{name}{finding.sentence}"
            )
    locations: dict[str, str] = {}
    environments: list[dict[str, Any]] = []
    keys = list(store)
    if not keys:
        raise StoreError(f"STORE must have cells to submit; {store.folder} has none.")
    for key in keys:
        stored = store.require(key)
        _check_cell(stored)
        locations |= _locations_of_cell(stored, external)
        origin = stored.footer["provenance"]
        known = {name: origin[name] for name in PROVENANCE if name in origin}
        if known not in environments:
            environments.append(known)
    files, classes = _sources(locations)
    environment = scratch / ENVIRONMENT
    environment.write_text(json.dumps(environments, indent=1, sort_keys=True), "utf-8")
    archive.export(store, keys, scratch / RESULTS)
    files |= {ENVIRONMENT: environment, RESULTS: scratch / RESULTS}
    if suite:
        files |= _tuning_record(suite)
    return Submission(len(keys), files, classes)


def _check_cell(stored: StoredFiles) -> None:
    """Check that a cell ended by itself, and that its classes are of files.

    Raises:
        StoreError: when it did not.
        DescriptionError: when a class has no file.
    """
    title = f"{stored.footer['label']} on {stored.footer['task']} ({stored.key[:8]})"
    failures = set(Status.cell_failures()).intersection(stored.footer["outcomes"])
    if failures:
        raise StoreError(
            f"A submitted cell must have ended by itself; {title} ended with "
            f"{min(failures)}. Compute it again, or delete it: mmbench store rm "
            f"{stored.key[:8]}"
        )
    for reference in classes_of(stored):
        name, _, _ = reference.partition("@")
        if not name.partition(":")[0].endswith(".py"):
            raise DescriptionError(
                f"A submitted cell must be of classes in files; {title} was computed "
                f"by {name}, which was defined in a session. Write it in a file, run "
                "it again and delete this one."
            )


def _locations_of_cell(stored: StoredFiles, external: Sequence[str]) -> dict[str, str]:
    """Return the location of each external class of a cell, by reference.

    Raises:
        DescriptionError: when one is missing or is not the one that was used.
    """
    if not classes_of(stored):
        return {}
    stored_cell(stored, external)  # refuses classes that are not those of the key
    return locations_of(_description(stored), external)


def classes_of(stored: StoredFiles) -> list[str]:
    """Return the references of the external classes that a cell needs."""
    found = references_in(_description(stored))
    return sorted({reference for reference in found if "@" in reference})


def _description(stored: StoredFiles) -> Any:
    return stored.footer.get("description", stored.footer["cell"])


def _sources(locations: dict[str, str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the source files of classes by their names in a bundle.

    Args:
        locations: reference to location of each class.

    Returns:
        Name of each member to its file, and reference to location in the bundle.

    Raises:
        DescriptionError: when a class has a file outside its folder.
    """
    files: dict[str, Path] = {}
    classes: dict[str, str] = {}
    roots: list[Path] = []
    for reference, location in sorted(locations.items()):
        place, _, name = location.rpartition(":")
        if not place.endswith(".py"):
            raise DescriptionError(
                "--outside must name a class by its file to submit it, "
                f"path/to/file.py:Class; got {location!r}."
            )
        path = Path(place).resolve()  # as it was loaded
        root, inits = _root_of(path)
        if root not in roots:
            roots.append(root)
        folder = f"{SOURCE}/{roots.index(root)}"
        digest = code_digest(load_external(location))
        own = {one for one in digest.files if is_external_file(one)}
        for file in sorted({path, *own, *digest.data, *inits}):
            if not _is_inside(file, root):
                raise CodeError(
                    f"{reference.partition('@')[0]} must have all its files in "
                    f"{root} to be submitted; it uses {file}. Move it there."
                )
            files[f"{folder}/{file.relative_to(root).as_posix()}"] = file
        classes[reference] = f"{folder}/{path.relative_to(root).as_posix()}:{name}"
    return files, classes


def _is_inside(file: Path, root: Path) -> bool:
    """Return whether a file lies below a folder, be it a link or not."""
    return file.is_relative_to(root) and file.resolve().is_relative_to(root.resolve())


def _root_of(path: Path) -> tuple[Path, list[Path]]:
    """Return the folder that names of a file are relative to.

    Returns:
        The folder above all packages that the file is in, and their `__init__.py`.
    """
    root, inits = path.parent, []
    while (init := root / "__init__.py").exists() and root != root.parent:
        inits.append(init)
        root = root.parent
    return root, inits


def _tuning_record(suite: Path) -> dict[str, Path]:
    """Return the files of the tuning record that a suite.toml names under `tuned`.

    Raises:
        DescriptionError: when the suite cannot be read or the record is not beside it.
    """
    try:
        tuned = tomllib.loads(suite.read_text("utf-8-sig")).get("tuned")
    except (OSError, ValueError, RecursionError) as error:
        raise DescriptionError(
            f"--suite must be a TOML file that can be read; {suite} gave "
            f"{type(error).__name__}: {error}."
        ) from error
    if not isinstance(tuned, str):
        raise DescriptionError(
            f'{suite} must name a tuning record as tuned = "PATH"; got {tuned!r}.'
        )
    record = suite.parent / tuned
    found = sorted(
        path
        for path in (record.iterdir() if record.is_dir() else [record])
        if path.suffix in _RECORD_SUFFIXES and path.is_file()
    )
    kinds = " or ".join(_RECORD_SUFFIXES)
    if not found or not all(_is_inside(path, suite.parent) for path in found):
        raise DescriptionError(
            f"{suite} must name a tuning record beside it, {kinds} files or a folder "
            f"of these; got {tuned!r}."
        )
    return {f"{TUNING}/{path.name}": path for path in found}


def check_classes(store: Store, folder: Path, classes: Mapping[str, str]) -> list[str]:
    """Check that the source of a bundle is that of its cells, which runs it.

    Args:
        store: the cells of the bundle.
        folder: where the bundle was unpacked.
        classes: those of its manifest.

    Returns:
        The locations of the classes.

    Raises:
        CodeError: when a class is not the one that computed a cell.
    """
    external = [f"{folder / location}" for location in classes.values()]
    for key in store:
        stored = store.require(key)
        if stored.is_readable:
            _locations_of_cell(stored, external)
    return external

"""Published results: what boards and their page need of many cells, in small files.

    runs.parquet    two records of each run: the last one, and the first at which its
                    target held from then on, or else its start
    curves.parquet  the quartiles of the first metric over the runs of each cell at each
                    record, in single precision
    tuning.parquet  of winners of a tuning, its record
    cells.parquet   the footer of each cell as JSON, whether all its runs are identical,
                    and the digests of the other files

Boards made of them are those of the whole tables, since a board reads the end of a
run, its cost when it reached its target, and no more of the records between than
whether they are those of the other runs.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmbench.analysis.leaderboard import cell_entries
from mmbench.analysis.plot.curves import PUBLISHED, curves_to_publish
from mmbench.analysis.results import Results, tasks_of
from mmbench.core.errors import DamagedError, DescriptionError
from mmbench.core.files import sha256_of, write_atomically
from mmbench.core.status import Status
from mmbench.store.folder import Store
from mmbench.store.schema import misfit_of_footer
from mmbench.store.tuning_record import RECORD, encoded, read_record

RUNS, CURVES, CELLS = "runs.parquet", "curves.parquet", "cells.parquet"


def is_published(folder: Path) -> bool:
    """Return whether a folder holds published results, and is no store."""
    files = [folder / RUNS, folder / CELLS]
    return all(one.is_file() for one in files) and not _is_store(folder)


def publish(
    results: Results,
    folder: Path,
    records: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> None:
    """Write the finished cells of results into a folder.

    Args:
        results: results of stored cells.
        folder: where the files are written; it is made if need be.
        records: returns the records of a cell that are kept, without curves; None
            keeps two of each run, and the curves.

    Raises:
        DescriptionError: when there is no finished cell, or the folder is a store.
    """
    if _is_store(folder):
        raise DescriptionError(
            f"Results must be published into a folder of their own; {folder} is a "
            "store."
        )
    results = results.finished
    if not results.footers:
        raise DescriptionError("Results to publish must have a finished cell.")
    frames = [rows for _, rows in results.frame.groupby("key", sort=False)]
    runs = pd.concat(map(records or _two_records, frames), ignore_index=True)
    contents = {RUNS: _encoded(pa.Table.from_pandas(runs, preserve_index=False))}
    if records is None:
        curves = curves_to_publish(results)
        contents[CURVES] = _encoded(pa.Table.from_pandas(curves, preserve_index=False))
    if results.tuning:
        contents[RECORD] = encoded(results.tuning)
    footers = [
        json.dumps({name: one[name] for name in sorted(one) if name != "alike"})
        for one in results.footers.values()
    ]
    entries = [one for task in tasks_of(results) for one in cell_entries(results, task)]
    alike = {one.key: one.identical for one in entries}
    keys = list(results.footers)
    cells = pa.table(
        {"key": keys, "footer": footers, "alike": [alike[key] for key in keys]}
    )
    digests = {
        _digest_of(name): hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
    }
    contents[CELLS] = _encoded(cells.replace_schema_metadata(digests))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, [content])


def read_published(folder: Path) -> Results:
    """Return published results.

    Raises:
        DamagedError: when the files are not as they were written.
    """
    cells = _decoded(folder / CELLS)
    digests = cells.schema.metadata or {}
    has_curves, has_record = (
        _digest_of(name).encode() in digests for name in (CURVES, RECORD)
    )
    for name in [RUNS, *[CURVES] * has_curves, *[RECORD] * has_record]:
        digest = digests.get(_digest_of(name).encode(), b"").decode()
        file = folder / name
        if not file.is_file() or sha256_of(file) != digest:
            raise DamagedError(f"{file} must be as it was written; it is not.")
    footers = {}
    for row in cells.to_pylist():
        footer = _footer(row["footer"])
        if not footer or footer.get("key") != row["key"]:
            raise DamagedError(
                f"{folder / CELLS} must hold footers of cells; that of {row['key']} "
                "is none."
            )
        footers[row["key"]] = footer | {"alike": bool(row.get("alike"))}
    frame = _decoded(folder / RUNS).to_pandas()
    if set(frame["key"].unique()) != set(footers):
        raise DamagedError(f"{folder} must hold the runs of its cells; it does not.")
    curves = _decoded(folder / CURVES).to_pandas() if has_curves else None
    if curves is not None and list(curves) != PUBLISHED:
        raise DamagedError(f"{folder / CURVES} must hold curves; it does not.")
    tuning = read_record(folder / RECORD) if has_record else None
    return Results(frame, footers, None, tuning=tuning, curves=curves)


def _digest_of(name: str) -> str:
    """Return the metadata key of the digest of a file."""
    return f"sha256 of {name}"


def _is_store(folder: Path) -> bool:
    """Return whether a folder holds cells."""
    return folder.is_dir() and any(True for _ in Store(folder))


def _two_records(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the record of each run at which it reached its target, and its last."""
    rows = rows.sort_values(["seed", "step"], kind="stable")
    runs = rows["seed"].nunique()
    steps, stopped_at = (
        rows[name].to_numpy().reshape(runs, -1) for name in ("step", "stopped_at")
    )
    last = steps.shape[1] - 1
    reached = (rows["status"] == Status.CONVERGED).to_numpy().reshape(runs, -1)[:, 0]
    at_target = np.argmax(steps >= stopped_at, axis=1)
    first = np.where(reached & (at_target < last), at_target, 0)
    places = np.stack([first, np.full(runs, last)], axis=1)
    starts = np.arange(runs)[:, None] * (last + 1)
    return rows.iloc[(starts + places).ravel()]


def _footer(text: str) -> dict | None:
    """Return a footer, if the text is one."""
    try:
        footer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return footer if not misfit_of_footer(footer) else None


def _encoded(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=19)
    return sink.getvalue().to_pybytes()


def _decoded(path: Path) -> pa.Table:
    """Read a file.

    Raises:
        DamagedError: when it is no table.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(f"{path} must be a Parquet file; it is not.") from error

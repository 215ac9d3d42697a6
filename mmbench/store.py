"""Store: key to Parquet file; written once by rename, replaced whole, never edited.

A cell's table lies in `<key>.parquet`, its description and provenance in that file's
footer, and its arrays (paths, sample sheets) in `<key>.safetensors` beside it.
"""

import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmbench.core.errors import StoreError

SCHEMA = 2
FOOTER = b"mmbench"


class Store:
    """A folder of cells.

    Args:
        folder: made when something is first written.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def check_writable(self) -> None:
        """Make the folder and try to write.

        Raises:
            StoreError: when that fails.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise StoreError(
                f"--store must be a folder that can be written; {self.folder} gave "
                f"{type(error).__name__}: {error.strerror}."
            ) from None

    def __contains__(self, key: str) -> bool:
        return self._table(key).exists()

    def __iter__(self) -> Iterator[str]:
        """Keys of the stored cells, sorted.

        Raises:
            StoreError: when there is no such folder.
        """
        if not self.folder.is_dir():
            raise StoreError(
                f"--store must be a folder with results; there is none at "
                f"{self.folder}. Run something into it first."
            )
        yield from sorted(path.stem for path in self.folder.glob("*.parquet"))

    def put(
        self,
        key: str,
        frame: pd.DataFrame,
        footer: dict[str, Any],
        arrays: dict[str, np.ndarray],
    ) -> None:
        """Write a cell; it is there whole or not at all.

        Raises:
            StoreError: when it cannot be written.
        """
        table = pa.Table.from_pandas(frame, preserve_index=False)
        document = json.dumps({"schema": SCHEMA, **footer}, sort_keys=True)
        metadata = dict(table.schema.metadata or {}) | {FOOTER: document.encode()}
        table = table.replace_schema_metadata(metadata)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if arrays:  # first, so that a table never lacks its arrays
                tensors = {
                    name: np.ascontiguousarray(array) for name, array in arrays.items()
                }
                self._write(self._arrays(key), save(tensors))
            buffer = pa.BufferOutputStream()
            pq.write_table(table, buffer, compression="zstd")
            self._write(self._table(key), buffer.getvalue().to_pybytes())
        except OSError as error:
            raise StoreError(
                f"The store {self.folder} must be writable; cell {key} gave "
                f"{type(error).__name__}: {error.strerror}."
            ) from error

    def footer(self, key: str) -> dict[str, Any]:
        """Description and provenance of a stored cell.

        Raises:
            StoreError: when its file is not one that mmbench wrote.
        """
        try:
            metadata = pq.read_schema(self._table(key)).metadata or {}
            footer = json.loads(metadata[FOOTER])
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise self._damaged(self._table(key), error) from error
        if footer.get("schema") != SCHEMA:
            raise StoreError(
                f"{self._table(key)} must have schema {SCHEMA}; got "
                f"{footer.get('schema')!r}, of another mmbench version."
            )
        return footer

    def frame(self, key: str) -> pd.DataFrame:
        """Tidy table of a stored cell.

        Raises:
            StoreError: when its file is not one that mmbench wrote.
        """
        try:
            return pq.read_table(self._table(key)).to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(self._table(key), error) from error

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        """Paths and sample sheets of a stored cell; empty where it has none.

        Raises:
            StoreError: when the file is not one that mmbench wrote.
        """
        path = self._arrays(key)
        if not path.exists():
            return {}
        try:
            return load(path.read_bytes())
        except (OSError, SafetensorError) as error:
            raise self._damaged(path, error) from error

    def _damaged(self, path: Path, error: Exception) -> StoreError:
        what = str(error).partition("\n")[0]
        return StoreError(
            f"{path} must be a cell that mmbench wrote; reading it gave "
            f"{type(error).__name__}: {what}. Delete it and run again."
        )

    def _table(self, key: str) -> Path:
        return self.folder / f"{key}.parquet"

    def _arrays(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

"""Records of tuning: what every trial came to, as one Parquet file with its winners.

While a tuning is in progress, its folder has a file for each method on each task that
is done, so that nothing is lost when it ends; they become one file at the end.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmbench.core.errors import StoreError
from mmbench.core.files import make_folder, remove_leftovers, write_atomically

RECORD = "tuning.parquet"
COLUMNS = (
    "task",
    "label",
    "repetition",
    "trial",
    "algorithm",
    "hyperparameters",
    "seed",
    "status",
    "cost",
    "cost_to_target",
    "metric",
    "value",
    "key",
)
_ABOUT = b"mmbench-tuning"  # Parquet metadata key of what the record is about
_PARTS = "in-progress"


class TuningRecord(NamedTuple):
    """A record of tuning.

    Args:
        trials: one row for each method, repetition, trial and tuning seed, with
            `COLUMNS`; hyperparameters are JSON, costs in the unit of the budget, and
            the value is that of the primary metric at the end.
        about: the winners, the command, the settings and the provenance, JSON values.
    """

    trials: pd.DataFrame
    about: Mapping[str, Any]


def read_record(path: Path) -> TuningRecord:
    """Read a record.

    Args:
        path: its file, or the folder that has it.

    Raises:
        StoreError: when there is none.
    """
    file = path / RECORD if path.is_dir() else path
    try:
        table = pq.read_table(file)
        about = json.loads((table.schema.metadata or {}).get(_ABOUT, b""))
        trials = table.to_pandas()[list(COLUMNS)]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise StoreError(
            f"{file} must be a record of tuning; reading it raised "
            f"{type(error).__name__}: {error}."
        ) from error
    if not isinstance(about, dict):
        raise StoreError(f"{file} must say what it is about; it does not.")
    return TuningRecord(trials, about)


def encoded(record: TuningRecord) -> bytes:
    """Return a record as the bytes of its file; of one that was read, the same."""
    return b"".join(_encode(*record))


class RecordFolder:
    """The folder of a record, finished or in progress.

    Args:
        folder: the folder; it is made if it does not exist.

    Raises:
        StoreError: when it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._parts = folder, folder / _PARTS
        make_folder(folder, "--out")

    @property
    def record(self) -> Path:
        """The file of the finished record."""
        return self.folder / RECORD

    def done(self) -> dict[str, pd.DataFrame]:
        """Return the trials that are done, by the key of their method on its task.

        A file that cannot be read counts as none.
        """
        found: dict[str, pd.DataFrame] = {}
        if self.record.exists():
            trials = read_record(self.record).trials
            found |= {str(key): rows for key, rows in trials.groupby("key", sort=False)}
        for file in sorted(self._parts.glob("*.parquet")):
            try:
                found[file.stem] = pd.read_parquet(file)
            except (OSError, ValueError, pa.ArrowException):
                continue
        return found

    def add(self, key: str, trials: pd.DataFrame) -> None:
        """Keep the trials of a method on a task, which are whole on disk afterwards."""
        self._parts.mkdir(exist_ok=True)
        write_atomically(self._parts / f"{key}.parquet", _encode(trials, {}))

    def finish(self, parts: Sequence[pd.DataFrame], about: Mapping[str, Any]) -> None:
        """Write the record, and delete the files of its parts."""
        trials = pd.concat([part[list(COLUMNS)] for part in parts], ignore_index=True)
        write_atomically(self.record, _encode(trials, about))
        if self._parts.exists():
            files = list(self._parts.glob("*.parquet"))
            remove_leftovers(files)
            for file in files:
                file.unlink(missing_ok=True)
            if not any(self._parts.iterdir()):
                self._parts.rmdir()


def _encode(trials: pd.DataFrame, about: Mapping[str, Any]) -> Iterator[bytes]:
    table = pa.Table.from_pandas(trials, preserve_index=False)
    document = json.dumps(about, sort_keys=True, ensure_ascii=False)
    table = table.replace_schema_metadata({_ABOUT: document})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", write_statistics=False)
    yield buffer.getvalue().to_pybytes()

"""Records of tuning: whole, in progress, and damaged."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mmbench.core.errors import StoreError
from mmbench.store.tuning_record import COLUMNS, RECORD, RecordFolder, read_record


def rows(key: str, trials: int = 2) -> pd.DataFrame:
    """Return the trials of a method."""
    texts = dict.fromkeys(("task", "label", "algorithm", "hyperparameters"), "a")
    values: dict[str, Any] = texts | {"repetition": 0, "trial": range(trials)}
    values |= {"seed": 10_000, "status": "finished", "cost": 60.0}
    values |= {"cost_to_target": float("nan"), "metric": "distance", "value": 0.5}
    return pd.DataFrame(values | {"key": key})[list(COLUMNS)]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path / "new" / "tuned")
    folder.add("one", rows("one"))
    folder.finish([rows("one"), rows("two", 3)], {"seed": 4, "winners": []})
    for path in (folder.folder, folder.record):
        found = read_record(path)
        expected = pd.concat([rows("one"), rows("two", 3)], ignore_index=True)
        pd.testing.assert_frame_equal(found.trials, expected)
        assert found.about == {"seed": 4, "winners": []}
    assert [file.name for file in folder.folder.iterdir()] == [RECORD]


def test_what_is_done_is_known_before_the_record_is_whole(tmp_path: Path) -> None:
    folder = RecordFolder(tmp_path)
    assert folder.done() == {}
    folder.finish([rows("old")], {})
    folder.add("new", rows("new", 5))
    (tmp_path / "in-progress" / "cut.parquet").write_bytes(b"PAR1")
    done = RecordFolder(tmp_path).done()
    assert {key: len(trials) for key, trials in done.items()} == {"old": 2, "new": 5}


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"{}"])
def test_a_file_that_is_no_record_is_refused(
    content: bytes | None, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / RECORD).write_bytes(content)
    with pytest.raises(StoreError, match="must be a record of tuning; reading it"):
        read_record(tmp_path)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    rows("one").to_parquet(tmp_path / RECORD)
    with pytest.raises(StoreError, match="must be a record of tuning"):
        read_record(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--out must be a folder that can be made"):
        RecordFolder(tmp_path / "file" / "tuned")

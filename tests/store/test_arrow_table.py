"""Tables of Arrow made of columns are those that are made of data frames."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mmbench.store.arrow_table import to_arrow
from mmbench.store.parquet import encode_table

ROWS = 24
NUMBERS = np.random.default_rng(0).normal(size=(ROWS, 3))
GAPPED = np.where(np.arange(ROWS) % 7 == 0, np.nan, NUMBERS[:, 0])
COLUMNS: dict[str, Any] = {
    "task": "bilinear[ü=1]",
    "reason": "",
    "status": np.repeat(["finished", "", "größer als 1"], ROWS // 3),
    "seed": np.arange(ROWS),
    "whole": GAPPED,
    "infinite": np.full(ROWS, -np.inf),
    "none": np.full(ROWS, np.nan),
    "strided": NUMBERS[:, 1],
    "reversed": np.arange(ROWS)[::-1],
    "single": NUMBERS[:, 2].astype(np.float32),
    "counted": np.arange(ROWS, dtype=np.int32),
    "holds": NUMBERS[:, 0] > 0,
}


def test_columns_give_the_table_of_their_frame() -> None:
    table, expected = to_arrow(COLUMNS), to_arrow(pd.DataFrame(COLUMNS))
    names = "task", "reason", "status"
    texts = [pa.field(name, pa.large_string()) for name in names]  # by any pandas
    kinds = pa.schema([*texts, *list(expected.schema)[len(names) :]])
    table.validate(full=True)
    assert table.schema.equals(kinds)
    assert table.equals(expected.cast(kinds))
    assert table["whole"].null_count == 4
    assert table["none"].null_count == ROWS


def test_columns_give_the_file_of_their_frame() -> None:
    frame = pd.DataFrame(COLUMNS)
    if to_arrow(frame).schema.field("task").type != pa.large_string():
        pytest.skip("this pandas has texts of another kind")
    assert encode_table(COLUMNS, {"a": 1}) == encode_table(frame, {"a": 1})


def test_pandas_is_not_loaded() -> None:
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from mmbench.store.parquet import encode_table\n"
        "table = {'a': 'text', 'b': np.arange(3), 'c': np.ones(3)}\n"
        "table['d'] = np.array(['x', 'y', 'z'])\n"
        "print(len(encode_table(table, {})) > 100, 'pandas' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]

"""Tables of cells as tables of Arrow, made without pandas.

To load pandas takes a quarter of a second, which a command that only computes and
stores need not wait for. Arrow loads it itself whenever it is given values of Python or
numpy, but not where it is given the bytes of a column.
"""

from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd

# Arrays of one length, or one text for all rows, by the name of the column.
Columns = Mapping[str, np.ndarray | str]


def to_arrow(table: "pd.DataFrame | Columns") -> pa.Table:
    """Return a table of Arrow, the same for columns as for their data frame.

    Args:
        table: a data frame, or columns of which one is an array at least.
    """
    if not isinstance(table, Mapping):
        whole = pa.Table.from_pandas(table, preserve_index=False)
        return whole.replace_schema_metadata()
    rows = next(len(one) for one in table.values() if not isinstance(one, str))
    arrays = [_array(values, rows) for values in table.values()]
    return pa.Table.from_arrays(arrays, list(table))


def _array(values: np.ndarray | str, rows: int) -> pa.Array:
    if isinstance(values, str):
        return _texts(repeat(values, rows))
    if values.dtype.kind == "U":
        return _texts(values.tolist())
    if values.dtype in (np.float64, np.int64):
        return _numbers(values)
    return pa.array(values, from_pandas=True)  # which loads pandas


def _texts(values: Iterable[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def _numbers(values: np.ndarray) -> pa.Array:
    """Return numbers; as in a data frame, NaN is a gap."""
    gaps = np.isnan(values)
    bits = np.packbits(~gaps, bitorder="little") if gaps.any() else None
    buffers = [
        None if bits is None else pa.py_buffer(bits),
        pa.py_buffer(np.ascontiguousarray(values)),
    ]
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), buffers)

"""Tables for other programs, with text that they show and do not obey.

What a store holds may be anyone's: its labels, reasons and names of columns reach
terminals, spreadsheets and pages.
"""

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmbench.core.printable import printable

# A spreadsheet takes text for a formula if it begins like this, in any width; what is
# just a number is none.
_FORMULA = re.compile(r"[\s\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_TEXT = pa.large_string()
_LEAST_ALIKE, _LEAST_UNLIKE = 1e-4, 1e10  # numbers that Arrow writes as Python does
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def escape_formula(text: str) -> str:
    """Return text that a spreadsheet shows; an apostrophe precedes a formula."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def to_csv(given: pd.DataFrame | pa.Table, *, header: bool = True) -> bytes:
    """Return a table as CSV without control characters and formulas.

    It is what pandas writes, in a fifth of the time.

    Args:
        given: a table of at least one column; one of Arrow has columns of int64,
            float64 and dictionaries of texts.
        header: whether the names of the columns come first.
    """
    columns: dict[str, pa.Array] = {}
    if isinstance(given, pd.DataFrame):
        for name, values in given.items():
            columns.setdefault(_safe(str(name)), _texts_of(values))
    else:
        for name, column in zip(given.column_names, given.columns, strict=True):
            columns.setdefault(_safe(name), _texts_of_arrow(column.combine_chunks()))
    if len(columns) == 1:  # else a row without text would be an empty line
        columns = {
            name: pc.if_else(pc.equal(pc.binary_length(texts), 0), _scalar('""'), texts)
            for name, texts in columns.items()
        }
    *others, last = columns.values()
    ended = _join(last, _scalar("\n"))
    lines = _join(*others, ended, separator=",") if others else ended
    names = _quoted(pa.array(list(columns), _TEXT)).to_pylist()
    content = _joined(lines)
    return f"{','.join(names)}\n".encode() + content if header else content


def to_parquet(pieces: Iterable[pa.Table]) -> Iterator[bytes]:
    """Yield a table as a Parquet file without control characters, block by block.

    Texts are strings, and NaN is null, as pandas writes them.

    Args:
        pieces: tables of the same columns, of int64, float64 or dictionaries of texts.
    """
    sink = _Sink()
    writer = None
    for piece in pieces:
        columns: dict[str, pa.Array] = {}
        for name, column in zip(piece.column_names, piece.columns, strict=True):
            columns.setdefault(printable(name), _plain(column.combine_chunks()))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(sink, table.schema)
        writer.write_table(table)
        yield sink.taken()
    if writer:
        writer.close()
        yield sink.taken()


def _plain(column: pa.Array) -> pa.Array:
    """Return a column with strings that can be shown, and null for NaN."""
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if not pa.types.is_dictionary(column.type):
        return column
    texts = pa.array(map(printable, column.dictionary.to_pylist()), _TEXT)
    return pa.DictionaryArray.from_arrays(column.indices, texts).cast(_TEXT)


class _Sink(io.RawIOBase):
    """A file that is only written, whose content is taken on the way."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._end = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._end

    def write(self, content: Any) -> int:
        self._blocks.append(bytes(content))
        self._end += len(self._blocks[-1])
        return len(self._blocks[-1])

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        content = b"".join(self._blocks)
        self._blocks.clear()
        return content


def _safe(text: str) -> str:
    return escape_formula(printable(text))


def _texts_of_arrow(column: pa.Array) -> pa.Array:
    """Return the texts that stand for the values of a column in CSV, none of them null.

    Args:
        column: of int64, float64 or a dictionary of texts.
    """
    if pa.types.is_floating(column.type):
        return _texts_of_floats(column)
    if pa.types.is_integer(column.type):
        return column.cast(_TEXT)
    texts = [_safe(text) for text in column.dictionary.to_pylist()]
    quoted = _quoted(pa.array(texts, _TEXT))
    column = pa.DictionaryArray.from_arrays(column.indices, quoted)
    return column.cast(_TEXT).fill_null("")


def _texts_of(values: pd.Series) -> pa.Array:
    """Return the texts that stand for the values of a column in CSV, none of them null.

    A value that lacks is an empty text.
    """
    if values.dtype == float or pd.api.types.is_integer_dtype(values.dtype):
        return _texts_of_arrow(pa.array(values.to_numpy()))
    missing = pd.isna(values)
    texts = [
        "" if lacks else _safe(value) if isinstance(value, str) else str(value)
        for value, lacks in zip(values.tolist(), missing, strict=True)
    ]
    return _quoted(pa.array(texts, _TEXT))


def _texts_of_floats(values: pa.Array) -> pa.Array:
    """Return numbers as Python writes them; NaN and null are empty texts."""
    numbers = values.to_numpy(zero_copy_only=False)
    texts = values.cast(_TEXT)
    # From other numbers on than Python does, Arrow writes an exponent, and in its way;
    # and it writes 1 for 1.0.
    is_whole = pa.array(np.floor(numbers) == numbers)
    texts = pc.if_else(is_whole, _join(texts, _scalar(".0")), texts)
    size = np.abs(numbers)
    is_odd = ~((size >= _LEAST_ALIKE) & (size < _LEAST_UNLIKE)) & (size != 0)
    odd = ["" if math.isnan(one) else repr(one) for one in numbers[is_odd].tolist()]
    return pc.replace_with_mask(texts, pa.array(is_odd), pa.array(odd, _TEXT))


def _quoted(texts: pa.Array) -> pa.Array:
    """Return texts in quotes where CSV needs them."""
    has_quotes = pc.match_substring_regex(texts, '[",\r\n]')
    if not pc.any(has_quotes).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(has_quotes, _join(_scalar('"'), doubled, _scalar('"')), texts)


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, _TEXT)


def _join(*texts: pa.Array | pa.Scalar, separator: str = "") -> pa.Array:
    return pc.binary_join_element_wise(*texts, _scalar(separator))


def _joined(texts: pa.Array) -> bytes:
    """Return the bytes of all texts, one after the other."""
    _, offsets, content = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset :][: len(texts) + 1]
    return bytes(memoryview(content)[ends[0] : ends[-1]]) if content else b""


def make_printable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with control characters in its text and names made visible."""
    return map_text(frame, printable)


def map_text(frame: pd.DataFrame, function: Callable[[str], str]) -> pd.DataFrame:
    """Return a table whose text and names of columns are changed by a function.

    Args:
        frame: the table. Of columns that get the same name, the first is kept.
        function: maps a text to its replacement.
    """
    columns: dict[str, pd.Series] = {}
    for name, values in frame.items():
        columns.setdefault(function(str(name)), _map_values(values, function))
    return pd.DataFrame(columns, index=frame.index)


def _map_values(values: pd.Series, function: Callable[[str], str]) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):  # truth values included
        return values
    changed: dict[Any, str] = {
        value: text
        for value in values.unique()
        if isinstance(value, str) and (text := function(value)) != value
    }
    return values.map(lambda value: changed.get(value, value)) if changed else values

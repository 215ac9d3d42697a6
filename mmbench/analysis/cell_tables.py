"""Tables of many cells in little memory, handed out as one table or piece by piece."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from mmbench.core.columns import LEADING, TRAILING
from mmbench.store.table_index import join

_TABLES_PER_BLOCK = 500  # small tables that are joined at once
_PIECE_ROWS = 10_000
_OWN = ("label", *TRAILING)  # columns that hold one text for each cell


class CellTables:
    """The tables of many cells.

    Columns that hold one text for each cell are made when a piece is.

    Attributes:
        keys: the cells' keys, in the order in which they were added.
        rows: number of rows of all tables.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.rows = 0
        self._counts: list[int] = []  # rows of each cell
        self._labels, self._parameters = _Texts(), _Texts()
        self._names: list[tuple[str, ...]] = []  # columns of each cell
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}  # sets of columns
        self._block: list[pa.Table] = []
        self._blocks: list[dict[str, pa.Array]] = []

    def add(self, key: str, table: pa.Table, label: str, parameters: str) -> None:
        """Add a cell.

        Args:
            key: the cell's key.
            table: its table.
            label: what stands in the column "label".
            parameters: what stands in the column "parameters".
        """
        self._note(key, table.num_rows, tuple(table.column_names), label, parameters)
        self._block.append(table)
        if len(self._block) == _TABLES_PER_BLOCK:
            self._close_block()

    def add_joined(
        self,
        table: pa.Table,
        cells: Iterable[tuple[str, int, tuple[str, ...], str, str]],
    ) -> None:
        """Add cells whose tables were joined.

        Args:
            table: as `mmbench.store.table_index.join` returns it.
            cells: key, number of rows, names of columns, label and parameters of each.
        """
        self._close_block()
        for cell in cells:
            self._note(*cell)
        self._keep(table)

    def _note(
        self, key: str, rows: int, names: tuple[str, ...], label: str, parameters: str
    ) -> None:
        self._names.append(self._known.setdefault(names, names))
        self.keys.append(key)
        self._counts.append(rows)
        self.rows += rows
        self._labels.add(label)
        self._parameters.add(parameters)

    def whole(self, order: Sequence[str] | None = None) -> pa.Table:
        """Return all rows as one table; see `pieces`."""
        return next(self.pieces(order, rows=self.rows), pa.table({}))

    def pieces(
        self, order: Sequence[str] | None = None, rows: int = _PIECE_ROWS
    ) -> Iterator[pa.Table]:
        """Yield the rows of all cells, many at a time; texts are dictionaries.

        The tables that were added are given up on the way: this can be asked for once.

        Args:
            order: keys in the order of the rows. None means that in which they came.
            rows: after how many rows a piece ends, with those of the cell.
        """
        if not self.keys:
            return
        order = self.keys if order is None else order
        at = dict(zip(self.keys, range(len(self.keys)), strict=True))
        cells = np.array([at[key] for key in order], dtype=np.int64)
        counts = np.array(self._counts)
        first = np.cumsum(counts) - counts
        columns = self._join_columns(cells)
        # A cell is in the piece in which its last row comes.
        piece_of = (np.cumsum(counts[cells]) - 1) // max(rows, 1)
        starts = np.flatnonzero(np.diff(piece_of, prepend=-1))
        for one in np.split(cells, starts[1:]):
            # One after the other, the rows of each cell.
            before = np.cumsum(counts[one]) - counts[one]
            within = np.arange(counts[one].sum()) - np.repeat(before, counts[one])
            indices = pa.array(np.repeat(first[one], counts[one]) + within)
            own = {
                "label": self._labels.column(one, counts[one]),
                "parameters": self._parameters.column(one, counts[one]),
                "key": _column(
                    np.arange(len(one)), [self.keys[i] for i in one], counts[one]
                ),
            }
            yield pa.table(
                {
                    name: own[name] if name in own else columns[name].take(indices)
                    for name in (*columns, *TRAILING)
                }
            )

    def _close_block(self) -> None:
        if self._block:
            self._keep(join(self._block))
            self._block = []

    def _keep(self, joined: pa.Table) -> None:
        self._blocks.append(
            {
                name: joined.column(name).chunk(0)
                for name in joined.column_names
                if name not in _OWN
            }
        )

    def _join_columns(self, cells: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns of all rows, and give up the blocks they came from.

        Those of metrics stand in the order in which the cells have them. That of labels
        only keeps its place.
        """
        self._close_block()
        # Many cells have the same columns: each set of columns is looked at once.
        sets = dict.fromkeys(self._names[cell] for cell in cells)
        names = dict.fromkeys([*LEADING, *(name for one in sets for name in one)])
        lengths = [len(block["step"]) for block in self._blocks]
        joined = {}
        for name in names:
            if name in _OWN:
                if name not in TRAILING:
                    joined[name] = pa.nulls(0)
                continue
            parts = [
                pa.table({name: block.pop(name) if name in block else pa.nulls(rows)})
                for block, rows in zip(self._blocks, lengths, strict=True)
            ]
            whole = pa.concat_tables(parts, promote_options="permissive")
            joined[name] = whole.unify_dictionaries().column(0).combine_chunks()
            del parts, whole
            pa.default_memory_pool().release_unused()  # what the blocks took
        return joined


class _Texts:
    """A text for each cell, of which equal ones are kept once."""

    def __init__(self) -> None:
        self._codes: list[int] = []
        self._texts: dict[str, int] = {}  # text to code

    def add(self, text: str) -> None:
        self._codes.append(self._texts.setdefault(text, len(self._texts)))

    def column(self, cells: np.ndarray, counts: np.ndarray) -> pa.Array:
        """Return a column with the text of each cell in each of its rows.

        Args:
            cells: numbers of the cells, in the order in which they were added.
            counts: number of rows of each.
        """
        used, codes = np.unique(np.array(self._codes)[cells], return_inverse=True)
        texts = list(self._texts)
        return _column(codes, [texts[code] for code in used], counts)


def _column(codes: np.ndarray, texts: Sequence[str], counts: np.ndarray) -> pa.Array:
    """Return a column in which the text of each code stands as often as counted."""
    indices = pa.array(np.repeat(codes, counts), pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.large_string()))

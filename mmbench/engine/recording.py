"""What is recorded of the runs of one chunk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from mmbench.core.checkpoint import pack
from mmbench.core.errors import DescriptionError
from mmbench.core.printable import shorten
from mmbench.core.status import Status
from mmbench.core.user_code import defined_at, describe_error, describe_value
from mmbench.engine.cell import Cell
from mmbench.metrics.base import Metric, TrajectoryMetric

STREAK_RECORDS = 3  # records in a row at which the target must hold
SHOWN = 8  # runs of which a path or a sample sheet is kept
SHEET_DTYPES = ("float16", "float32", "float64", "uint8")  # of sample sheets


class Records(NamedTuple):
    """Some records that follow each other.

    Args:
        length: how many there are.
        counts: charges by name, shape (length, runs), or (length, 1) where all runs
            have been charged the same.
        columns: metrics by column, shape (length, runs).
    """

    length: int
    counts: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]

    def part(self, first: int, last: int) -> "Records":
        """Return the records from number `first` to the one before `last`."""
        chosen = slice(first, last)
        counts = {name: rows[chosen] for name, rows in self.counts.items()}
        columns = {name: rows[chosen] for name, rows in self.columns.items()}
        return Records(last - first, counts, columns)


class Recording:
    """The records of the runs of one chunk, and how the runs ended.

    Args:
        cell: the cell that the runs belong to.
        seeds: one for each run.

    Attributes:
        steps: steps of the records.
        seconds: training time of the chunk at each record.
        records: what was counted and measured at these steps.
        status: how each run ended; "finished" until something else is known.
        stopped_at: the step at which each run ended, shape (runs,).
        reason: the exception or the limit that ended runs; empty where none did.
        arrays: what is shown rather than tabulated, as a trajectory has it.
        kept: steps with the iterates kept at them, shape (runs, dim).
        between: records at further steps, for cells with more steps; no part of the
            table.
        last_state: the packed state of the chunk at its end, if it is kept.
        ended: whether nothing more will be recorded.
        backend: what computes the runs: as a trajectory has it.
    """

    def __init__(self, cell: Cell, seeds: tuple[int, ...]) -> None:
        self.cell, self.seeds = cell, seeds
        self.steps: list[int] = []
        self.seconds: list[float] = []
        self.records: list[Records] = []
        self.status = [Status.FINISHED] * len(seeds)
        self.stopped_at = np.full(len(seeds), cell.steps)
        self.reason = ""
        self.arrays: dict[str, np.ndarray] = {}
        self.kept: list[tuple[int, np.ndarray]] = []
        self.between: list[dict[str, Any]] = []
        self.last_state = np.empty(0, dtype=np.uint8)
        self.ended = False
        self.backend = ""

    # ---- records ----

    @property
    def counts(self) -> list[dict[str, np.ndarray]]:
        """Charges at each record, by name, shape (runs,); made anew at each look."""
        return self._rows([(one.length, one.counts) for one in self.records])

    @property
    def columns(self) -> list[dict[str, np.ndarray]]:
        """Metrics at each record, by column, shape (runs,); made anew at each look."""
        return self._rows([(one.length, one.columns) for one in self.records])

    def _rows(
        self, parts: Sequence[tuple[int, dict[str, np.ndarray]]]
    ) -> list[dict[str, np.ndarray]]:
        """Return the values of each record, shape (runs,) each."""
        rows = []
        for length, values in parts:
            shape = length, len(self.seeds)
            whole = {name: np.broadcast_to(one, shape) for name, one in values.items()}
            rows += [
                {name: one[number] for name, one in whole.items()}
                for number in range(length)
            ]
        return rows

    def add(
        self,
        step: int,
        seconds: float,
        counts: dict[str, np.ndarray],
        columns: dict[str, np.ndarray],
    ) -> None:
        """Add a record of all runs.

        Args:
            step: step of the record.
            seconds: training time of the chunk.
            counts: charges by name, shape (runs,), or (1,) where all runs have been
                charged the same.
            columns: metrics by column, shape (runs,).
        """
        records = Records(
            1,
            {name: row[None] for name, row in counts.items()},
            {name: row[None] for name, row in columns.items()},
        )
        self.add_records([step], [seconds], records)

    def add_records(
        self, steps: Sequence[int], seconds: Sequence[float], records: Records
    ) -> None:
        """Add some records of all runs."""
        self.steps += steps
        self.seconds += seconds
        self.records.append(records)

    def add_between(
        self,
        step: int,
        seconds: float,
        counts: dict[str, np.ndarray],
        columns: dict[str, np.ndarray],
    ) -> None:
        """Add a record at a step that is not in the schedule."""
        self.between.append(
            {"step": step, "seconds": seconds, "counts": counts, "columns": columns}
        )

    def keep_state(self, chunk: dict[str, Any]) -> None:
        """Keep the state of the chunk after the last step, before runs converge.

        Args:
            chunk: all that the next steps depend on.
        """
        status = [str(one) for one in self.status]
        saved = {"chunk": chunk, "status": status, "stopped_at": self.stopped_at}
        self.last_state = np.frombuffer(pack(saved), dtype=np.uint8)

    def keep_iterates(self, step: int, z: Tensor) -> None:
        """Keep the iterates of a record, to go on from them or to measure more."""
        self.kept.append((step, z.cpu().numpy().copy()))

    def keep_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Keep what is shown rather than tabulated."""
        self.arrays = arrays

    def set_backend(self, backend: str) -> None:
        """Note what computes the runs."""
        self.backend = backend

    # ---- endings ----

    def mark(self, runs: Sequence[int], status: Status, step: int) -> None:
        """Note that runs have ended; indices of the padding are ignored."""
        for run in runs:
            if run < len(self.seeds):
                self.status[run], self.stopped_at[run] = status, step

    def conclude(self) -> None:
        """Mark runs as converged whose target held at the last three records or more.

        They converged at the first record from which on the target held.
        """
        if not (target := self.cell.task.target):
            return
        holds = np.ones(len(self.seeds), dtype=bool)  # from a record on to the last one
        records, first = np.zeros((2, len(self.seeds)), dtype=int)
        for step, columns in zip(
            reversed(self.steps), self._columns_from_the_last(), strict=True
        ):
            holds &= target.holds(columns)
            if not holds.any():
                break
            records += holds
            first[holds] = step
        for run in np.flatnonzero(records >= STREAK_RECORDS):
            if not self.status[run].is_failure:
                self.status[run], self.stopped_at[run] = Status.CONVERGED, first[run]

    def _columns_from_the_last(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the columns of each record, those of the last one first."""
        for records in reversed(self.records):
            for number in reversed(range(records.length)):
                yield {name: rows[number] for name, rows in records.columns.items()}

    def fail(self, error: BaseException) -> None:
        """Mark all runs that had not ended as ended by an exception."""
        self.end(Status.ERROR, describe_error(error))

    def end(self, status: Status, reason: str) -> None:
        """Mark all runs that had not ended as ended at the last record."""
        self.reason = reason
        step = self.steps[-1] if self.steps else 0
        going = [
            run for run, found in enumerate(self.status) if found is Status.FINISHED
        ]
        self.mark(going, status, step)

    def close(self) -> None:
        """Note that nothing more will be recorded."""
        self.ended = True

    # ---- checkpoints ----

    def snapshot(self) -> dict[str, Any]:
        """Return everything but the cell, for a checkpoint."""
        return {
            "seeds": self.seeds,
            "steps": list(self.steps),
            "seconds": list(self.seconds),
            "counts": self.counts,
            "columns": self.columns,
            "status": [str(status) for status in self.status],
            "stopped_at": self.stopped_at,
            "reason": self.reason,
            "arrays": self.arrays,
            "kept": self.kept,
            "between": self.between,
            "last_state": self.last_state,
            "ended": self.ended,
            "backend": self.backend,
        }

    @classmethod
    def from_snapshot(cls, cell: Cell, saved: dict[str, Any]) -> "Recording":
        """Return the recording that a snapshot was made of."""
        recording = cls(cell, tuple(saved["seeds"]))
        recording._restore(saved)
        return recording

    def news(self, first: int) -> dict[str, Any]:
        """Return a snapshot without the records before `first` and all large parts."""
        return self.since(first).snapshot() | {"first": first}

    def since(self, first: int) -> "Recording":
        """Return what `news` is a snapshot of, which stays as it is now."""
        late = Recording(self.cell, self.seeds)
        late.steps, late.seconds = self.steps[first:], self.seconds[first:]
        late.records = self._records_from(first)
        late.status, late.stopped_at = list(self.status), self.stopped_at.copy()
        late.reason, late.ended, late.backend = self.reason, self.ended, self.backend
        return late

    def _records_from(self, first: int) -> list[Records]:
        """Return the records from number `first` on."""
        found, begin = [], len(self.steps)
        for records in reversed(self.records):
            if begin <= first:
                break
            begin -= records.length
            found.append(records.part(max(0, first - begin), records.length))
        return found[::-1]

    def records_before(self, last: int) -> list[Records]:
        """Return the records before number `last`."""
        found, end = list(self.records), len(self.steps)
        while end > last:
            records = found.pop()
            end -= records.length
            if end < last:
                found.append(records.part(0, last - end))
        return found

    @classmethod
    def from_news(
        cls, cell: Cell, news: dict[str, Any], before: "Recording | None"
    ) -> "Recording":
        """Return a recording with its news.

        Args:
            cell: the cell.
            news: what `news` returned.
            before: the recording with the records before the first one of the news;
                None where there are none.
        """
        recording = cls.from_snapshot(cell, news)
        if before and (first := news["first"]):
            recording.steps = before.steps[:first] + recording.steps
            recording.seconds = before.seconds[:first] + recording.seconds
            recording.records = before.records_before(first) + recording.records
        return recording

    def _restore(self, saved: dict[str, Any]) -> None:
        names = "steps", "seconds", "counts", "columns"
        for record in zip(*(saved[name] for name in names), strict=True):
            self.add(*record)
        self.status = [Status(status) for status in saved["status"]]
        self.stopped_at, self.reason = saved["stopped_at"], saved["reason"]
        self.arrays = saved["arrays"]
        self.kept = [(step, z) for step, z in saved["kept"]]
        self.between, self.last_state = saved["between"], saved["last_state"]
        self.ended, self.backend = saved["ended"], saved["backend"]


def summarise(
    metric: TrajectoryMetric, steps: Sequence[int], values: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the columns of a metric of whole runs, shape (runs,), by name.

    Args:
        metric: the metric.
        steps: step of each record.
        values: the column that it is computed from, shape (records, runs).

    Raises:
        DescriptionError: when the metric gives anything else.
    """
    given: Any = metric.summarise(steps, values)
    if isinstance(given, Mapping):
        given = {name: np.asarray(column) for name, column in given.items()}
    check_values(metric, "summarise", given, np.ndarray, values.shape[1])
    return {column.name: given[column.name] for column in metric.columns}


def check_values(
    metric: Metric,
    method: str,
    values: Any,
    kind: type[Tensor] | type[np.ndarray],
    runs: int,
) -> None:
    """Check that a metric gave a mapping from its columns to a number for each run.

    Args:
        metric: the metric.
        method: name of the method that gave them.
        values: what it gave.
        kind: class that the numbers of a column must have.
        runs: number of runs.

    Raises:
        DescriptionError: naming the metric and what was found.
    """

    def who() -> str:
        return f"{metric}.{method}{defined_at(type(metric), method)}"

    names = [column.name for column in metric.columns]
    if not isinstance(values, Mapping) or not set(names) <= set(values):
        got = (
            shorten(list(values))
            if isinstance(values, Mapping)
            else describe_value(values)
        )
        named = ", ".join(map(repr, names))
        raise DescriptionError(
            f"{who()} must return a mapping with {named}; got {got}."
        )
    for name in names:
        column = values[name]
        if not isinstance(column, kind) or tuple(column.shape) != (runs,):
            raise DescriptionError(
                f"{who()} must give one number for each of {runs} runs as {name}, a "
                f"{kind.__name__} of shape ({runs},); got {describe_value(column)}."
            )

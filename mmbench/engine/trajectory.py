"""The trajectory of a cell: the records of all its runs, as typed columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.core.checkpoint import pack
from mmbench.core.columns import COUNTED, LEADING
from mmbench.core.description import name_of, text
from mmbench.core.status import Status
from mmbench.core.user_code import describe_error
from mmbench.engine.cell import STEPS_MADE, Cell
from mmbench.engine.recording import SHOWN, Recording, summarise
from mmbench.metrics.base import IterateMetric, TrajectoryMetric

if TYPE_CHECKING:  # it takes long to import
    import pandas as pd

# Backends of cells whose steps were compiled in C or by torch, or captured on a GPU.
COMPILED = ("compiled", "captured")


@dataclass
class Trajectory:
    """What the engine measured of one cell; every run has every record.

    Attributes:
        seeds: one for each run.
        steps: steps of the records.
        counts: charges of each run, by name, shape (records, runs); like `seconds`, to
            be read only, since runs may share their memory.
        seconds: training time of the run's chunk, shape (records, runs); measuring is
            not part of it.
        columns: metrics, by column, shape (records, runs).
        status: how each run ended.
        stopped_at: the step at which each run ended, shape (runs,).
        reason: the exception or the limit that ended runs; empty where none did.
        arrays: what is shown rather than tabulated, each with a leading `runs` axis of
            the first few runs: "path" (runs, points, 2) with "path_steps" (points,),
            "sheet" (runs, count, ...).
        width: runs that were computed side by side.
        iterates: "z" (kept, runs, dim) and the "steps" (kept,) of their records; empty
            where none were to be kept or a chunk failed.
        real_scores: scores of real data, by column.
        backend: what computed it: "eager", one of `COMPILED`, or why none of these.
        state: what each chunk has recorded and come to, packed, by its number; empty
            where no state was to be kept or a chunk failed.
    """

    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    counts: dict[str, np.ndarray]
    seconds: np.ndarray
    columns: dict[str, np.ndarray]
    status: list[Status]
    stopped_at: np.ndarray
    reason: str = ""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    width: int = 0
    iterates: dict[str, np.ndarray] = field(default_factory=dict)
    real_scores: dict[str, float] = field(default_factory=dict)
    backend: str = ""
    state: dict[str, np.ndarray] = field(default_factory=dict)

    def snapshot(self) -> dict[str, Any]:
        """Return everything, to be sent from a child process."""
        return vars(self) | {"status": [str(status) for status in self.status]}

    @classmethod
    def from_snapshot(cls, saved: dict[str, Any]) -> "Trajectory":
        """Return the trajectory that a snapshot was made of."""
        tuples = {name: tuple(saved[name]) for name in ("seeds", "steps")}
        status = [Status(status) for status in saved["status"]]
        return cls(**{**saved, **tuples, "status": status})

    @classmethod
    def from_frame(cls, frame: "pd.DataFrame") -> "Trajectory":
        """Return the trajectory that a cell's table was made of, without arrays."""
        seeds, steps = (tuple(frame[name].unique()) for name in ("seed", "step"))
        last = frame.groupby("seed", sort=False).tail(1)

        def matrix(name: str) -> np.ndarray:
            return frame[name].to_numpy().reshape(len(seeds), len(steps)).T

        metrics = [str(name) for name in frame.columns if name not in LEADING]
        return cls(
            seeds=tuple(int(seed) for seed in seeds),
            steps=tuple(int(step) for step in steps),
            counts={name: matrix(name) for name in COUNTED},
            seconds=matrix("cell_seconds"),
            columns={name: matrix(name) for name in metrics},
            status=[Status(status) for status in last["status"]],
            stopped_at=last["stopped_at"].to_numpy(),
            reason=next((reason for reason in last["reason"] if reason), ""),
        )

    def columns_of_table(self, cell: Cell) -> dict[str, Any]:
        """Return the columns of the tidy table.

        It has one row for each run and record, run by run; a text is that of all rows.
        """
        records, runs = self.seconds.shape

        def per_run(values: Any) -> np.ndarray:
            return np.repeat(np.asarray(values), records)

        def flat(values: np.ndarray) -> np.ndarray:
            return values.T.reshape(-1)

        return {
            "task": text(cell.task),
            "algorithm": name_of(type(cell.algorithm)),
            "label": cell.label,
            "seed": per_run(self.seeds),
            "step": np.tile(np.asarray(self.steps), runs),
            **{name: flat(self.counts[name]) for name in COUNTED},
            "cell_seconds": flat(self.seconds),
            "status": per_run([str(status) for status in self.status]),
            "stopped_at": per_run(self.stopped_at),
            "reason": per_run(
                [
                    self.reason if status in Status.cell_failures() else ""
                    for status in self.status
                ]
            ),
            **{name: flat(values) for name, values in self.columns.items()},
        }

    def frame(self, cell: Cell) -> "pd.DataFrame":
        """Return the tidy table: one row for each run and record, run by run."""
        # Inside, because it takes long to import, and a worker makes no frame.
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame(self.columns_of_table(cell))

    def summarise(self, metric: TrajectoryMetric) -> None:
        """Add the columns of a metric of whole runs.

        If the metric raises, they are NaN, and the runs that had not broken down end
        with an error.
        """
        runs = len(self.seeds)
        try:
            values = summarise(metric, self.steps, self.columns[metric.of])
        except Exception as error:
            self.reason = describe_error(error)
            self.status = [
                status if status.is_failure else Status.ERROR for status in self.status
            ]
            values = {column.name: np.full(runs, np.nan) for column in metric.columns}
        for column in metric.columns:
            repeated = np.tile(values[column.name], (len(self.steps), 1))
            self.columns[column.name] = repeated


# ---- chunks to one trajectory ----


def join_recordings(
    cell: Cell,
    recordings: Sequence[Recording],
    width: int,
    real_scores: dict[str, float] | None = None,
) -> Trajectory:
    """Join the recordings of all chunks of a cell into its trajectory.

    Where a chunk failed early, metrics of the records that it lacks are NaN, counts and
    seconds those of its last record.

    Args:
        cell: the cell.
        recordings: one for each chunk, in the order of the cell's seeds.
        width: runs computed side by side.
        real_scores: scores of real data, by column.
    """
    steps = max((recording.steps for recording in recordings), key=len) or [0]
    widths = [len(recording.seeds) for recording in recordings]

    def join(chunks: Iterable[Sequence[np.ndarray]], missing: Any = None) -> np.ndarray:
        filled = [_filled_up(parts, len(steps), missing) for parts in chunks]
        whole = list(map(_widened, filled, widths))
        return whole[0] if len(whole) == 1 else np.concatenate(whole, axis=1)

    counts = {
        name: join([part.counts[name] for part in one.records] for one in recordings)
        for name in COUNTED
    }
    names = [
        column.name
        for metric in cell.metrics
        if isinstance(metric, IterateMetric)
        for column in metric.columns
    ]
    columns = {
        name: join(
            ([part.columns[name] for part in one.records] for one in recordings),
            missing=np.nan,
        )
        for name in [*names, *([STEPS_MADE.name] if cell.budget else [])]
    }
    trajectory = Trajectory(
        seeds=cell.seeds,
        steps=tuple(steps),
        counts={name: rows.astype(int, copy=False) for name, rows in counts.items()},
        seconds=join(_rows_of_seconds(recording) for recording in recordings),
        columns=columns,
        status=list(chain.from_iterable(one.status for one in recordings)),
        stopped_at=np.concatenate([recording.stopped_at for recording in recordings]),
        reason=next((one.reason for one in recordings if one.reason), ""),
        arrays=_join_arrays(recordings),
        width=width,
        iterates=_join_iterates(recordings),
        real_scores=real_scores or {},
        backend=recordings[0].backend,
        state=_pack_chunks(recordings),
    )
    for metric in cell.metrics:
        if isinstance(metric, TrajectoryMetric):
            trajectory.summarise(metric)
    return trajectory


def _filled_up(parts: Sequence[np.ndarray], records: int, missing: Any) -> np.ndarray:
    """Return the records of a chunk, shape (records, runs), or (records, 1).

    Args:
        parts: some records each, shape (count, runs), or (count, 1) where all runs have
            the same value.
        records: the number of records.
        missing: what stands in those that the chunk lacks; None repeats the last one.
    """
    if not sum(map(len, parts)):
        return np.full((records, 1), 0.0 if missing is None else missing)
    width = max(part.shape[1] for part in parts)
    rows = [_widened(part, width) for part in parts]
    if lacking := records - sum(map(len, rows)):
        last = rows[-1][-1:] if missing is None else np.full((1, width), missing)
        rows.append(np.broadcast_to(last, (lacking, width)))
    return np.concatenate(rows)


def _widened(rows: np.ndarray, width: int) -> np.ndarray:
    """Return rows of so many runs; of one value, a view that cannot be written."""
    if rows.shape[1] == width:
        return rows
    return np.broadcast_to(rows, (len(rows), width))


def _rows_of_seconds(recording: Recording) -> list[np.ndarray]:
    """Return the training time at the records, of all runs or of each."""
    if any(isinstance(seconds, np.ndarray) for seconds in recording.seconds):
        return [np.atleast_1d(seconds)[None] for seconds in recording.seconds]
    return [np.array(recording.seconds, dtype=float)[:, None]]


def _join_arrays(recordings: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Return arrays of the first few runs of all chunks that came to their end."""
    arrays = [recording.arrays for recording in recordings if recording.arrays]
    return {
        name: array
        if name == "path_steps"  # the same for all runs
        else np.concatenate([one[name] for one in arrays])[:SHOWN]
        for name, array in (arrays[0] if arrays else {}).items()
    }


def _pack_chunks(recordings: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Return what all chunks have recorded and come to, if all of that was kept."""
    if not all(recording.last_state.size for recording in recordings):
        return {}
    packed = [pack(recording.snapshot() | {"arrays": {}}) for recording in recordings]
    return {str(i): np.frombuffer(one, np.uint8) for i, one in enumerate(packed)}


def _join_iterates(recordings: Sequence[Recording]) -> dict[str, np.ndarray]:
    """Return kept iterates of all chunks, if all were kept at the same steps."""
    steps = [[step for step, _ in recording.kept] for recording in recordings]
    if not steps[0] or steps.count(steps[0]) < len(steps):
        return {}
    z = [
        np.concatenate([recording.kept[i][1] for recording in recordings])
        for i in range(len(steps[0]))
    ]
    return {"z": np.stack(z), "steps": np.array(steps[0])}

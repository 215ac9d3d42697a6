"""A chunk: a batch of runs, computed from their start to their end.

This is the loop of every cell; step maps, which keep no records, have a short one of
their own.
"""

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from mmbench.algorithms.base import Algorithm
from mmbench.core.capability import Capability
from mmbench.core.checkpoint import restore_structure
from mmbench.core.columns import COUNTED
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.precision import rounding
from mmbench.core.status import Status
from mmbench.core.streams import chunk_length
from mmbench.core.user_code import defined_at, describe_value
from mmbench.core.vectors import Joint, has_form, is_like, is_within, keep, largest
from mmbench.engine.cell import Cell
from mmbench.engine.compiled.block import (
    Block,
    BlockResult,
    compile_block,
    may_become_arrays,
)
from mmbench.engine.compiled.c_draws import fast_draws
from mmbench.engine.compiled.c_layers import FastLayers
from mmbench.engine.compiled.step_function import STATUS_OF_ENDING, Sizes
from mmbench.engine.expected_time import (
    expected_seconds_of_chunk,
    seconds_of_compiling_arrays,
)
from mmbench.engine.plane_path import PlanePath
from mmbench.engine.progress import Progress, ProgressReporter, TrainingClock
from mmbench.engine.recording import Recording, Records
from mmbench.engine.rounding_noise import RoundingNoise
from mmbench.engine.run_batch import RunBatch, count_writes
from mmbench.metrics.base import Point

# How long steps must take without compiling for a rule to have them compiled: as a loop
# over numbers, which takes a quarter of a second, or as a graph, which takes up to a
# minute and saves about a third.
LOOP_SECONDS = 0.5
LOOP_NUMBERS = 64  # of a run, in games that may become a loop
ARRAYS_SAVE = 0.5  # of the time of a chunk, which a loop over arrays saves at least
GRAPH_SECONDS = 300.0
# Steps from which they are captured on a GPU, which takes as long as some tens of them.
CAPTURE_STEPS = 200


class Ways(NamedTuple):
    """Which ways of compiling steps are tried, in this order.

    Args:
        numbers: as a loop in C that keeps the numbers of a run in registers.
        arrays: as a loop in C over the arrays of a run.
        graphs: by torch's compiler; on a GPU, captured.
    """

    numbers: bool
    arrays: bool
    graphs: bool


class Chunk:
    """A batch of runs of a cell and all that changes from step to step.

    Args:
        cell: the cell that the runs belong to.
        placement: where the runs are computed.
        width: runs computed side by side; the last run is repeated up to it.
        recording: what is recorded of the runs; it has their seeds.
        starts: where the runs start, shape (runs, dim); None asks the task.
        noise: errors that are made at every step.
        sizes: step sizes of x and y, each (runs, 1), where every run has its own.

    Attributes:
        game: the game of the cell.
        seeds: one for each run, the padding included.
        step: the number of steps made.
        z: iterates after these steps, shape (width, dim).
        state: state of the algorithm.
        oracle: the oracle that the algorithm asks.
    """

    def __init__(
        self,
        cell: Cell,
        placement: Placement,
        width: int,
        recording: Recording,
        starts: Tensor | None,
        noise: RoundingNoise | None = None,
        sizes: Sizes = (),
    ) -> None:
        self._noise = noise
        self._cell, self._placement, self._recording = cell, placement, recording
        self._batch = RunBatch(cell, placement, recording.seeds, width, starts)
        self.game, self.seeds = self._batch.game, self._batch.seeds
        self.z: Joint = self._batch.start
        _check_losses(self.game, self.z, self.seeds)
        if noise:
            noise.disturb_losses(self.game)
            self.z = self._disturb(noise, self.z)
        # Every cell of a chain draws minibatches of its own.
        purpose = f"data/{cell.stage}" if cell.stage else "data"
        memory = self.game.memory(self.z)
        self._oracle_state = OracleState(self.game, self.seeds, purpose, memory)
        self.oracle = Oracle(self._oracle_state)
        self._sizes = tuple(self._batch.pad(column) for column in sizes)
        self._algorithm = cell.algorithm
        if sizes:
            self._algorithm = cell.algorithm.with_step_sizes(*self._sizes)
        self.state = self._algorithm.init(self.oracle, self.z)
        check_state(cell.algorithm, "init", self.state, width)
        self.step = 0
        # A look of the host at a GPU waits for it: there one is made at records alone,
        # and until then it is not known whether runs have ended.
        self._looks_each_step = placement.device.type == "cpu"
        self._all_alive, self._any_alive = self._looks_each_step, True
        self._going = [True] * width  # as of the last look
        self._last_step = torch.zeros(width, dtype=torch.int64, device=self.z.device)
        self._last_size = torch.zeros_like(self.z[:, 0])  # of the iterate it led to
        self._has_stepped = False
        self._planned = sorted({*cell.schedule, *cell.between})
        is_plane = Capability.PLANE in cell.task.gives
        self._path = PlanePath(cell.steps, self._batch.runs, is_plane=is_plane)
        self._clock = TrainingClock(placement.device)
        # The columns of a record that is yet to be made, by its step.
        self._measured_ahead: dict[int, dict[str, np.ndarray]] = {}
        self._block = self._compile_block()
        is_in_c = self._block is not None and bool(self._block.source)
        size = self.game.sample_size
        self._drawing = fast_draws(size * chunk_length(size) if is_in_c else 0)
        may_have_layers = is_in_c and bool(self.game.batch_size)
        self._measuring = FastLayers() if may_have_layers else nullcontext()

    def snapshot(self) -> dict[str, Any]:
        """Return all that the next steps depend on, and a sample sheet.

        The sheet is for a report on unfinished cells.
        """
        return self._state() | self._batch.sample_sheet(
            self._answer(self.z, self.state)
        )

    def _state(self) -> dict[str, Any]:
        """Return all that the next steps depend on."""
        self._look()
        return {
            "z": self.z,
            "state": self.state,
            "oracle": self._oracle_state.snapshot(),
            "path": self._path.snapshot(),
            "step": self.step,
            "seconds": self._clock.seconds,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from a snapshot.

        Raises:
            Exception: of any type, when it is not a snapshot of these runs.
        """
        z, step = saved["z"].to(self.z.device), saved["step"]
        state = restore_structure(self.state, saved["state"])
        fits = is_like(z, self.z) and has_form(state, self.state)
        # A run that breaks down keeps the last iterate that was finite.
        if not fits or not bool(torch.isfinite(z).all()):
            raise ValueError("a snapshot must be of these runs")
        self._oracle_state.restore(saved["oracle"])
        self._check_oracle_state(self._steps_made_by(saved))
        self._path.restore(saved["path"], step, z)
        self.z, self.state, self.step = z, state, step
        self._clock = TrainingClock(self._placement.device, saved["seconds"])
        self._going = self._oracle_state.alive.tolist()
        self._look()

    def _steps_made_by(self, saved: dict[str, Any]) -> int:
        """Return how many steps had been made at a snapshot."""
        return int(saved["step"])

    def _check_oracle_state(self, step: int) -> None:
        """Check that the oracle's state fits what is recorded of the runs by a step.

        Raises:
            ValueError: when it does not.
        """
        state, recording, runs = self._oracle_state, self._recording, self._batch.runs
        spent = self._have_spent()[:runs]
        going = [
            one is Status.FINISHED and not is_spent
            for one, is_spent in zip(recording.status, spent, strict=True)
        ]
        last = recording.counts[-1] if recording.counts else {}
        if (
            state.alive[:runs].tolist() != going
            or any(
                (state.counts[name][:runs].cpu().numpy() < counted).any()
                for name, counted in last.items()
            )
            or (step and self.game.batch_size and not state.has_drawn)
        ):
            raise ValueError("a snapshot must be of these runs")

    def compute(
        self,
        progress: Progress,
        save: Callable[[], None] | None = None,
        save_seconds: float = math.inf,
    ) -> None:
        """Compute the runs to their end.

        Args:
            progress: called with the run-steps made.
            save: called between two steps, to save a snapshot.
            save_seconds: the time between two calls of `save`, in seconds.
        """
        cell, recording = self._cell, self._recording
        reporter = ProgressReporter(progress, recording, self._place)
        saved_at = time.monotonic()
        self._clock.start()
        while True:
            reporter.report_if_due(self._place)
            if save and time.monotonic() - saved_at >= save_seconds:
                self._clock.stop()
                save()
                saved_at = time.monotonic()
                self._clock.start()
            self._record_what_is_due(reporter)
            if self._place == cell.steps:
                break
            try:
                self._advance()
            except Exception:
                self._look()
                raise
        if cell.keep_state:
            recording.keep_state(self._state())
        recording.conclude()
        if cell.keep == "last":
            recording.keep_iterates(cell.steps, self.z[: self._batch.runs])
        answer = self._answer(self.z, self.state)
        recording.keep_arrays(self._path.arrays() | self._batch.sample_sheet(answer))

    # ---- steps ----

    @property
    def _place(self) -> int:
        """Where the runs are between the first and the last record."""
        return self.step

    def _advance(self) -> None:
        """Make one step, or the compiled steps that fit before the next record."""
        if self._any_alive and not self._block:
            self._make_step()
            return
        at = bisect_right(self._planned, self.step)
        planned = self._planned[at]
        if not self._any_alive:  # no run moves any more; the records repeat
            self.step = self._path.next_step(self.step, planned)
        elif block := self._block:
            most, last = at + block.most_stops, self.step + block.length
            stops = self._planned[at : min(most, bisect_right(self._planned, last))]
            if len(stops) > 1:
                self._make_records(block, stops)
            else:
                self._make_block(block, min(block.length, planned - self.step))

    def _make_step(self) -> None:
        """Make one step of all runs; those that break down keep what they had."""
        algorithm, z, oracle_state = self._cell.algorithm, self.z, self._oracle_state
        if not self._looks_each_step:
            oracle_state.begin_step(self.step)
        oracle_state.resample()
        # Runs that have ended stay, even if an algorithm writes into its argument.
        point = z if self._all_alive else z.clone()
        writes = count_writes(point)
        with self._product_rounding():
            made = self._algorithm.step(self.oracle, point, self.state)
        if not isinstance(made, tuple) or len(made) != 2:
            raise _step_error(algorithm, f"(z, state); got {describe_value(made)}")
        moved, new_state = made
        if not is_like(moved, z) or count_writes(point) != writes:
            got = describe_value(moved)
            if is_like(moved, z):
                got = "the old one, written in place"
            raise _step_error(
                algorithm, f"a new z of shape {tuple(z.shape)}, {z.dtype}; got {got}"
            )
        if not self._has_stepped:  # a state keeps the form of its first step
            check_state(algorithm, "step", new_state, len(z))
            if not has_form(new_state, self.state):
                raise _step_error(
                    algorithm,
                    "a state of the form, shapes and dtypes that it has before the "
                    "step; got another",
                )
            self._has_stepped = True
        if self._noise:
            moved = self._disturb(self._noise, moved)
        self.step += 1
        stopped = algorithm.done(new_state)
        if stopped is not None:
            _check_stopped(algorithm, stopped, len(z))
        if (
            self._all_alive
            and stopped is None
            and is_within(moved, self._cell.task.limit)
        ):
            oracle_state.advance(moved)
            self.z, self.state = moved, new_state
            return
        alive, size = oracle_state.alive, largest(moved)
        self._last_step = self._last_step.masked_fill(alive, self.step)
        self._last_size = keep(alive, size, self._last_size)
        alive = alive & (size <= self._cell.task.limit)
        self.z = keep(alive, moved, z)
        self.state = keep(alive, new_state, self.state)
        oracle_state.end_runs(alive)
        # Runs that stop at this step have taken it, and are remembered by the game.
        oracle_state.advance(self.z)
        if stopped is not None:
            oracle_state.end_runs(alive & ~stopped)
        if self._looks_each_step:
            self._look()

    def _disturb(self, noise: RoundingNoise, z: Joint) -> Joint:
        """Return iterates with errors, still at allowed points."""
        return self.game.project(noise.disturb_point(z))

    def _look(self) -> None:
        """Read which runs have ended since the last look, and note how and when."""
        if self._all_alive and bool(self._oracle_state.alive.all()):
            return
        alive = self._oracle_state.alive.tolist()
        if alive != self._going:
            is_within = (self._last_size <= self._cell.task.limit).tolist()
            sizes, steps = self._last_size.tolist(), self._last_step.tolist()
            for run, was_going in enumerate(self._going):
                if was_going and not alive[run]:
                    status = Status.STOPPED
                    if not is_within[run]:
                        is_finite = math.isfinite(sizes[run])
                        status = Status.DIVERGED if is_finite else Status.NONFINITE
                    self._recording.mark([run], status, self._end(run, steps[run]))
        self._going, self._any_alive = alive, any(alive)
        self._all_alive = self._looks_each_step and all(alive)

    def _make_block(self, block: Block, count: int) -> BlockResult:
        """Make some compiled or captured steps of all runs."""
        oracle_state, first = self._oracle_state, self.step
        drawn: Iterable[list[Any]]
        if block.takes_stacked:
            with self._drawing:
                values, count = oracle_state.draw_steps(block.draws, count)
            drawn = [values]
        else:
            drawn = (self._draw(block) for _ in range(count if block.draws else 0))
        with self._product_rounding():
            result = block(
                self.z,
                self.state,
                oracle_state.memory,
                oracle_state.alive,
                drawn,
                first,
                count,
                self._sizes,
            )
        self._take_over(result, count)
        return result

    def _make_records(self, block: Block, stops: Sequence[int]) -> None:
        """Make compiled steps up to the last stop, and the records at those before it.

        The training time at a record is the share of its steps in that of all steps.
        """
        cell, oracle_state = self._cell, self._oracle_state
        first, begun = self.step, self._clock.seconds
        result = block.through(
            self.z,
            self.state,
            oracle_state.memory,
            oracle_state.alive,
            [stop - first for stop in stops],
            first,
            self._sizes,
        )
        self._clock.stop()
        each = (self._clock.seconds - begun) / (stops[-1] - first)
        *records, last = stops
        seconds = [begun + each * (stop - first) for stop in records]
        counts = self._counts_at(result, np.array(records) - first)
        columns = self._measure_together(result)
        if columns:
            if cell.keep == "all":
                for stop, z in zip(records, result.runs.z[:-1], strict=True):
                    self._keep_iterates(stop, z)
            rows = {name: column[:-1] for name, column in columns.items()}
            self._add_records(records, seconds, Records(len(records), counts, rows))
            self._measured_ahead = {
                last: {name: column[-1] for name, column in columns.items()}
            }
        else:
            self._measure_apart(result, records, seconds, counts)
        self._take_over(result.at_end(), last - first)
        self._clock.start()

    def _measure_apart(
        self,
        result: BlockResult,
        stops: Sequence[int],
        seconds: Sequence[float],
        counts: dict[str, np.ndarray],
    ) -> None:
        """Make records that cannot be measured at once, until a metric raises."""
        first, runs = self.step, result.runs
        some_end = bool(runs.ending[-1].any())
        for number, stop in enumerate(stops):
            if some_end:
                ended = runs.ending[number] - (runs.ending[number - 1] if number else 0)
                self._mark_endings(ended, runs.end_step[number], first)
            self._keep_iterates(stop, runs.z[number])
            measured = self._measure(*result.at_stop(number))
            counted = {name: rows[number] for name, rows in counts.items()}
            self._add_record(stop, seconds[number], counted, measured)

    def _counts_at(
        self, result: BlockResult, made: Int64[np.ndarray, " stops"]
    ) -> dict[str, np.ndarray]:
        """Return what runs have been charged at the first stops of a block.

        Args:
            result: what the block has made of the runs.
            made: its steps until each of these stops.

        Returns:
            The charges by name, shape (stops, runs), or (stops, 1) where all runs have
            been charged the same.
        """
        common, after = self._common_counts(), result.runs
        charged: dict[str, Any]
        if common and not after.run_charges and bool(after.alive[-1].all()):
            charged, nothing = result.charges_of(made), np.zeros_like(made)
            return {
                name: (amount + charged.get(name, nothing))[:, None]
                for name, amount in common.items()
            }
        runs = self._batch.runs
        before = {
            name: counted.numpy()[None, :runs].repeat(len(made), axis=0)
            for name, counted in self._oracle_state.counts.items()
        }
        return before | {
            name: before[name] + amount.numpy()[: len(made), :runs]
            for name, amount in result.charges_by_run().items()
        }

    def _measure_together(self, result: BlockResult) -> dict[str, np.ndarray]:
        """Return the columns at all stops; none where each is measured by itself."""
        answers = result.runs.z
        try:
            if type(self._algorithm).answer is not Algorithm.answer:
                points = map(result.at_stop, range(len(answers)))
                answers = torch.stack([self._answer(*point) for point in points])
            return self._batch.measure_together(answers, self._cell.metrics)
        except Exception:  # of a user's code: it is raised again at its record
            return {}

    def _take_over(self, result: BlockResult, count: int) -> None:
        """Take over what compiled steps have made of the runs."""
        oracle_state, first, after = self._oracle_state, self.step, result.runs
        self.z, self.state, self.step = after.z, after.state, first + count
        self._add_path(first, result.path)
        going = after.alive.cpu().numpy()
        all_alive = bool(going.all())
        if not all_alive:
            self._going, self._any_alive = going.tolist(), bool(going.any())
        self._all_alive = self._looks_each_step and all_alive
        if all_alive and not after.run_charges:  # all are charged the same
            for name, amount in result.charges_of(count).items():
                oracle_state.charge(name, amount)
        else:
            to_living = None if after.run_charges else result.charges_of(count)
            oracle_state.add_charges(result.charges_by_run(), to_living)
            oracle_state.end_runs(after.alive)
        oracle_state.replace_memory(after.memory)
        if not all_alive:
            self._mark_endings(after.ending, after.end_step, first)

    def _mark_endings(self, endings: Tensor, end_steps: Tensor, first: int) -> None:
        """Note which runs have ended in compiled steps, how and when.

        Args:
            endings: how each run ended, 0 where it did not.
            end_steps: the step at which it ended, counted from the first one.
            first: the number of the first one.
        """
        ended = endings.nonzero().flatten()
        rows = torch.stack((ended, endings[ended], end_steps[ended]), dim=1)
        for run, ending, end_step in rows.tolist():
            step = self._end(run, first + end_step + 1)
            self._recording.mark([run], STATUS_OF_ENDING[ending], step)

    def _draw(self, block: Block) -> list[Any]:
        """Return what a compiled or captured step draws."""
        with self._drawing:
            return [self._oracle_state.draw(what) for what in block.draws]

    def _compile_block(self) -> Block | None:
        """Return compiled steps, if they are wanted and possible."""
        cell, placement, recording = self._cell, self._placement, self._recording
        ways = Ways(*[bool(placement.compiled)] * 3)
        if placement.compiled is None:
            ways = self._ways_worth_compiling()
        block: Block | str | None = None
        if any(ways) and not self._noise:
            block = compile_block(
                cell.algorithm,
                cell.task,
                placement,
                len(self.seeds),
                cell.precision,
                swept=bool(self._sizes),
                arrays=ways.arrays,
                graphs=ways.graphs,
            )
        if block is None:
            recording.set_backend(self._eager())
            return None
        if isinstance(block, str):
            tried = "capturing" if placement.device.type == "cuda" else "compiling"
            recording.set_backend(f"{self._eager()}, for {tried} failed: {block}")
            return None
        recording.set_backend(block.backend)
        return block

    def _ways_worth_compiling(self) -> Ways:
        """Return the ways of compiling that save time, by rule.

        By the time of a chunk, so that it does not depend on other runs of the cell.
        Only games of few numbers without data may become a loop over numbers, and only
        those without convolutions one over arrays: others are not traced for nothing.
        """
        cell, game, width = self._cell, self.game, len(self.seeds)
        if game.one_by_one:
            return Ways(numbers=False, arrays=False, graphs=False)
        worth = ways_worth_their_time(cell, width, self._placement.device)
        on_gpu = self._placement.device.type == "cuda"
        is_side_by_side = width > 1
        is_small = game.dim <= LOOP_NUMBERS and not game.batch_size
        return Ways(
            numbers=is_side_by_side and is_small and worth.numbers,
            arrays=(
                not is_small and worth.arrays and may_become_arrays(game, self.z[:1])
            ),
            graphs=(on_gpu or is_side_by_side) and worth.graphs,
        )

    def _eager(self) -> str:
        """Return how steps are made that are not compiled."""
        why = self.game.one_by_one
        return f"eager, one run after the other ({why})" if why else "eager"

    def _product_rounding(self) -> AbstractContextManager[None]:
        """Return the rounding of products within a step; metrics are never rounded."""
        return rounding(self._cell.precision, self._placement.device)

    # ---- records ----

    def _record_what_is_due(self, reporter: ProgressReporter) -> None:
        """Make a record if one is due at this step."""
        self._path.add(self.step, self.z)
        at = bisect_left(self._planned, self.step)
        if self._planned[at] == self.step:
            self._clock.stop()
            self._record(self.step)
            reporter.report(self.step)
            self._clock.start()

    def _record(self, place: int) -> None:
        """Record the runs as they are."""
        self._look()
        self._keep_iterates(place, self.z)
        columns = self._measured_ahead.pop(place, None)
        if columns is None:
            columns = self._measure(self.z, self.state)
        self._add_record(place, self._clock.seconds, self._counts(), columns)

    def _common_counts(self) -> dict[str, int] | None:
        """Return what every run has been charged; None where it is not the same."""
        return self._oracle_state.common_counts if self._all_alive else None

    def _counts(self) -> dict[str, np.ndarray]:
        """Return what runs have been charged, (runs,), or (1,) if all the same."""
        if common := self._common_counts():
            return {name: np.array([amount]) for name, amount in common.items()}
        counted = torch.stack(tuple(self._oracle_state.counts.values()))
        counted = counted[:, : self._batch.runs].cpu()
        return dict(zip(COUNTED, counted.numpy(), strict=True))

    def _keep_iterates(self, place: int, z: Joint) -> None:
        """Keep the iterates of a record, if the cell keeps them."""
        if self._cell.keep == "all" and place not in self._cell.between:
            self._recording.keep_iterates(place, z[: self._batch.runs])

    def _measure(self, z: Joint, state: Any) -> dict[str, np.ndarray]:
        """Return the columns of a record."""
        answer = self._answer(z, state)
        answer = self._noise.measured(answer) if self._noise else answer
        with self._measuring:
            return self._batch.measure(answer, self._cell.metrics, state)

    def _add_record(
        self,
        place: int,
        seconds: float,
        counts: dict[str, np.ndarray],
        columns: dict[str, np.ndarray],
    ) -> None:
        """Add a record to those of the schedule, or to those between them."""
        if place not in self._cell.between:
            self._recording.add(place, seconds, counts, columns)
            return
        shape = (self._batch.runs,)
        counts = {name: np.broadcast_to(row, shape) for name, row in counts.items()}
        self._recording.add_between(place, seconds, counts, columns)

    def _add_records(
        self, places: Sequence[int], seconds: Sequence[float], records: Records
    ) -> None:
        """Add some records, as `_add_record` does."""
        if not self._cell.between:
            self._recording.add_records(places, seconds, records)
            return
        for number, place in enumerate(places):
            one = records.part(number, number + 1)
            counts = {name: rows[0] for name, rows in one.counts.items()}
            columns = {name: rows[0] for name, rows in one.columns.items()}
            self._add_record(place, seconds[number], counts, columns)

    def _answer(self, z: Joint, state: Any) -> Joint:
        """Return what the method gives as its result.

        Raises:
            DescriptionError: when it is no point of each run, or z has been written.
        """
        algorithm, writes = self._cell.algorithm, count_writes(z)
        answer = self._algorithm.answer(z, state)
        if not is_like(answer, z) or count_writes(z) != writes:
            where = defined_at(type(algorithm), "answer")
            raise DescriptionError(
                f"{algorithm}.answer{where} must return a tensor of shape "
                f"{tuple(z.shape)}, {z.dtype}, and leave z; got "
                f"{describe_value(answer)}."
            )
        return answer

    def _add_path(self, first: int, path: Tensor | None) -> None:
        """Add the iterates before each step of a block to the path."""
        self._path.add_block(first, path)

    def _end(self, _run: int, step: int) -> int:
        """Return where a run has ended, as it stands in the table."""
        return step

    def _have_spent(self) -> list[bool]:
        """Return which runs have ended because their budget is spent."""
        return [False] * len(self.seeds)


def ways_worth_their_time(cell: Cell, width: int, device: torch.device) -> Ways:
    """Return which ways of compiling save time if the game allows them.

    Args:
        cell: the cell.
        width: runs computed side by side.
        device: where they are computed.
    """
    if device.type == "cuda":
        is_long = cell.steps >= CAPTURE_STEPS
        return Ways(numbers=False, arrays=False, graphs=is_long)
    seconds = expected_seconds_of_chunk(cell, width)
    return Ways(
        numbers=seconds >= LOOP_SECONDS,
        arrays=ARRAYS_SAVE * seconds >= seconds_of_compiling_arrays(cell, width),
        graphs=seconds >= GRAPH_SECONDS,
    )


def check_state(algorithm: Algorithm, method: str, state: Any, runs: int) -> None:
    """Check that a state is tensors with a leading `runs` axis, nested in tuples.

    Args:
        algorithm: the algorithm.
        method: name of its method that returned the state.
        state: what it returned.
        runs: number of runs.

    Raises:
        DescriptionError: naming the algorithm and what was found.
    """
    if isinstance(state, tuple):
        for member in state:
            check_state(algorithm, method, member, runs)
    elif not isinstance(state, Tensor) or state.shape[:1] != (runs,):
        raise DescriptionError(
            f"{algorithm}.{method}{defined_at(type(algorithm), method)} must give "
            f"tensors with a leading axis of {runs} runs, in tuples, as the state; got "
            f"{describe_value(state)}."
        )


def _check_losses(game: Game, z: Joint, seeds: tuple[int, ...]) -> None:
    """Check what the game gives as losses, once, by an oracle of its own.

    Raises:
        DescriptionError: naming the game and what it gave.
    """
    oracle = Point(game, z, seeds).oracle()
    oracle.resample()
    oracle.losses(z)


def _check_stopped(algorithm: Algorithm, stopped: Any, runs: int) -> None:
    """Check that `done` gave one truth value for each run.

    Raises:
        DescriptionError: naming the algorithm and what was found.
    """
    is_mask = isinstance(stopped, Tensor) and stopped.dtype == torch.bool
    if not is_mask or stopped.shape != (runs,):
        where = defined_at(type(algorithm), "done")
        raise DescriptionError(
            f"{algorithm}.done{where} must return None or one truth value for each of "
            f"{runs} runs; got {describe_value(stopped)}."
        )


def _step_error(algorithm: Algorithm, must: str) -> DescriptionError:
    """Return the error of a step that has not returned what it must."""
    where = defined_at(type(algorithm), "step")
    return DescriptionError(f"{algorithm}.step{where} must return {must}.")

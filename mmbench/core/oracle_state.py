"""The state of an oracle: charges, random streams and memory of all runs.

The engine holds this object; an algorithm holds the `Oracle` that asks it. Only the
engine ends runs, books the charges of compiled steps and lets the game advance.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.core.code_patches import protected
from mmbench.core.columns import COUNTED
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.streams import MAX_NUMBERS_PER_CHUNK, Stream, chunk_length, item
from mmbench.core.vectors import Mask, Vector, keep, take

# An algorithm is taken to draw no more than this many times the numbers of a point, or
# of a chunk, at once.
_MAX_NUMBERS = 16

# Charges of a step that are kept apart until they are added up.
_MAX_AMOUNTS = 8

# The most values that are drawn at once for an algorithm. They are the same numbers as
# sixteen at once give, for torch makes normal numbers in blocks of sixteen.
_NOISE_CHUNK = 256

# What is drawn: `DATA` for a minibatch, or (distribution, n) for n numbers of it.
Draw = tuple[str, int]
DATA: Draw = ("data", 0)


@protected
class OracleState:
    """Charges, random streams, minibatch and memory of a game, for all runs.

    A charge is booked for each run that has not ended and, where a mask `on` is given,
    only for those where it is True.

    Args:
        game: game that the oracle answers questions about.
        seeds: seed of each run.
        purpose: stream that minibatches are drawn from; metrics use an oracle of their
            own with the purpose "evaluation", and its charges are not read.
        memory: memory of the game at the start of the runs.

    Attributes:
        game: game that the oracle answers questions about.
        seeds: seed of each run.
        sample: current minibatch; None before the first, and in games without data.
        memory: current memory of the game.
        alive: mask of the runs that have not ended, shape (runs,).
    """

    def __init__(
        self,
        game: Game,
        seeds: tuple[int, ...],
        purpose: str = "data",
        memory: tuple = (),
    ) -> None:
        self.game, self.seeds, self.memory = game, seeds, memory
        self.sample: Any = None
        self.alive: Mask = torch.ones(len(seeds), dtype=torch.bool, device=game.device)
        self._stream = Stream(
            seeds, purpose, game.draw, chunk_length(game.sample_size), game.device
        )
        self._noise: dict[Draw, Stream] = {}
        # Charges to all runs are kept as plain numbers until they are read.
        self._charges_to_all = dict.fromkeys(COUNTED, 0)
        # What every run that has not ended has been charged since the start, None once
        # runs were charged differently.
        self._common: dict[str, int] | None = dict.fromkeys(COUNTED, 0)
        # How often each run has been charged the same amounts, in the order of
        # `COUNTED`: a step without a mask is charged by one addition.
        self._times_charged: dict[tuple[int, ...], Tensor] = {}
        self._step: int | None = None
        self._turns_asked = 0
        self._counts_ahead: list[int] = []

    # ---- called by the oracle ----

    def charge(self, name: str, amount: int, on: Mask | None = None) -> None:
        """Charge the runs that have not ended, or some of them.

        Args:
            name: one of `COUNTED`.
            amount: amount for each run.
            on: mask of the runs to charge; None charges all.
        """
        if on is None:
            self._charges_to_all[name] += amount
            if self._common:
                self._common[name] += amount
        else:
            self._charges[name] += amount * self._charged(on)
            self._common = None

    @cached_property  # a step that is captured or traced keeps its own
    def _charges(self) -> dict[str, Int[Tensor, " runs"]]:
        """What each run has been charged, as far as it has been added up."""
        return {
            name: torch.zeros(
                len(self.seeds), dtype=torch.int64, device=self.game.device
            )
            for name in COUNTED
        }

    def _charged(self, on: Tensor) -> Mask:
        """Return the runs that a mask charges.

        Raises:
            DescriptionError: when it is no mask of the runs.
        """
        if on.dtype != torch.bool or on.shape != self.alive.shape:
            raise DescriptionError(
                f"A mask must be boolean of shape {tuple(self.alive.shape)}; got "
                f"{on.dtype} of shape {tuple(on.shape)}."
            )
        return on & self.alive

    def resample(self) -> None:
        """Draw and charge a fresh minibatch for every run, in games with data."""
        if self.game.batch_size:
            drawn = self.draw(DATA)
            self.sample = self.game.recall(drawn, self.memory)
            self.charge("samples", self.game.batch_size)

    def all_terms(self, rows: Int[Tensor, " rows"]) -> Any:
        """Return all terms of a finite sum as one minibatch for each of some runs."""
        sample = self.game.all_terms()
        repeated = [member.expand(len(rows), *member.shape) for member in sample]
        memory = take(rows, self.memory)
        return self.game.recall(type(sample)(*repeated), memory)

    def draw(self, what: Draw) -> Any:
        """Return the next value of a stream for every run."""
        return self._stream_of(what).next()

    def draw_steps(self, draws: Sequence[Draw], most: int) -> tuple[list[Any], int]:
        """Return what the next steps draw, each value with a leading axis of the steps.

        Args:
            draws: what each step draws, in order.
            most: the most steps.

        Returns:
            The values of `draws`, and how many steps they are for, at least 1.
        """
        streams = [self._stream_of(what) for what in draws]
        each = Counter(streams)  # values that a step takes
        count = min(most, *(stream.waiting // each[stream] for stream in each))
        if count < 2:  # those of one step may be of two chunks
            return [stream.next_of_chunk(1) for stream in streams], 1
        values = {one: one.next_of_chunk(count * times) for one, times in each.items()}
        drawn, taken = [], Counter[Stream]()
        for stream in streams:
            every = slice(taken[stream], None, each[stream])
            drawn.append(item(values[stream], every))
            taken[stream] += 1
        return drawn, count

    def _stream_of(self, what: Draw) -> Stream:
        return self._stream if what == DATA else self._noise_stream(what)

    def turn(self, count: Int[Tensor, " runs"], of: int) -> int:
        """Return which kind of step comes next; see `Oracle.turn`."""
        if self._step is None:
            return int(count.max()) % of
        if self._turns_asked == len(self._counts_ahead):
            self._counts_ahead.append(int(count.max()) - self._step)
        ahead = self._counts_ahead[self._turns_asked]
        self._turns_asked += 1
        return (self._step + ahead) % of

    # ---- called by the engine ----

    def begin_step(self, step: int) -> None:
        """Let turns be known from the number of the step, without reading the counts.

        The counts are read in the first step alone: they are one more with each step.
        """
        self._step, self._turns_asked = step, 0

    @property
    def counts(self) -> dict[str, Int[Tensor, " runs"]]:
        """What each run has been charged, by the names in `COUNTED`, shape (runs,)."""
        self._settle()
        return self._charges

    @property
    def common_counts(self) -> dict[str, int] | None:
        """What every run that has not ended has been charged; None if it differs.

        Unlike `counts`, it is known without a look at the device.
        """
        return self._common

    def advance(self, z: Vector) -> None:
        """Update the game's memory after a step to z, for runs that have not ended."""
        if self.memory:
            ahead = self.game.advance(z, self.memory, self.sample)
            self.memory = keep(self.alive, ahead, self.memory)

    def replace_memory(self, memory: tuple) -> None:
        """Take over the memory of the game after compiled steps."""
        self.memory = memory

    def add_charges(
        self,
        charges: Mapping[str, Int[Tensor, " runs"]],
        to_living: Mapping[str, int] | None,
    ) -> None:
        """Add the charges that compiled steps have counted.

        Args:
            charges: charges of each run, by name, shape (runs,) each.
            to_living: what a run that has not ended was charged, by name; None if that
                differs from run to run.
        """
        for name, amount in charges.items():
            self._charges[name] += amount
        if self._common and to_living is not None:
            for name, common in to_living.items():
                self._common[name] += common
        else:
            self._common = None

    def end_runs(self, alive: Mask) -> None:
        """Charge only these runs from now on."""
        self._book()
        self.alive = alive

    def snapshot(self) -> dict[str, Any]:
        """Return all state but the current minibatch, as tensors and plain values."""
        return {
            "counts": {name: count.clone() for name, count in self.counts.items()},
            "alive": self.alive,
            "memory": self.memory,
            "data": self._stream.snapshot(),
            "noise": [
                [distribution, size, stream.snapshot()]
                for (distribution, size), stream in self._noise.items()
            ],
        }

    @property
    def has_drawn(self) -> bool:
        """Whether a minibatch has been drawn."""
        return self._stream.has_drawn

    def restore(self, saved: dict[str, Any]) -> None:
        """Return to a snapshot of a state of the same game and seeds.

        Raises:
            Exception: of any type, when it is not a snapshot of such a state.
        """
        device = self.game.device
        charges = {name: saved["counts"][name].to(device) for name in COUNTED}
        alive = saved["alive"].to(device)
        memory = tuple(tensor.to(device) for tensor in saved["memory"])
        # No run comes near the largest charge, but beyond it int64 would overflow.
        if (
            any(
                _form(one) != _form(self._charges[name])
                for name, one in charges.items()
            )
            or any(not 0 <= one.min() <= one.max() <= 2**62 for one in charges.values())
            or _form(alive) != _form(self.alive)
            or list(map(_form, memory)) != list(map(_form, self.memory))
        ):
            raise ValueError("a snapshot must be of the same game and seeds")
        self._charges_to_all = dict.fromkeys(COUNTED, 0)
        self._times_charged.clear()
        self._charges, self.alive, self.memory = charges, alive, memory
        living = {name: one[alive] for name, one in charges.items()}
        is_common = bool(alive.any()) and all(
            bool((one == one[0]).all()) for one in living.values()
        )
        self._common = (
            {name: int(one[0]) for name, one in living.items()} if is_common else None
        )
        self._stream.restore(saved["data"])
        most = _MAX_NUMBERS * max(self.game.dim, MAX_NUMBERS_PER_CHUNK)
        for distribution, size, stream in saved["noise"]:
            if distribution not in ("uniform", "normal") or not 0 < size <= most:
                raise ValueError("a snapshot must be of the same game and seeds")
            self._noise_stream((distribution, size)).restore(stream)

    def _noise_stream(self, what: Draw) -> Stream:
        distribution, size = what
        dtype = self.game.dtype

        def draw(generator: torch.Generator, count: int) -> Tensor:
            function = torch.rand if distribution == "uniform" else torch.randn
            # Drawn in float64, so that both dtypes get the same numbers.
            drawn = function(count, size, generator=generator, dtype=torch.float64)
            return drawn.to(dtype)

        if what not in self._noise:
            self._noise[what] = Stream(
                self.seeds,
                f"algorithm/{distribution}/{size}",
                draw,
                chunk_length(size, _NOISE_CHUNK),
                self.game.device,
            )
        return self._noise[what]

    def _book(self) -> None:
        """Charge what was charged to all to the runs that have not ended."""
        amounts = tuple(self._charges_to_all.values())
        if any(amounts):
            times = self._times_charged.get(amounts)
            booked = self.alive.long() if times is None else times + self.alive
            self._times_charged[amounts] = booked
            self._charges_to_all = dict.fromkeys(COUNTED, 0)
        if len(self._times_charged) > _MAX_AMOUNTS:
            self._settle()

    def _settle(self) -> None:
        """Add up the charges of each run."""
        self._book()
        for amounts, times in self._times_charged.items():
            for name, amount in zip(COUNTED, amounts, strict=True):
                if amount:
                    self._charges[name] += amount * times
        self._times_charged.clear()


def _form(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype

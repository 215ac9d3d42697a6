"""The state behind an oracle: what is charged, drawn and remembered, run by run.

The engine holds this object; an algorithm holds the `Oracle` that asks it. Only the
engine ends runs, books the charges of compiled steps and lets the game advance.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.core.game import Game
from mmbench.core.streams import Stream, chunk_length
from mmbench.core.vectors import Mask, Vector, keep

COUNTED = ("grad_x", "grad_y", "hvps", "values", "samples")

# What is drawn: a minibatch, or that many numbers of a law from the algorithm's stream.
Draw = tuple[str, int]
DATA: Draw = ("data", 0)


class OracleState:
    """Charges, random streams, minibatch and memory of a game, for all runs.

    Every charge goes to each run that is alive (and, where a mask `on` is given, only
    to those it holds for); runs that have ended never pay.

    Args:
        game: the game that the oracle answers for.
        seeds: one for each run.
        purpose: the stream that minibatches come from; metrics use an oracle of their
            own, on "evaluation", whose charges nobody reads.
        memory: the memory of the game where the runs start.

    Attributes:
        game: the game that the oracle answers for.
        seeds: one for each run.
        sample: the current minibatch; None before the first, and in games without data.
        memory: the memory of the game.
        alive: runs that have not ended, shape (runs,); these pay.
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
        # Charges to all living runs are kept as plain numbers until they are read.
        self._pending = dict.fromkeys(COUNTED, 0)
        self._booked = {
            name: torch.zeros(len(seeds), dtype=torch.int64, device=game.device)
            for name in COUNTED
        }

    # ---- called by the oracle ----

    def charge(self, name: str, amount: int, on: Mask | None = None) -> None:
        """Charge every living run, or those of them that a mask holds for.

        Args:
            name: one of `COUNTED`.
            amount: to each run.
            on: runs that are charged; None charges all.
        """
        if on is None:
            self._pending[name] += amount
        else:
            self._booked[name] += amount * (on & self.alive)

    def resample(self) -> None:
        """Draw and charge a fresh minibatch for every run, in games with data."""
        if self.game.batch_size:
            drawn = self.draw(DATA)
            self.sample = self.game.recall(drawn, self.memory)
            self.charge("samples", self.game.batch_size)

    def draw(self, what: Draw) -> Any:
        """Return the next value of a stream for every run; all chance is drawn here."""
        stream = self._stream if what == DATA else self._noise_stream(what)
        return stream.next()

    def turn(self, count: Int[Tensor, "runs"], of: int) -> int:
        """Return whose turn it is; see `Oracle.turn`."""
        return int(count.max()) % of

    # ---- called by the engine ----

    @property
    def counts(self) -> dict[str, Int[Tensor, "runs"]]:
        """What each run has been charged so far, by name in `COUNTED`."""
        self._book_pending()
        return self._booked

    def advance(self, z: Vector) -> None:
        """Let the game remember the step to z, in the runs that are alive."""
        if self.memory:
            ahead = self.game.advance(z, self.memory)
            self.memory = keep(self.alive, ahead, self.memory)

    def replace_memory(self, memory: tuple) -> None:
        """Take over the memory of the game after compiled steps."""
        self.memory = memory

    def book(self, charges: Mapping[str, Int[Tensor, "runs"]]) -> None:
        """Add to the counts of each run what compiled steps have counted."""
        for name, amount in charges.items():
            self._booked[name] += amount

    def end_runs(self, alive: Mask) -> None:
        """Let only these runs pay from now on."""
        self._book_pending()
        self.alive = alive

    def snapshot(self) -> dict[str, Any]:
        """Return all that later calls depend on, but for the current minibatch."""
        return {
            "counts": self.counts,
            "alive": self.alive,
            "memory": self.memory,
            "data": self._stream.snapshot(),
            "noise": [
                [law, size, stream.snapshot()]
                for (law, size), stream in self._noise.items()
            ],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Return to a snapshot of a state of the same game and seeds."""
        device = self.game.device
        self._pending = dict.fromkeys(COUNTED, 0)
        self._booked = {name: saved["counts"][name].to(device) for name in COUNTED}
        self.alive = saved["alive"].to(device)
        self.memory = tuple(tensor.to(device) for tensor in saved["memory"])
        self._stream.restore(saved["data"])
        for law, size, stream in saved["noise"]:
            self._noise_stream((law, size)).restore(stream)

    def _noise_stream(self, what: Draw) -> Stream:
        law, size = what
        dtype = self.game.dtype

        def draw(generator: torch.Generator, count: int) -> Tensor:
            function = torch.rand if law == "uniform" else torch.randn
            # In float64, so that both precisions see the same numbers.
            drawn = function(count, size, generator=generator, dtype=torch.float64)
            return drawn.to(dtype)

        if what not in self._noise:
            self._noise[what] = Stream(
                self.seeds,
                f"algorithm/{law}/{size}",
                draw,
                chunk_length(size),
                self.game.device,
            )
        return self._noise[what]

    def _book_pending(self) -> None:
        for name, amount in self._pending.items():
            if amount:
                self._booked[name] += amount * self.alive
                self._pending[name] = 0

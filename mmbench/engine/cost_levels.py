"""Where each run was when its cost reached a level."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from mmbench.core.checkpoint import restore_structure
from mmbench.core.vectors import Mask, has_form, keep


class CostLevels:
    """Levels of cost that runs reach one after the other, each at a step of its own.

    What the runs were at a level is known once the last of them has reached it; until
    then it is collected, run by run. A step may lead a run beyond several levels.

    Args:
        levels: increasing levels.
        runs: the number of runs.

    Attributes:
        done: the number of levels that all runs have reached.
    """

    def __init__(self, levels: Sequence[int], runs: int) -> None:
        self.done = 0
        self._levels, self._runs = tuple(levels), runs
        # The number of levels that each run has reached; None where all have reached
        # the same, so that nothing is collected.
        self._reached: Int[Tensor, " runs"] | None = None
        self._collected: list[Any] = []  # of the levels from `done` on

    @property
    def last(self) -> int:
        """The greatest level that all runs have reached; 0 before the first."""
        return self._levels[self.done - 1] if self.done else 0

    @property
    def next(self) -> int | None:
        """The least level that not all runs have reached; None after the last."""
        return self._levels[self.done] if self.done < len(self._levels) else None

    def reach_together(self, cost: float, at: Any) -> list[tuple[int, Any]]:
        """Note what all runs have spent; return the levels that they have reached.

        Args:
            cost: what every run that goes on has spent.
            at: what the runs are now: tensors with a leading `runs` axis, nested.

        Returns:
            Each new level, and what the runs were when they reached it.
        """
        if self._reached is not None:
            same = torch.full_like(self._reached, cost, dtype=torch.float64)
            return self.reach(same, at)
        first, self.done = self.done, bisect_right(self._levels, cost)
        return [(level, at) for level in self._levels[first : self.done]]

    def reach(self, cost: Tensor, at: Any) -> list[tuple[int, Any]]:
        """Note what each run has spent; return the levels that all have reached.

        Args:
            cost: what each run has spent, infinite for one that goes on no more, shape
                (runs,).
            at: as `reach_together` takes it.

        Returns:
            As `reach_together` does.
        """
        levels = torch.tensor(self._levels, dtype=cost.dtype, device=cost.device)
        before = self._reached
        if before is None:
            before = torch.full_like(cost, self.done, dtype=torch.int64)
        reached = torch.searchsorted(levels, cost, right=True)
        going = torch.isfinite(cost)
        if going.any():
            # Runs that have ended stay as they are, and go along with the others.
            reached = reached.minimum(reached[going].max())
        reached = reached.maximum(before)
        for index in range(self.done, int(reached.max())):
            position = index - self.done
            if position == len(self._collected):
                # Of runs that have not reached it yet, it is replaced when they do.
                self._collected.append(at)
            else:
                new: Mask = (before <= index) & (reached > index)
                self._collected[position] = keep(new, at, self._collected[position])
        complete = int(reached.min()) - self.done
        levels_done = self._levels[self.done : self.done + complete]
        found = list(zip(levels_done, self._collected[:complete], strict=True))
        self._collected = self._collected[complete:]
        self.done += complete
        self._reached = reached if self._collected else None
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return what has been reached, for a checkpoint."""
        return {
            "done": self.done,
            "reached": [] if self._reached is None else [self._reached],
            "collected": self._collected,
        }

    def restore(self, saved: dict[str, Any], pattern: Any) -> None:
        """Go on from a snapshot.

        Args:
            saved: the snapshot.
            pattern: what the runs are now, whose structure the collected values have.

        Raises:
            Exception: of any type, when it is not a snapshot of these runs and levels.
        """
        done, reached = saved["done"], saved["reached"]
        collected = [restore_structure(pattern, one) for one in saved["collected"]]
        is_of_runs, last = not collected, len(self._levels)
        reached = reached[0] if reached else None
        if reached is not None:
            is_of_runs = (
                (reached.shape, reached.dtype) == ((self._runs,), torch.int64)
                and int(reached.min()) == done
                and int(reached.max()) == done + len(collected)
            )
        is_like = all(has_form(one, pattern) for one in collected)
        if not is_of_runs or not is_like or not 0 <= done + len(collected) <= last:
            raise ValueError("a snapshot must be of these runs and levels")
        self.done, self._reached, self._collected = done, reached, collected

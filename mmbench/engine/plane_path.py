"""The path of the first few runs of a game of two variables."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmbench.core.vectors import Joint
from mmbench.engine.recording import SHOWN

PATH_POINTS = 500


def path_steps(steps: int) -> range:
    """Return the evenly spaced steps at which a path of so many steps is kept."""
    return range(0, steps + 1, -(-steps // PATH_POINTS))


class PlanePath:
    """Iterates of the first few runs, at evenly spaced steps.

    Args:
        steps: steps of each run.
        runs: the number of runs, without the padding.
        is_plane: whether the game has two variables; of other games nothing is kept.
    """

    def __init__(self, steps: int, runs: int, *, is_plane: bool) -> None:
        self._runs = min(runs, SHOWN)
        self._interval = path_steps(steps).step if is_plane else 0
        # Of some steps each, (count, runs, 2); all multiples of the interval follow.
        self._points: list[Tensor] = []

    def add(self, step: int, z: Joint) -> None:
        """Keep the iterates after a step, if it is one of those kept."""
        if self._interval and step % self._interval == 0:
            self._points.append(z[None, : self._runs])

    def next_step(self, step: int, last: int) -> int:
        """Return the next step whose iterates are kept, at most `last`.

        Args:
            step: the number of steps made.
            last: what is returned where none is kept before it.
        """
        if not self._interval:
            return last
        return min(last, step + self._interval - step % self._interval)

    def add_block(self, step: int, path: Tensor | None) -> None:
        """Keep iterates within a block of compiled steps.

        Args:
            step: the number of the block's first step, whose iterate has been added.
            path: iterates before each step of the block, shape (count, shown, 2).
        """
        if self._interval and path is not None:
            first = step + 1 + -(step + 1) % self._interval
            points = path[first - step :: self._interval, : self._runs]
            self._points.append(points.clone())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the path as arrays of a trajectory; nothing where none was kept."""
        if not self._points:
            return {}
        points = torch.cat(self._points).transpose(0, 1).contiguous()
        return {
            "path": points.float().cpu().numpy(),
            "path_steps": np.arange(points.shape[1]) * self._interval,
        }

    def snapshot(self) -> dict[str, Any]:
        """Return what has been kept so far, for a checkpoint."""
        points = [point for some in self._points for point in some]
        steps = [number * self._interval for number in range(len(points))]
        return {"steps": steps, "points": points}

    def restore(self, saved: dict[str, Any], step: int, z: Joint) -> None:
        """Go on from a snapshot.

        Args:
            saved: the snapshot.
            step: the number of steps made; its iterate has not been added.
            z: the iterates.

        Raises:
            Exception: of any type, when it is not a snapshot of these runs.
        """
        expected = list(range(0, step, self._interval)) if self._interval else []
        points = [point.to(z.device) for point in saved["points"]]
        form = {((self._runs, 2), z.dtype)}
        if (
            saved["steps"] != expected
            or len(points) != len(expected)
            or not {(tuple(point.shape), point.dtype) for point in points} <= form
        ):
            raise ValueError("a snapshot must be of these runs")
        self._points = [point[None] for point in points]

"""The path of runs in the plane."""

import pytest
import torch

from mmbench.engine.plane_path import PlanePath, path_steps


@pytest.mark.parametrize("steps", [7, 500, 1234, 10_000])
def test_no_kept_step_is_passed_over(steps: int) -> None:
    """Where runs stand still, what leads from one kept step to the next are few."""
    path, step, met = PlanePath(steps, 2, is_plane=True), 0, [0]
    while step < steps:
        step = path.next_step(step, steps)
        met.append(step)
    kept = list(path_steps(steps))
    assert [one for one in met if one in kept] == kept
    assert len(met) <= len(kept) + 1


def test_between_kept_steps_the_next_record_comes_first() -> None:
    path = PlanePath(10_000, 2, is_plane=True)  # kept at every twentieth
    assert path.next_step(40, 10_000) == 60
    assert path.next_step(45, 10_000) == 60
    assert path.next_step(45, 47) == 47
    assert PlanePath(10_000, 2, is_plane=False).next_step(45, 10_000) == 10_000


def walked(path: PlanePath, first: int, last: int) -> None:
    """Add every iterate from one step to another; at step k, runs stand at (k, -k)."""
    for step in range(first, last + 1):
        path.add(step, torch.tensor([[step, -step]]).expand(2, -1).float())


@pytest.mark.parametrize("middle", [0, 7, 40, 41, 60])
def test_a_path_has_the_steps_of_its_points(middle: int) -> None:
    """Of steps that were added one by one, in a block, or before a checkpoint."""
    whole = PlanePath(10_000, 2, is_plane=True)  # kept at every twentieth
    walked(whole, 0, 100)
    arrays = whole.arrays()
    assert arrays["path_steps"].tolist() == [0, 20, 40, 60, 80, 100]
    assert arrays["path"][1].tolist() == [[k, -k] for k in range(0, 101, 20)]

    begun = PlanePath(10_000, 2, is_plane=True)
    walked(begun, 0, middle - 1)
    again = PlanePath(10_000, 2, is_plane=True)
    z = torch.full((2, 2), float(middle))
    again.restore(begun.snapshot(), middle, z)
    walked(again, middle, middle)
    steps = torch.arange(middle, 90.0)
    block = torch.stack((steps, -steps), dim=1)[:, None].expand(-1, 2, -1)
    again.add_block(middle, block)
    walked(again, 90, 100)
    for name, array in arrays.items():
        assert again.arrays()[name].tolist() == array.tolist()

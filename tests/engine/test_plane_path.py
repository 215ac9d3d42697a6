"""The path of runs in the plane."""

import pytest

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

"""Tests of the phase portraits."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from report_results import only, section_of

from mmbench.analysis.results import Results
from mmbench.store.folder import Store


def test_an_external_task_has_paths_without_field(results: Results) -> None:
    """The paths of a task are drawn even if its spec cannot be built."""
    seen = only(results, task="bilinear")
    footers = {key: one | {"task": "Mine[a=1]"} for key, one in seen.footers.items()}
    external = Results(seen.frame.assign(task="Mine[a=1]"), footers, seen.store)
    made = section_of("portraits", external)
    assert made
    assert any("without the field" in one for one in made.subsections[0].prose)
    assert len(made.subsections[0].figures) == 2  # the broken cell has no path


class StoreOfPaths(Store):
    """A store with other paths in place of those that were computed."""

    def __init__(self, results: Results, **paths: np.ndarray) -> None:
        super().__init__(results.store.folder)
        self.paths = {
            key: paths[footer["label"]]
            for key, footer in results.footers.items()
            if footer["label"] in paths
        }

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        return {"path": self.paths[key]} if key in self.paths else {}


def draw_portraits(results: Results, **paths: np.ndarray) -> list[str]:
    """Draw the portraits of bilinear with these paths for their labels."""
    seen = only(results, task="bilinear")
    made = section_of("portraits", seen._replace(store=StoreOfPaths(seen, **paths)))
    assert made
    return [str(figure.svg) for figure in made.subsections[0].figures]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_points_that_are_not_finite_are_not_drawn(bad: float, results: Results) -> None:
    """Such points do not change a picture, and one without other points says so."""
    path = np.array([[[1.0, 2.0], [0.5, 1.0], [0.25, 0.5]]])
    with_bad = np.insert(path, [1, 3], [bad, 0.1], axis=1)  # one coordinate is enough
    lost = np.full_like(with_bad, bad)
    clean, _ = draw_portraits(results, GDA=path, EG=path)
    drawn, empty = draw_portraits(
        results, GDA=np.concatenate([with_bad, lost]), EG=lost
    )
    assert drawn == clean
    assert "no finite point" in empty
    alone = draw_portraits(results, GDA=lost, EG=lost)
    assert all("no finite point" in one for one in alone)


def test_arrows_show_where_gradient_steps_go(
    results: Results, drawn: list[Axes]
) -> None:
    """On xy they point along −F = (−y, x) at (x, y)."""
    assert section_of("portraits", only(results, task="bilinear"))
    arrows = [one for axes in drawn for one in axes.collections if hasattr(one, "U")]
    assert arrows
    for one in arrows:
        x, y = one.get_offsets().T
        moving = np.hypot(x, y) > 1e-9
        found = np.stack((one.U, one.V))[:, moving]
        expected = np.stack((-y, x))[:, moving] / np.hypot(x, y)[moving]
        assert found == pytest.approx(expected, abs=1e-6)

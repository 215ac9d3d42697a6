"""Portraits: paths in the plane of a game."""

import numpy as np
import pytest
from report_results import only

from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results
from mmbench.store.folder import Store


def test_outside_task_has_paths_without_field(results: Results) -> None:
    """Its words cannot be built; its paths are drawn all the same."""
    seen = only(results, task="bilinear")
    footers = {key: one | {"task": "Mine[a=1]"} for key, one in seen.footers.items()}
    moved = Results(seen.frame.assign(task="Mine[a=1]"), footers, seen.store)
    made = SECTIONS["portraits"](moved)
    assert made
    assert any("without the field" in one for one in made.subsections[0].prose)
    assert len(made.subsections[0].figures) == 2  # the broken cell has no path


class Moved(Store):
    """A store whose paths went elsewhere."""

    def __init__(self, of: Results, **paths: np.ndarray) -> None:
        super().__init__(of.store.folder)
        self.paths = {
            key: paths[footer["label"]]
            for key, footer in of.footers.items()
            if footer["label"] in paths
        }

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        return {"path": self.paths[key]} if key in self.paths else {}


def portraits(results: Results, **paths: np.ndarray) -> list[str]:
    """Portraits on bilinear, with these paths in place of those of their labels."""
    seen = only(results, task="bilinear")
    made = SECTIONS["portraits"](seen._replace(store=Moved(seen, **paths)))
    assert made
    return [str(figure.svg) for figure in made.subsections[0].figures]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_points_that_are_not_finite_are_not_drawn(bad: float, results: Results) -> None:
    """A picture with them is the picture without them; without others it says so."""
    path = np.array([[[1.0, 2.0], [0.5, 1.0], [0.25, 0.5]]])
    holed = np.insert(path, [1, 3], [bad, 0.1], axis=1)  # one coordinate is enough
    lost = np.full_like(holed, bad)
    clean, _ = portraits(results, GDA=path, EG=path)
    drawn, empty = portraits(results, GDA=np.concatenate([holed, lost]), EG=lost)
    assert drawn == clean
    assert "no finite point" in empty
    alone = portraits(results, GDA=lost, EG=lost)
    assert all("no finite point" in one for one in alone)

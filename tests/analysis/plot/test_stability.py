"""The map of stable step sizes: what it counts, and which methods share a map."""

import numpy as np
import pandas as pd

from mmbench.analysis.plot.figure import drawing
from mmbench.analysis.plot.stability import alike, differing, stability_figure
from mmbench.studies import stability


def table(**radii: list[float]) -> pd.DataFrame:
    """Return a map of two by two pairs, of which runs converge below radius 1."""
    at = [0.01, 0.1]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "method": method,
                    "step_size_x": np.repeat(at, 2),
                    "step_size_y": at * 2,
                    "radius": radius,
                    "converged": np.array(radius) < 1,
                }
            )
            for method, radius in radii.items()
        ],
        ignore_index=True,
    )


GIVEN = table(gda=[0.5, 0.9, 1.2, 0.8], omd=[0.5, 0.9, 1.2, 0.8], lss=[1, 1.1, 1.2, 2])


def test_pairs_that_differ_are_counted_near_and_far() -> None:
    assert differing(GIVEN) == (0, 0)
    flipped = GIVEN.assign(converged=~GIVEN["converged"])
    near = int(((GIVEN["radius"] - 1).abs() <= stability.NEAR).sum())
    assert differing(flipped) == (len(GIVEN), len(GIVEN) - near)
    assert near == 1


def test_methods_with_equal_radii_share_a_map() -> None:
    assert alike(GIVEN) == [["gda", "omd"], ["lss"]]


def test_the_sentences_count_and_name() -> None:
    with drawing():
        figure, said = stability_figure(GIVEN)
    assert "3 methods at 4 pairs" in said
    assert "differ at 0 of 12 pairs, 0 of them" in said
    assert "gda 75 %), and nowhere under lss." in said
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 2  # gda and omd share one pair of maps
    for method in stability.NOT_LINEAR:
        assert method in said

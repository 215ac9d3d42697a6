"""Where two stored results of one cell differ first."""

import numpy as np
import pandas as pd
import pytest

from mmbench.store.difference import Numbers, first_difference

FRAME = pd.DataFrame(
    {
        "seed": [0, 0, 1, 1],
        "step": [0, 9, 0, 9],
        "cell_seconds": 1.0,
        "status": "finished",
        "distance": [1.0, np.nan, 2.0, 0.5],
    }
)
FOOTER = {"label": "a", "provenance": {"torch": "2"}, "schema": 3}
TENSORS = {"path": np.zeros((2, 3)), "sheet": np.full(2, np.nan)}


def changed(row: int, column: str, value: object) -> pd.DataFrame:
    """Return the table with one other entry."""
    frame = FRAME.astype({column: object})
    frame.loc[row, column] = value
    return frame


def apart(
    frame: pd.DataFrame = FRAME,
    footer: dict = FOOTER,
    tensors: dict = TENSORS,
) -> str:
    """Return where something differs first from what stands above."""
    ours = Numbers(FRAME, FOOTER, TENSORS)
    return first_difference(ours, Numbers(frame, footer, tensors))


def test_times_and_circumstances_do_not_count() -> None:
    """Two computations of a cell differ in these."""
    assert not apart(FRAME.assign(cell_seconds=2.0))
    assert not apart(footer={**FOOTER, "provenance": {}, "width": 3, "schema": 2})
    assert not apart(tensors={name: x.copy() for name, x in TENSORS.items()})


@pytest.mark.parametrize(
    ("row", "column", "value", "expected"),
    [
        (3, "distance", 0.25, "step 9 of seed 1, distance: 0.5 and 0.25, 0.5 apart"),
        (1, "distance", 1.0, "step 9 of seed 0, distance: nan and 1"),
        (3, "status", "converged", "step 9 of seed 1, status: finished and converged"),
        (2, "distance", -2.0, "step 0 of seed 1, distance: 2 and -2, 2 apart"),
    ],
)
def test_the_entry_is_named(
    row: int, column: str, value: object, expected: str
) -> None:
    """With both values, and how far they are apart relative to the larger one."""
    assert apart(changed(row, column, value)) == expected


def test_the_earliest_step_comes_first() -> None:
    """Not the first row, nor the first column."""
    frame = changed(2, "distance", 7.0)
    frame.loc[1, "status"] = "stopped"
    assert apart(frame).startswith("step 0 of seed 1, distance")


def test_other_shapes_and_entries() -> None:
    """Columns, rows, footers and arrays are compared in this order."""
    assert apart(FRAME.drop(columns="distance")) == (
        "only one of them has the column distance"
    )
    assert apart(FRAME.iloc[:3]) == "4 rows and 3 rows"
    assert apart(footer={**FOOTER, "label": "b"}) == "another label in the footer"
    assert apart(footer={**FOOTER, "new": 1}) == "another new in the footer"
    other = {**TENSORS, "path": np.eye(2, 3)}
    assert apart(tensors=other) == "array path: up to 1 apart"
    assert apart(tensors={"path": TENSORS["path"]}) == (
        "only one of them has the array sheet"
    )
    assert "shapes (2, 3) and (3,)" in apart(tensors={**TENSORS, "path": np.zeros(3)})

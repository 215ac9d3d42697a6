"""Published records as a replay compares them."""

import pandas as pd

from mmbench.runner.published_cell import filled


def rows(*steps: int, value: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame({"step": steps, "distance": [value] * len(steps)})


def test_published_records_take_the_places_of_those_found() -> None:
    found = filled(rows(2, 4, value=1.0), rows(0, 2, 3, 4))
    assert found.to_dict("list") == {
        "step": [0, 2, 3, 4],
        "distance": [0.0, 1.0, 0.0, 1.0],
    }


def test_records_that_were_not_found_are_left_as_they_are() -> None:
    assert filled(rows(2, 5), rows(0, 2, 4))["step"].tolist() == [2, 5]

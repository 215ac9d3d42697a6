"""Contents of a small cell, for tests of stored files."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmbench.store.folder import Store

KEY, OTHER, PLAIN = "0123456789abcdef01234567", "f" * 24, "00" * 12
FRAME = pd.DataFrame({"seed": [0, 1], "x": [1.5, np.nan], "label": ["a", "a"]})
FOOTER = {
    "task": "bilinear",
    "label": "a",
    "runs": 2,
    "steps": 5,
    "outcomes": {"finished": 2},
    "ö": "é",
}
ARRAYS = {"path": np.arange(6.0).reshape(1, 3, 2), "path_steps": np.arange(3)}
ITERATES = {"z": np.arange(8.0).reshape(2, 2, 2), "steps": np.array([0, 5])}


def assert_same_cells(found: Store, expected: Store, keys: Sequence[str]) -> None:
    """Check that cells are stored with equal bits, apart from wall-clock times."""
    for key in keys:
        footers = [found.footer(key), expected.footer(key)]
        for footer in footers:
            footer.pop("provenance")
        assert footers[0] == footers[1]
        pd.testing.assert_frame_equal(
            found.frame(key).drop(columns="cell_seconds"),
            expected.frame(key).drop(columns="cell_seconds"),
            check_exact=True,
        )
        for kind in ("arrays", "iterates"):
            left, right = getattr(found, kind)(key), getattr(expected, kind)(key)
            assert left.keys() == right.keys()
            for name, values in right.items():
                np.testing.assert_array_equal(left[name], values)

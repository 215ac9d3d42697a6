"""Contents of a small cell, for tests of stored files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmbench.core.columns import COUNTED
from mmbench.store.folder import Store

KEY, OTHER, PLAIN = "0123456789abcdef01234567", "f" * 24, "00" * 12


def tidy_frame(runs: int, records: int, **columns: Any) -> pd.DataFrame:
    """Return a table of runs by records, with further columns or other values."""
    rows = runs * records
    return pd.DataFrame(
        {
            "task": ["bilinear"] * rows,
            "algorithm": "gda",
            "label": "a",
            "seed": np.repeat(np.arange(runs), records),
            "step": np.tile(np.arange(records), runs),
            **dict.fromkeys(COUNTED, 0),
            "cell_seconds": 0.0,
            "status": "finished",
            "stopped_at": 5,
            "reason": "",
        }
        | columns
    )


def footer_of(runs: int, steps: int = 5, **entries: Any) -> dict[str, Any]:
    """Return a footer of a cell that no task describes, with further entries."""
    prose: dict[str, Any] = dict.fromkeys(
        ("summary", "rule", "text", "source", "link"), ""
    )
    prose |= {"sections": {}, "arguments": {}}
    return {
        "cell": {
            "task": {"class": "mmbench.tasks.bilinear:Bilinear"},
            "algorithm": {"class": "mmbench.algorithms.gda:GDA"},
            "seeds": list(range(runs)),
            "steps": steps,
        },
        "task": "bilinear",
        "algorithm": "gda",
        "label": "a",
        "metrics": {},
        "columns": [],
        "target": "",
        "seeds": [0, runs - 1],
        "runs": runs,
        "steps": steps,
        "dtype": "float32",
        "method": prose | {"cost": ""},
        "game": prose,
        "width": 1,
        "outcomes": {"finished": runs},
        "reason": "",
        "provenance": {},
    } | entries


FRAME = tidy_frame(2, 1, x=[1.5, np.nan])
FOOTER = footer_of(2, ö="é")
ARRAYS = {"path": np.arange(6.0).reshape(1, 3, 2), "path_steps": np.arange(3)}
ITERATES = {
    "z": np.arange(8, dtype=np.float32).reshape(2, 2, 2),
    "steps": np.array([0, 5]),
}


def assert_same_cells(found: Store, expected: Store, keys: Sequence[str]) -> None:
    """Check that cells are stored with equal bits, apart from wall-clock times."""
    for key in keys:
        footers = [found.footer(key), expected.footer(key)]
        for footer in footers:
            footer.pop("provenance")
            footer["files"].pop("state", "")  # which has wall-clock times
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

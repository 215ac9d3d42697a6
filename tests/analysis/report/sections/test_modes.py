"""Sheets of generated images."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest
from report_results import DIGITS, only

from mmbench.analysis.report.sections import SECTIONS
from mmbench.analysis.results import Results
from mmbench.store.folder import Store


def pixels(address: str) -> np.ndarray:
    """The picture at an inlined address, from 0 to 1."""
    content = base64.b64decode(address.partition(",")[2])
    return matplotlib.image.imread(io.BytesIO(content), format="png")


class Sheets(Store):
    """A store with one sheet for all cells."""

    def __init__(self, of: Results, sheet: np.ndarray) -> None:
        super().__init__(of.store.folder)
        self.sheet = sheet

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        return {"sheet": self.sheet}


def sheet_of(results: Results, sheet: np.ndarray) -> np.ndarray:
    """What is shown of a sheet."""
    seen = only(results, task=DIGITS)
    made = SECTIONS["modes"](seen._replace(store=Sheets(seen, sheet)))
    assert made
    return pixels(made.subsections[-1].figures[0].png)


def test_colour_sheets_are_shown_in_tens(results: Results) -> None:
    """Each pixel in its place and colour, to 64 levels; gaps are transparent."""
    rng = np.random.default_rng(0)
    sheet = rng.uniform(-1, 1, (2, 100, 32, 32, 3)).astype(np.float16)
    shown = sheet_of(results, sheet)
    assert shown.shape == (329, 329, 4)  # 10 of 32 pixels, 9 gaps; one run has room
    image = shown[33 * 4 : 33 * 4 + 32, 33 * 7 : 33 * 7 + 32]
    assert np.abs(image[..., :3] - (sheet[0, 47] + 1) / 2).max() < 1 / 64 + 1 / 255
    assert (image[..., 3] == 1).all()
    assert (shown[32, :, 3] == 0).all()
    assert (shown[:, 65, 3] == 0).all()


def test_sheets_hold_what_no_image_holds(results: Results) -> None:
    """Values beyond white and black are white and black; NaN is grey."""
    sheet = np.zeros((1, 4, 8, 8), dtype=np.float16)
    sheet[0, 0], sheet[0, 1], sheet[0, 2] = np.inf, -7, np.nan
    shown = sheet_of(results, sheet)
    assert shown.shape == (17, 17, 4)
    found = [shown[0, 0, 0], shown[0, 9, 0], shown[9, 0, 0]]
    assert found == pytest.approx([1, 0, 0.5], abs=1 / 64)


def test_small_images_of_several_runs_stand_side_by_side(results: Results) -> None:
    shown = sheet_of(results, np.ones((6, 100, 8, 8), dtype=np.float16))
    assert shown.shape == (89, 3 * 89 + 2 * 8, 4)


def test_a_colour_sheet_is_a_small_file(results: Results) -> None:
    """Smooth images, as a generator gives: a page of nine stays below two megabytes."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-1, 1, (1, 100, 8, 8, 3))
    smooth = coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float16)
    seen = only(results, task=DIGITS)
    made = SECTIONS["modes"](seen._replace(store=Sheets(seen, smooth)))
    assert made
    assert len(made.subsections[-1].figures[0].png) < 200_000

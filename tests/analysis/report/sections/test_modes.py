"""Tests of the pictures of generated images."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest
from report_results import DIGITS, only, section_of

from mmbench.analysis.results import Results
from mmbench.store.folder import Store


def pixels(data_uri: str) -> np.ndarray:
    """Return the picture in a data URI, with values from 0 to 1."""
    content = base64.b64decode(data_uri.partition(",")[2])
    return matplotlib.image.imread(io.BytesIO(content), format="png")


class StoreOfSheet(Store):
    """A store with the same sheet for all cells."""

    def __init__(self, results: Results, sheet: np.ndarray) -> None:
        super().__init__(results.store.folder)
        self.sheet = sheet

    def arrays(self, key: str) -> dict[str, np.ndarray]:
        return {"sheet": self.sheet}


def draw_sheet(results: Results, sheet: np.ndarray) -> np.ndarray:
    """Return the picture that the section makes of a sheet."""
    seen = only(results, task=DIGITS)
    made = section_of("modes", seen._replace(store=StoreOfSheet(seen, sheet)))
    assert made
    return pixels(made.subsections[-1].figures[0].png)


def test_colour_images_form_a_square_of_ten(results: Results) -> None:
    """Each pixel has its place and colour, to 64 levels; gaps are transparent."""
    rng = np.random.default_rng(0)
    sheet = rng.uniform(-1, 1, (2, 100, 32, 32, 3)).astype(np.float16)
    shown = draw_sheet(results, sheet)
    assert shown.shape == (329, 329, 4)  # 10 of 32 pixels, 9 gaps; one run has room
    image = shown[33 * 4 : 33 * 4 + 32, 33 * 7 : 33 * 7 + 32]
    assert np.abs(image[..., :3] - (sheet[0, 47] + 1) / 2).max() < 1 / 64 + 1 / 255
    assert (image[..., 3] == 1).all()
    assert (shown[32, :, 3] == 0).all()
    assert (shown[:, 65, 3] == 0).all()


def test_values_out_of_range_are_clipped(results: Results) -> None:
    """Values beyond white and black become white and black; NaN becomes grey."""
    sheet = np.zeros((1, 4, 8, 8), dtype=np.float16)
    sheet[0, 0], sheet[0, 1], sheet[0, 2] = np.inf, -7, np.nan
    shown = draw_sheet(results, sheet)
    assert shown.shape == (17, 17, 4)
    found = [shown[0, 0, 0], shown[0, 9, 0], shown[9, 0, 0]]
    assert found == pytest.approx([1, 0, 0.5], abs=1 / 64)


def test_small_images_of_several_runs_are_side_by_side(results: Results) -> None:
    shown = draw_sheet(results, np.ones((6, 100, 8, 8), dtype=np.float16))
    assert shown.shape == (89, 3 * 89 + 2 * 8, 4)


def test_a_picture_of_colour_images_is_small(results: Results) -> None:
    """A page with nine pictures of smooth images stays below two megabytes."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-1, 1, (1, 100, 8, 8, 3))
    smooth = coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.float16)
    seen = only(results, task=DIGITS)
    made = section_of("modes", seen._replace(store=StoreOfSheet(seen, smooth)))
    assert made
    assert len(made.subsections[-1].figures[0].png) < 200_000

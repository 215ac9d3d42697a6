"""Animations: lines grow from frame to frame, and the last frame is the whole."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mmbench.analysis.plot.animation import FRAMES, HEAD, PATH, to_gif


def drawn(points: np.ndarray) -> Figure:
    """Return a figure with a black path and a red marker at its end."""
    figure = Figure(figsize=(2, 1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.plot(*points.T, color="black", linewidth=4, label=PATH)
    axes.plot(*points[-1], color="red", marker="o", label=HEAD)
    return figure


def dark(image: Image.Image) -> int:
    """Count the black pixels of a frame."""
    return int((np.asarray(image.convert("L")) < 40).sum())


def test_paths_grow_and_end_whole() -> None:
    points = np.stack((np.linspace(0.1, 0.9, 200), np.full(200, 0.5)), axis=1)
    given = to_gif(drawn(points))
    assert given == to_gif(drawn(points))
    with Image.open(io.BytesIO(given)) as gif:
        assert gif.n_frames == FRAMES
        counts = []
        for frame in range(FRAMES):
            gif.seek(frame)
            counts.append(dark(gif))
        red = np.argwhere(np.asarray(gif.convert("RGB"))[..., 1] < 40)
    assert counts[0] < 0.1 * counts[-1]
    assert counts == sorted(counts)
    assert red[:, 1].max() > 0.88 * gif.width


def test_points_that_repeat_take_no_time() -> None:
    """A path that rests for most of its points is drawn as one that does not."""
    moving = np.stack((np.linspace(0.1, 0.9, 41), np.full(41, 0.5)), axis=1)
    resting = np.concatenate((moving, np.repeat(moving[-1:], 400, axis=0)))
    assert to_gif(drawn(resting)) == to_gif(drawn(moving))

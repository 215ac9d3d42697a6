"""Animations of figures whose lines grow, as GIF."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

PATH, HEAD = (
    "_path",
    "_head",
)  # labels of a line that grows and of the marker at its end
FRAMES = 40
HOLD = 10  # frames for which the whole is shown at the end
MILLISECONDS = 100  # of a frame
DPI = 110
COLOURS = 128


def to_gif(figure: Figure) -> bytes:
    """Return a GIF in which all lines labelled `PATH` grow as far as they are drawn.

    The marker labelled `HEAD` that follows such a line on its axes is at its end. A
    point that repeats the one before it takes no time. The same figure gives the same
    bytes.
    """
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    figure.set_layout_engine("none")  # no frame moves the axes
    whole = _image(canvas)
    palette = whole.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    moving: list[tuple[Line2D, np.ndarray, list[Line2D]]] = []
    for axes in figure.axes:
        for line in axes.lines:
            if line.get_label() == PATH:
                moving.append((line, _moves(np.asarray(line.get_xydata())), []))
            elif line.get_label() == HEAD:
                moving[-1][2].append(line)
    frames = []
    for frame in range(1, FRAMES + 1):
        for line, points, heads in moving:
            shown = points[: max(1, round(len(points) * frame / FRAMES))]
            line.set_data(*shown.T)
            for head in heads:
                head.set_data(*shown[-1:].T)
        canvas.draw()
        frames.append(
            _image(canvas).quantize(palette=palette, dither=Image.Dither.NONE)
        )
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[MILLISECONDS] * (FRAMES - 1) + [MILLISECONDS * HOLD],
        loop=0,
    )
    return buffer.getvalue()


def _moves(points: np.ndarray) -> np.ndarray:
    """Return the points without those that repeat the one before them."""
    is_new = np.append(True, (np.diff(points, axis=0) != 0).any(axis=1))
    return points[is_new]


def _image(canvas: FigureCanvasAgg) -> Image.Image:
    size = canvas.get_width_height()
    return Image.frombuffer("RGBA", size, canvas.buffer_rgba()).convert("RGB")

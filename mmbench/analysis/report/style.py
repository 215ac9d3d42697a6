"""Style: seaborn's theme, and one look for each label, the same on the whole page."""

import base64
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import matplotlib as mpl
import numpy as np
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mmbench.core.status import Status

# Seaborn's colour-blind palette in an order in which neighbours are far apart; an olive
# and a violet stand for its yellow and pale pink, which vanish on white.
_SEABORN = sns.color_palette("colorblind").as_hex()
COLOURS = (*(_SEABORN[at] for at in (0, 1, 2, 3, 4, 9, 5, 7)), "#999933", "#7d5bbe")
# The numbers of colours, markers and dashes share no factor: colours repeat after ten
# labels, but no two of the first 770 labels look alike.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = (
    "",
    (5, 1.5),
    (1.5, 1.2),
    (6, 1.5, 1.5, 1.5),
    (3, 1),
    (8, 2),
    (4, 1.2, 1.2, 1.2, 1.2, 1.2),
    (1, 2),
    (9, 1, 1, 1),
    (2, 2, 6, 2),
    (7, 3),
)

# In the order in which outcomes are told.
STATUS_COLOURS = {
    Status.CONVERGED: "#0173b2",
    Status.STOPPED: "#56b4e9",
    Status.FINISHED: "#a7a7a7",
    Status.DIVERGED: "#de8f05",
    Status.NONFINITE: "#b3400a",
    Status.TIMEOUT: "#9c6b43",
    Status.MEMORY: "#c04f86",
    Status.ERROR: "#4b1d5c",
    Status.RUNNING: "#029e73",
}

# Stand-ins that `svg` replaces, so that figures follow the page's light or dark scheme.
INK, GRID = "#010203", "#040506"
GREY = "#8a8a8a"  # legible on both, for pictures that cannot follow

PIXELS = 96  # CSS pixels to the inch
RASTER = 192  # twice that, for dense screens

_THEME = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper"),
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "grid.color": GRID,
    "lines.linewidth": 1.5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.parse_math": False,  # labels are the user's and may hold dollar signs
    "axes.formatter.use_mathtext": False,
    **dict.fromkeys(
        (
            "text.color",
            "axes.edgecolor",
            "axes.labelcolor",
            "xtick.color",
            "ytick.color",
        ),
        INK,
    ),
}


Margins = tuple[float, float, float, float]
BARE: Margins = (0, 0, 0, 0)
CHARACTER = 0.075  # inches, of the text beside an axis


class Look(NamedTuple):
    """How a label is drawn.

    Args:
        index: of the label, from 0; the page's swatch bears it.
        colour: of its lines and points.
        marker: on them.
        dash: of its lines; "" is solid.
    """

    index: int
    colour: str
    marker: str
    dash: str | tuple[float, ...]

    @property
    def line(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash as matplotlib wants it."""
        return (0, self.dash) if self.dash else "-"


def looks(labels: Sequence[str]) -> dict[str, Look]:
    """The look of each label.

    Args:
        labels: in order of first appearance in the results.
    """
    return {
        label: Look(
            index,
            COLOURS[index % len(COLOURS)],
            MARKERS[index % len(MARKERS)],
            DASHES[index % len(DASHES)],
        )
        for index, label in enumerate(labels)
    }


@contextmanager
def panel(
    width: float, height: float, margins: Margins = (0.62, 0.42, 0.12, 0.1)
) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one axes, in the house's style; draw and save it inside.

    Args:
        width: in inches, 96 pixels each.
        height: likewise.
        margins: left, bottom, right and top, likewise. They are given because finding
            them takes as long as drawing, and because panels side by side then line up.
    """
    left, bottom, right, top = margins
    with mpl.rc_context(_THEME), warnings.catch_warnings():
        # Labels may hold letters that the font lacks; browsers have other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width, height))
        within = (width - left - right, height - bottom - top)
        axes = figure.add_axes(
            (left / width, bottom / height, within[0] / width, within[1] / height)
        )
        yield figure, axes


def svg(figure: Figure, name: str) -> Markup:
    """A figure as inline SVG, the same bytes each time.

    Args:
        figure: drawn inside `panel`.
        name: unique on the page; its ids are made from it.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :]
    # Tags only: what stands between them is the user's.
    text = re.sub(r"<[^>]*>", lambda tag: _tidy(tag[0]), text)
    return Markup(re.sub(r"\n\s*", "\n", text))  # noqa: S704  # matplotlib escapes labels


def _tidy(tag: str) -> str:
    """A tag fit for inlining: page colours, short numbers, ids only where used."""
    tag = tag.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    tag = tag.replace("xlink:href", "href")
    tag = re.sub(r' xmlns(:xlink)?="[^"]*"| version="1.1"', "", tag)
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)  # hundredths of a pixel do
    return re.sub(r' id="[^"]*"', "", tag) if tag.startswith("<g") else tag


def png(figure: Figure) -> str:
    """A figure as the address of an inlined PNG, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=RASTER, metadata={"Software": None})
    return address(buffer.getvalue())


def address(content: bytes) -> str:
    """A PNG's bytes as an address that needs no network."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def swatches(of: Mapping[str, Look]) -> Markup:
    """Each look as an SVG symbol `swatch-<index>`, for legends and tables."""
    symbols = []
    for look in of.values():
        with panel(0.42, 0.15, BARE) as (figure, axes):
            axes.set_axis_off()
            axes.plot(
                [0, 0.5, 1],
                [0, 0, 0],
                color=look.colour,
                linestyle=look.line,
                marker=look.marker,
                markevery=[1],
                markersize=6,
                markeredgewidth=0,
            )
            axes.set_xlim(-0.02, 1.02)
            drawn = svg(figure, f"swatch-{look.index}")
        box = re.search(r'viewBox="[^"]*"', drawn)
        inner = drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")]
        assert box
        symbols.append(f'<symbol id="swatch-{look.index}" {box[0]}>{inner}</symbol>')
    hidden = f'<svg class="symbols" aria-hidden="true">{"".join(symbols)}</svg>'
    return Markup(hidden)  # noqa: S704  # drawn above, from no one's words


def log_range(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic y axis over the positive values."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    low, high = np.log10(positive.min()), np.log10(positive.max())
    spare = max(0.05 * (high - low), 0.1)
    axes.set_ylim(10 ** (low - spare), 10 ** (high + spare))
    log_ticks(axes, "y")


def log_ticks(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic axis with plain ticks."""
    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    low, high = np.log10(axis.get_view_interval())
    if high - low < 1.5:  # may hold one power of ten or none
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:g}"))
    else:
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_major_formatter(FuncFormatter(lambda at, _: power(at)))


def power(at: float) -> str:
    """A power of ten as one writes it by hand."""
    if at <= 0:
        return ""
    exponent = round(np.log10(at))
    if 0 <= exponent <= 2:
        return f"{10**exponent}"
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}"


def beside(labels: Sequence[str]) -> tuple[list[str], float]:
    """Labels short enough to stand beside a figure, and the inches that they take."""
    short = [one if len(one) <= 24 else one[:23] + "…" for one in labels]
    return short, 0.15 + CHARACTER * max(map(len, short), default=0)

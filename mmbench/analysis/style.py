"""The style of figures: a theme, and one style of lines and markers for each label."""

import base64
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
import seaborn as sns
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mmbench.core.status import Status

# Seaborn's colour-blind palette, ordered such that neighbours are easy to distinguish.
# An olive and a violet replace its yellow and pale pink, which vanish on white.
_PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = (*(_PALETTE[at] for at in (0, 1, 2, 3, 4, 9, 5, 7)), "#999933", "#7d5bbe")
# From light to dark, for values of a heat map.
SHADES = sns.light_palette(COLOURS[0], as_cmap=True)
# The numbers of colours, markers and dashes are coprime: colours repeat after ten
# labels, but the first 770 labels have different styles.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[tuple[float, ...], ...] = (
    (),
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

# In the order in which outcomes are shown.
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

# Placeholders that `svg` replaces, so that figures follow the page's colour scheme.
INK, GRID = "#010203", "#040506"
GRID_OPACITY = "stroke-opacity: 0.13"
GRID_GREY = "#dddddd"  # of the grid on white
DARK = 0.55  # share of `SHADES` beyond which text on it is white
GREY = "#8a8a8a"  # legible in the light and the dark scheme, for PNGs

PNG_DPI = 192  # twice the 96 CSS pixels of an inch, for dense screens

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


# As matplotlib writes it into each text of an SVG.
_FONT = "font-family: 'DejaVu Sans', 'Verdana', sans-serif"

Margins = tuple[float, float, float, float]
NO_MARGINS: Margins = (0, 0, 0, 0)
CHARACTER_INCHES = 0.075  # width of a character of the labels of an axis
EXPONENTS = (-150, 150)  # of ten, at the ends of an axis; matplotlib goes beyond them
MAX_CHARACTERS = 24  # of such a label; longer ones are shortened


class LabelStyle(NamedTuple):
    """How the lines and points of a label are drawn.

    Args:
        number: number of the label, from 0; part of the name of its swatch.
        colour: colour of lines and points.
        marker: matplotlib's name of the marker.
        dash: lengths of dashes and gaps of lines, in line widths; empty if solid.
    """

    number: int
    colour: str
    marker: str
    dash: tuple[float, ...]

    @property
    def linestyle(self) -> str | tuple[float, tuple[float, ...]]:
        """The dash in matplotlib's form."""
        return (0, self.dash) if self.dash else "-"


def label_styles(labels: Sequence[str]) -> dict[str, LabelStyle]:
    """Return the style of each label.

    Args:
        labels: all labels of the results, in order of first appearance.
    """
    return {
        label: LabelStyle(
            number,
            COLOURS[number % len(COLOURS)],
            MARKERS[number % len(MARKERS)],
            DASHES[number % len(DASHES)],
        )
        for number, label in enumerate(labels)
    }


@contextmanager
def theme(changes: Mapping[str, Any] = {}) -> Iterator[None]:
    """Let figures have the style of the report, in black on white.

    Args:
        changes: settings of matplotlib that replace the style's.
    """
    ink = {name: "black" for name, value in _THEME.items() if value == INK}
    faces = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    white = dict.fromkeys(faces, "white")
    settings = _THEME | ink | white | {"grid.color": GRID_GREY} | dict(changes)
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@contextmanager
def panel(
    width: float, height: float, margins: Margins = (0.62, 0.42, 0.12, 0.1)
) -> Iterator[tuple[Figure, Axes]]:
    """Make a figure with one axes in the page's style; draw and save it inside.

    Args:
        width: width in inches of 96 CSS pixels.
        height: height in inches.
        margins: left, bottom, right and top margins in inches. They are given because
            computing them takes as long as drawing, and so that panels side by side
            are aligned.
    """
    left, bottom, right, top = margins
    with mpl.rc_context(_THEME), warnings.catch_warnings():
        # Labels may hold characters that the font lacks; browsers have other fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes(
            (
                left / width,
                bottom / height,
                (width - left - right) / width,
                (height - bottom - top) / height,
            )
        )
        yield figure, axes


def svg(figure: Figure, *name: str) -> Markup:
    """Render a figure as inline SVG, with the same bytes each time.

    The SVG may be copied from the page: it needs nothing of it, but takes its colour of
    text.

    Args:
        figure: a figure that was drawn inside `panel`.
        name: words that are unique on the page; the ids in the SVG depend on them.
    """
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": repr(name)}):
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :]
    # Only tags are changed, as the text between them is the user's.
    groups: list[str] = []
    text = re.sub(r"<[^>]*>", lambda tag: _simplify_tag(tag[0], groups), text)
    return Markup(re.sub(r"\n\s*", "\n", text))  # noqa: S704  # matplotlib escapes labels


def on_white(drawn: Markup) -> str:
    """Return an inline SVG as the content of a file, in black on white."""
    text = drawn.replace("currentColor", "black")
    return text.replace('<svg style="', '<svg style="background: white; ', 1)


def _simplify_tag(tag: str, groups: list[str]) -> str:
    """Use the page's colours, shorten numbers and drop groups that say nothing.

    Args:
        tag: the tag.
        groups: the tags of the groups that it is in, as they were written; changed.
    """
    if tag == "</g>":
        return tag if groups.pop() else ""
    tag = tag.replace(f"stroke: {GRID}", f"stroke: currentColor; {GRID_OPACITY}")
    tag = tag.replace(INK, "currentColor").replace("xlink:href", "href")
    tag = re.sub(r' xmlns:xlink="[^"]*"| version="1.1"', "", tag)
    # Tenths of a pixel are enough for paths, hundredths elsewhere.
    tag = re.sub(r"(\.\d\d)\d+", r"\1", tag)
    tag = re.sub(r' d="[^"]*"', lambda path: _shorten_path(path[0]), tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    if tag.startswith("<svg"):
        return tag.replace("<svg", f'<svg style="{_FONT}"', 1)
    if tag.startswith("<text"):
        return tag.replace(f"{_FONT}; ", "")
    if not tag.startswith("<g"):
        return tag
    tag = re.sub(r' id="[^"]*"', "", tag)
    if tag == "<g/>":
        return ""
    if not tag.endswith("/>"):
        groups.append(tag if tag != "<g>" else "")
        tag = groups[-1]
    return tag


def _shorten_path(path: str) -> str:
    return re.sub(r"(\.\d)\d+", r"\1", re.sub(r"\s*\n\s*", "", path))


def png(figure: Figure) -> str:
    """Render a figure as the data URI of a PNG, with the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return data_uri(buffer.getvalue())


def data_uri(content: bytes) -> str:
    """Return the bytes of a PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def swatches(styles: Mapping[str, LabelStyle]) -> Markup:
    """Draw each style as an SVG symbol `swatch-<number>`, for legends and tables."""
    symbols = []
    for style in styles.values():
        with panel(0.42, 0.15, NO_MARGINS) as (figure, axes):
            axes.set_axis_off()
            axes.plot(
                [0, 0.5, 1],
                [0, 0, 0],
                color=style.colour,
                linestyle=style.linestyle,
                marker=style.marker,
                markevery=[1],
                markersize=6,
                markeredgewidth=0,
            )
            axes.set_xlim(-0.02, 1.02)
            drawn = svg(figure, f"swatch-{style.number}")
        box = re.search(r'viewBox="[^"]*"', drawn)
        inner = drawn[drawn.index(">") + 1 : drawn.rindex("</svg>")]
        assert box
        symbols.append(f'<symbol id="swatch-{style.number}" {box[0]}>{inner}</symbol>')
    hidden = f'<svg class="symbols" aria-hidden="true">{"".join(symbols)}</svg>'
    return Markup(hidden)  # noqa: S704  # no text of a user is in it


def set_log_range(axes: Axes, values: np.ndarray) -> None:
    """Make the y axis logarithmic, over the range of the positive values."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not len(positive):
        return
    low, high = np.log10(positive.min()), np.log10(positive.max())
    margin = max(0.05 * (high - low), 0.1)
    ends = np.clip([low - margin, high + margin], *EXPONENTS)
    axes.set_ylim(*10.0**ends)
    set_log_scale(axes, "y")


def set_log_scale(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis logarithmic, with ticks that are easy to read."""
    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    low, high = np.log10(axis.get_view_interval())
    if high - low < 1.5:  # too few powers of ten for ticks
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))


def power_of_ten(value: float) -> str:
    """Format a power of ten: 1, 10, 100, or ten with a superscript exponent."""
    if value <= 0:
        return ""
    exponent = round(np.log10(value))
    if 0 <= exponent <= 2:
        return f"{10**exponent}"
    superscript = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{superscript}"


def wrap_axis_labels(labels: Sequence[str]) -> tuple[list[str], float]:
    """Break labels to stand at an axis, and compute the inches that they take.

    Labels are broken after a space, a comma or an underscore, or before a bracket. What
    is longer than two lines is shortened.
    """
    wrapped = [_wrap(label) for label in labels]
    widest = max((len(line) for lines in wrapped for line in lines), default=0)
    return ["\n".join(lines) for lines in wrapped], 0.15 + CHARACTER_INCHES * widest


def shorten(text: str, characters: int) -> str:
    """Return the beginning of a text, with an ellipsis where some is left out."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _wrap(label: str) -> list[str]:
    """Return the one or two lines of a label."""
    lines = [""]
    for piece in re.split(r"(?<=[ ,_])|(?=\[)", " ".join(label.split())):
        rest = piece
        while len(lines[-1] + rest) > MAX_CHARACTERS:
            if not lines[-1]:
                lines[-1], rest = rest[:MAX_CHARACTERS], rest[MAX_CHARACTERS:]
            lines.append("")
        lines[-1] += rest
    lines = [line.strip() for line in lines if line.strip()]
    if len(lines) > 2:
        lines = [lines[0], lines[1][: MAX_CHARACTERS - 1] + "…"]
    return lines


def interval(low: float, value: float, high: float, colour: str) -> Markup:
    """Draw a share with its interval between 0 and 1, for a cell of a table.

    Args:
        low: lower end of the interval; NaN for none.
        value: the share.
        high: upper end of the interval.
        colour: colour of the line and of the point.
    """
    left, width = 6, 160  # pixels before the place of 0, and from there to that of 1
    ticks = "".join(
        f'<path d="M{left + width * share:g} 0v18" stroke="currentColor" '
        'stroke-opacity="0.15"/>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    line = ""
    if np.isfinite([low, high]).all():
        start, end = left + width * low, left + width * high
        line = (
            f'<path d="M{start:.1f} 9H{end:.1f}" stroke="{colour}" stroke-width="3"/>'
        )
    point = f'<circle cx="{left + width * value:.1f}" cy="9" r="4.5" fill="{colour}"/>'
    size = f'width="{width + 2 * left}" height="18"'
    return Markup(  # noqa: S704  # no text of a user is in it
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} aria-hidden="true">'
        f"{ticks}{line}{point}</svg>"
    )

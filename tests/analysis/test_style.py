"""Tests of the styles of labels and of the bytes of figures."""

import xml.etree.ElementTree as ET

from mmbench.analysis import style


def test_labels_have_different_styles() -> None:
    """The first 200 styles differ, and the first ten differ in colour."""
    styles = style.label_styles([str(at) for at in range(200)])
    assert len({one[1:] for one in styles.values()}) == 200
    assert len({one.colour for one in list(styles.values())[:10]}) == 10


def test_figures_have_the_same_bytes_and_no_date() -> None:
    """The ids of an SVG have a fixed salt, and a PNG has no metadata."""

    def draw() -> tuple[str, str]:
        with style.panel(2, 1) as (figure, axes):
            axes.plot([0, 1], [0, 1], marker="o", label="0.123456")
            axes.text(0, 0, "0.123456 & <b>")
            return style.svg(figure, "name"), style.png(figure)

    first, second = draw(), draw()
    assert first == second
    assert "0.123456 &amp; &lt;b&gt;" in first[0]
    assert "<metadata" not in first[0]
    assert "tEXt" not in first[1]


def test_a_figure_stands_alone() -> None:
    """A copied SVG is one to an XML parser, and uses nothing of the page."""
    with style.panel(2, 1) as (figure, axes):
        axes.plot([0, 1], [0, 1], marker="o")
        axes.set_title("a & <b>")
        drawn = str(style.svg(figure, "name"))
    root = ET.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawn
    assert style.INK not in drawn
    assert style.GRID not in drawn
    assert style.GRID_OPACITY in drawn
    ids = {one.get("id") for one in root.iter()}
    used = [one.get("href") for one in root.iter() if one.get("href")]
    assert used
    assert {one.removeprefix("#") for one in used} <= ids


def test_ids_depend_on_each_word_of_a_name() -> None:
    """Words that join to the same text are another name."""

    def draw(*name: str) -> str:
        with style.panel(2, 1) as (figure, axes):
            axes.plot([0, 1], [0, 1], marker="o")
            return str(style.svg(figure, *name))

    assert draw("a-b", "c") != draw("a", "b-c")

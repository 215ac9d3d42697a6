"""Looks of curves, and figures as bytes."""

from mmbench.analysis.report import style


def test_looks_are_unlike_each_other() -> None:
    """And the first ten differ in colour."""
    found = style.label_styles([str(at) for at in range(200)])
    assert len({look[1:] for look in found.values()}) == 200
    assert len({look.colour for look in list(found.values())[:10]}) == 10


def test_figures_have_the_same_bytes_and_no_date() -> None:
    """SVG with a fixed salt, PNG without metadata."""

    def drawn() -> tuple[str, str]:
        with style.panel(2, 1) as (figure, axes):
            axes.plot([0, 1], [0, 1], marker="o", label="0.123456")
            axes.text(0, 0, "0.123456 & <b>")
            return style.svg(figure, "name"), style.png(figure)

    first, second = drawn(), drawn()
    assert first == second
    assert "0.123456 &amp; &lt;b&gt;" in first[0]
    assert "<metadata" not in first[0]
    assert "tEXt" not in first[1]

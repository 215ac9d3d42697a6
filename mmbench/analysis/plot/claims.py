"""A picture of a claim: what each variant's runs say, beside what was published."""

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from mmbench.analysis import style
from mmbench.analysis.plot.bars import bars_size
from mmbench.analysis.verdicts import Verdict

COLOURS = {
    "reproduced": style.COLOURS[0],
    "not reproduced": style.COLOURS[3],
    "inconclusive": "#8a8a8a",
}
BAND = "#e3d3a1"  # of values that count as the published one


def forest(verdict: Verdict) -> Markup:
    """Draw the estimate and interval of each variant that has one.

    Args:
        verdict: the verdict on a claim about random runs.
    """
    seen = [one for one in verdict.tested if one.last]
    names = [one.variant.name for one in seen]
    width, height, margins = bars_size(names, 5.8)
    with style.panel(width, height, margins) as (figure, axes):
        _draw(axes, verdict)
        axes.set_yticks(range(len(seen)), style.wrap_axis_labels(names)[0])
        is_difference = verdict.claim.kind == "more"
        ticks = np.linspace(-1 if is_difference else 0, 1, 5)
        axes.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        what = "difference of shares of runs" if is_difference else "share of runs"
        axes.set_xlabel(what)
        axes.tick_params(axis="y", length=0)
        axes.spines[["left", "top", "right"]].set_visible(False)
        return style.svg(figure, "claim", verdict.claim.name)


def strip(verdict: Verdict) -> Markup:
    """Draw the same without text, to stand in a row of a table."""
    count = sum(1 for one in verdict.tested if one.last)
    with style.panel(1.4, 0.08 + 0.1 * count, style.NO_MARGINS) as (figure, axes):
        _draw(axes, verdict, marker=3.5)
        axes.set_axis_off()
        return style.svg(figure, "strip", verdict.claim.name)


def _draw(axes: Axes, verdict: Verdict, marker: float = 6) -> None:
    """Draw the intervals of all variants, beside what was published."""
    _draw_published(axes, verdict)
    looks = [one.last for one in verdict.tested if one.last]
    for y, look in enumerate(looks):
        colour = COLOURS[look.conclusion]
        axes.plot([look.low, look.high], [y, y], color=colour, linewidth=marker / 3)
        axes.plot(look.estimate, y, marker="o", color=colour, markersize=marker)
    axes.set_ylim(len(looks) - 0.5, -0.5)
    axes.set_xlim(-1.03 if verdict.claim.kind == "more" else -0.03, 1.03)


def _draw_published(axes: Axes, verdict: Verdict) -> None:
    """Draw what the claim says: a band, or the line that must be passed."""
    claim = verdict.claim
    if claim.share is not None:
        low, high = claim.share - claim.margin, claim.share + claim.margin
        axes.axvspan(max(low, 0), min(high, 1), color=BAND, linewidth=0)
        axes.axvline(claim.share, color=style.INK, linewidth=1)
    else:
        least = {"more": 0.0, "most": 0.5, "every": 1.0}[claim.kind]
        axes.axvline(least, color=style.INK, linewidth=1)
        if claim.kind == "more":
            axes.axvline(claim.gap / 2, color=style.INK, linewidth=1, linestyle=":")

"""Numbers as texts for readers: three digits, percentages, intervals."""

import numpy as np


def percent(share: float) -> str:
    """Format a share from 0 to 1 as a percentage."""
    return "–" if np.isnan(share) else f"{100 * share:.0f} %"


def percents(low: float, high: float) -> str:
    """Format an interval of shares from 0 to 1 as percentages."""
    return "–" if np.isnan(low) else f"{100 * low:.0f} to {100 * high:.0f}"


def number(value: float) -> str:
    """Format a number with three digits."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace(",", "\u202f").replace("-", "−")
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}".replace(",", "\u202f").replace("-", "−")
    mantissa, separator, exponent = f"{value:.3g}".partition("e")
    power = f"e{int(exponent)}" if separator else ""
    return (mantissa + power).replace("-", "−")

"""The registry of metrics, in the order reports show them."""

from mmbench.core.registry import Registry

_HERE = "mmbench.metrics"

METRICS = Registry(
    kind="metric",
    base=f"{_HERE}.base:Metric",
    members={
        "distance": f"{_HERE}.distance:Distance",
        "field_norm": f"{_HERE}.field_norm:FieldNorm",
        "gap": f"{_HERE}.gap:Gap",
        "worst": f"{_HERE}.worst:Worst",
        "rate": f"{_HERE}.rate:Rate",
        "mode_coverage": f"{_HERE}.mode_coverage:ModeCoverage",
        "sliced_wasserstein": f"{_HERE}.sliced_wasserstein:SlicedWasserstein",
        "digit_coverage": f"{_HERE}.digit_coverage:DigitCoverage",
        "forgetting": f"{_HERE}.forgetting:Forgetting",
    },
)

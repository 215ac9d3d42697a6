"""The registry of metrics, in the order reports show them."""

from mmbench.core.registry import Registry

_HERE = "mmbench.metrics"

METRICS = Registry(
    kind="metric",
    base=f"{_HERE}.base:Metric",
    members={
        "distance": f"{_HERE}.distance:Distance",
        "field_norm": f"{_HERE}.field_norm:FieldNorm",
        "losses": f"{_HERE}.losses:Losses",
        "drift": f"{_HERE}.drift:Drift",
        "gap": f"{_HERE}.gap:Gap",
        "worst": f"{_HERE}.worst:Worst",
        "rate": f"{_HERE}.rate:Rate",
        "mode_coverage": f"{_HERE}.mode_coverage:ModeCoverage",
        "sliced_wasserstein": f"{_HERE}.sliced_wasserstein:SlicedWasserstein",
        "digit_coverage": f"{_HERE}.digit_coverage:DigitCoverage",
        "frechet_distance": f"{_HERE}.frechet_distance:FrechetDistance",
        "frechet_infinity": f"{_HERE}.frechet_infinity:FrechetInfinity",
        "kernel_distance": f"{_HERE}.kernel_distance:KernelDistance",
        "classifier_score": f"{_HERE}.classifier_score:ClassifierScore",
        "precision_recall": f"{_HERE}.precision_recall:PrecisionRecall",
        "class_histogram": f"{_HERE}.class_histogram:ClassHistogram",
        "forgetting": f"{_HERE}.forgetting:Forgetting",
    },
)

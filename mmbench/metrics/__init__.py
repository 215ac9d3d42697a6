"""The registry of metrics, in the order that reports use, and their classes.

A class is imported when it is first used: `from mmbench.metrics import Distance`.
"""

from typing import TYPE_CHECKING

from mmbench.core.lazy import lazy_names
from mmbench.core.registry import Registry

# For type checkers and editors; nothing is imported before it is used.
if TYPE_CHECKING:
    from mmbench.metrics.base import Column as Column
    from mmbench.metrics.base import IterateMetric as IterateMetric
    from mmbench.metrics.base import Metric as Metric
    from mmbench.metrics.base import Point as Point
    from mmbench.metrics.base import TrajectoryMetric as TrajectoryMetric
    from mmbench.metrics.class_histogram import ClassHistogram as ClassHistogram
    from mmbench.metrics.classification_accuracy_score import (
        ClassificationAccuracyScore as ClassificationAccuracyScore,
    )
    from mmbench.metrics.classifier_score import ClassifierScore as ClassifierScore
    from mmbench.metrics.digit_coverage import DigitCoverage as DigitCoverage
    from mmbench.metrics.distance import Distance as Distance
    from mmbench.metrics.drift import Drift as Drift
    from mmbench.metrics.field_norm import FieldNorm as FieldNorm
    from mmbench.metrics.forgetting import Forgetting as Forgetting
    from mmbench.metrics.frechet_distance import FrechetDistance as FrechetDistance
    from mmbench.metrics.frechet_infinity import FrechetInfinity as FrechetInfinity
    from mmbench.metrics.gain_alone import GainAlone as GainAlone
    from mmbench.metrics.gap import Gap as Gap
    from mmbench.metrics.generated_point import GeneratedPoint as GeneratedPoint
    from mmbench.metrics.gradient_norms import GradientNorms as GradientNorms
    from mmbench.metrics.inner_iterations import InnerIterations as InnerIterations
    from mmbench.metrics.kernel_distance import KernelDistance as KernelDistance
    from mmbench.metrics.losses import Losses as Losses
    from mmbench.metrics.mode_coverage import ModeCoverage as ModeCoverage
    from mmbench.metrics.mode_logits import ModeLogits as ModeLogits
    from mmbench.metrics.path_angle import PathAngle as PathAngle
    from mmbench.metrics.point_class import PointClass as PointClass
    from mmbench.metrics.precision_recall import PrecisionRecall as PrecisionRecall
    from mmbench.metrics.rate import Rate as Rate
    from mmbench.metrics.rejected_share import RejectedShare as RejectedShare
    from mmbench.metrics.robust_accuracy import RobustAccuracy as RobustAccuracy
    from mmbench.metrics.rotation_share import RotationShare as RotationShare
    from mmbench.metrics.sliced_wasserstein import (
        SlicedWasserstein as SlicedWasserstein,
    )
    from mmbench.metrics.spectrum import Spectrum as Spectrum
    from mmbench.metrics.stay import Stay as Stay
    from mmbench.metrics.worst import Worst as Worst

_HERE = "mmbench.metrics"

METRICS: Registry["Metric"] = Registry(
    kind="metric",
    base=f"{_HERE}.base:Metric",
    group=_HERE,
    members={
        "distance": f"{_HERE}.distance:Distance",
        "field_norm": f"{_HERE}.field_norm:FieldNorm",
        "losses": f"{_HERE}.losses:Losses",
        "drift": f"{_HERE}.drift:Drift",
        "gap": f"{_HERE}.gap:Gap",
        "worst": f"{_HERE}.worst:Worst",
        "rate": f"{_HERE}.rate:Rate",
        "generated_point": f"{_HERE}.generated_point:GeneratedPoint",
        "stay": f"{_HERE}.stay:Stay",
        "gradient_norms": f"{_HERE}.gradient_norms:GradientNorms",
        "point_class": f"{_HERE}.point_class:PointClass",
        "spectrum": f"{_HERE}.spectrum:Spectrum",
        "rotation_share": f"{_HERE}.rotation_share:RotationShare",
        "path_angle": f"{_HERE}.path_angle:PathAngle",
        "gain_alone": f"{_HERE}.gain_alone:GainAlone",
        "inner_iterations": f"{_HERE}.inner_iterations:InnerIterations",
        "rejected_share": f"{_HERE}.rejected_share:RejectedShare",
        "robust_accuracy": f"{_HERE}.robust_accuracy:RobustAccuracy",
        "mode_coverage": f"{_HERE}.mode_coverage:ModeCoverage",
        "mode_logits": f"{_HERE}.mode_logits:ModeLogits",
        "sliced_wasserstein": f"{_HERE}.sliced_wasserstein:SlicedWasserstein",
        "digit_coverage": f"{_HERE}.digit_coverage:DigitCoverage",
        "frechet_distance": f"{_HERE}.frechet_distance:FrechetDistance",
        "frechet_infinity": f"{_HERE}.frechet_infinity:FrechetInfinity",
        "kernel_distance": f"{_HERE}.kernel_distance:KernelDistance",
        "classifier_score": f"{_HERE}.classifier_score:ClassifierScore",
        "precision_recall": f"{_HERE}.precision_recall:PrecisionRecall",
        "class_histogram": f"{_HERE}.class_histogram:ClassHistogram",
        "classification_accuracy_score": (
            f"{_HERE}.classification_accuracy_score:ClassificationAccuracyScore"
        ),
        "forgetting": f"{_HERE}.forgetting:Forgetting",
    },
)

_NAMES = (
    *METRICS.members.values(),
    f"{_HERE}.base:Column",
    f"{_HERE}.base:IterateMetric",
    f"{_HERE}.base:Metric",
    f"{_HERE}.base:Point",
    f"{_HERE}.base:TrajectoryMetric",
)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)

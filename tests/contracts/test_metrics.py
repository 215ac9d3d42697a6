"""Every metric keeps what a metric must keep."""

import pytest
import torch
from planar_samplers import Sampler, measure_samples, mixture

from mmbench.metrics import METRICS
from mmbench.metrics.base import Point
from mmbench.tasks import TASKS
from mmbench.testing import check_metric

GAUSSIANS = "four_gaussians[hidden=8,noise=4,batch=16]"
DIGITS = "digits01[hidden=8,batch=16]"
FITTING = [
    ("distance", "bilinear"),
    ("distance[concept=nash]", "bilinear[box=5]"),
    ("field_norm", "quadratic"),
    ("field_norm", GAUSSIANS),
    ("gap", "bilinear[dim=3]"),
    ("gap[radius=2]", "bilinear[box=5]"),
    ("worst", "bilinear"),
    ("rate", "bilinear"),
    ("generated_point", "icr_projection"),
    ("stay", "icr_projection"),
    ("gradient_norms", "polar"),
    ("point_class", "bilinear[dim=3]"),
    ("point_class[ratio=2.5]", "polar"),
    ("spectrum", "finite_sum_bilinear[terms=3]"),
    ("spectrum[step_size=(0.1,0.2)]", "dirac_gan"),
    ("rotation_share", "forsaken"),
    ("path_angle", "quadratic"),
    ("gain_alone[steps=3]", "bilinear[box=5]"),
    ("gain_alone[steps=3]", GAUSSIANS),
    ("inner_iterations", "bilinear"),
    ("rejected_share", "bilinear"),
    ("robust_accuracy[steps=2]", "adversarial_training[hidden=4,images=10]"),
    ("mode_coverage[samples=300]", GAUSSIANS),
    ("mode_logits", GAUSSIANS),
    ("sliced_wasserstein[samples=300]", GAUSSIANS),
    ("digit_coverage[samples=20]", DIGITS),
    ("frechet_distance[features=digitscnn,count=20]", DIGITS),
    ("frechet_distance[features=digitscnn,count=80,split=test]", DIGITS),
    ("frechet_infinity[features=digitscnn,count=100,sizes=4]", DIGITS),
    ("kernel_distance[features=digitscnn,count=20,subsets=3]", DIGITS),
    ("classifier_score[features=digitscnn,count=20,splits=2]", DIGITS),
    ("precision_recall[features=digitscnn,count=20]", DIGITS),
    ("class_histogram[features=digitscnn,count=20]", DIGITS),
    (
        "classification_accuracy_score[count=20]",
        "conditional_digits[hidden=8,batch=16]",
    ),
    ("forgetting", GAUSSIANS),
    ("losses", "quadratic"),
    ("losses[minibatches=2]", GAUSSIANS),
    ("losses[minibatches=2]", DIGITS),
    ("drift[images=20]", DIGITS),
]


@pytest.mark.parametrize(("metric", "task"), FITTING)
def test_metric_keeps_its_contract(metric: str, task: str) -> None:
    """A metric fills its columns with one number a run, permuted as the runs are."""
    check_metric(METRICS.build(metric), TASKS.build(task))


def test_every_metric_is_checked() -> None:
    """The list above reaches every registered metric."""
    assert {words.partition("[")[0] for words, _ in FITTING} == set(METRICS)


@pytest.mark.parametrize(("metric", "task"), FITTING)
def test_needs_are_met(metric: str, task: str) -> None:
    """The task of each metric above has the capabilities that the metric needs."""
    assert METRICS.build(metric).needs <= TASKS.build(task).gives


@pytest.mark.parametrize("metric", ["mode_coverage", "sliced_wasserstein"])
def test_permuting_runs_permutes_values(metric: str) -> None:
    """The value of a run does not depend on its place among the runs."""
    samplers = [
        mixture([1, 0, 0, 0.0]),
        mixture([0.5, 0.5, 0, 0.0]),
        mixture([0.25] * 4),
    ]
    forth = measure_samples(f"{metric}[samples=400]", *samplers)
    game, z = Sampler(samplers), torch.zeros(3, 2, dtype=torch.float64)
    z[:, 0] = torch.tensor([2.0, 1.0, 0.0])
    built = METRICS.build(f"{metric}[samples=400]")
    back = built.measure(Point(game, z, (2, 1, 0)))
    for name, values in forth.items():
        assert back[name].tolist() == values[::-1]

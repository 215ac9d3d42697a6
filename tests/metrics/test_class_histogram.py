"""Histograms of a classifier's first choices."""

import torch

from mmbench.metrics.class_histogram import shares


def test_shares_of_first_choices():
    """However unsure, the first choice counts; thresholds are met exactly."""
    logits = torch.zeros(100, 10)
    logits[0, 7] = logits[1:, 2] = 0.1
    assert shares(logits).tolist() == [0, 0, 0.99, 0, 0, 0, 0, 0.01, 0, 0]

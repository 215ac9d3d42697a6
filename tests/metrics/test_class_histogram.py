"""Tests of the shares of the classes."""

import torch

from mmbench.metrics.class_histogram import class_shares


def test_shares_of_first_choices():
    """The most probable class counts at any confidence, and shares are exact."""
    logits = torch.zeros(100, 10)
    logits[0, 7] = logits[1:, 2] = 0.1
    assert class_shares(logits).tolist() == [0, 0, 0.99, 0, 0, 0, 0, 0.01, 0, 0]

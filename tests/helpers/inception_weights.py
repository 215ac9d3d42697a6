"""Weights of Inception's shapes, and files of them that count as published."""

import hashlib
import io

import torch

from mmbench.metrics import _inception_file
from mmbench.metrics._inception import shapes


def random_weights(chosen=None):
    """Draw weights of the right shapes that keep the size of a signal."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes().items():
        if chosen is not None and not name.startswith(chosen):
            continue
        drawn = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            weights[name] = drawn * (2 / torch.Size(shape[1:]).numel()) ** 0.5
        elif name.endswith("running_var"):
            weights[name] = 1 + drawn.abs() / 10
        elif name.endswith("bn.weight"):
            weights[name] = 1 + drawn / 10
        else:
            weights[name] = drawn / 10
    return weights


def publish(tmp_path, monkeypatch, content):
    """Write a file and make its checksum that of the published one."""
    path = tmp_path / "published.pth"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(_inception_file, "ORIGINAL_SHA256", digest)
    return path


def torch_bytes(tensors, **options):
    """Return the bytes that `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(tensors, buffer, **options)
    return buffer.getvalue()

"""Layouts on flat vectors, and choosing between the rows of two states."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.core.vectors import ALIGNMENT, Layout, aligned_size, dot, keep

SHAPES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.lists(st.integers(1, 7), max_size=3).map(tuple),
    min_size=1,
    max_size=5,
)


@given(SHAPES)
@settings(max_examples=60, deadline=None)
def test_split_and_join_are_inverse(shapes: dict) -> None:
    """Tensors survive the flat vector; slices are aligned and padded with zeros."""
    layout = Layout(shapes)
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    flat = layout.join(tensors)
    assert len(flat) == layout.size == sum(layout.sizes)
    parts = layout.split(torch.stack((flat, 2 * flat)))
    assert list(parts) == list(shapes)
    for name, part in parts.items():
        assert torch.equal(part[0], tensors[name])
        assert torch.equal(part[1], 2 * tensors[name])
        assert part.storage_offset() % ALIGNMENT == 0
    assert int((flat != 0).sum()) == sum(math.prod(shape) for shape in shapes.values())


@given(st.integers(0, 1000))
def test_aligned_size(size: int) -> None:
    """Sizes are rounded up to the next multiple of the alignment."""
    assert aligned_size(size) % ALIGNMENT == 0
    assert size <= aligned_size(size) < size + ALIGNMENT


def test_padding_has_no_gradient() -> None:
    """A gradient through a split is zero where the padding lies."""
    layout = Layout({"a": (3,), "b": (2, 2)})
    flat = torch.randn(2, layout.size, requires_grad=True)
    sum(part.square().sum() for part in layout.split(flat).values()).backward()
    assert (flat.grad != 0).sum(1).tolist() == [7, 7]


def test_keep_reaches_nested_states() -> None:
    """Rows are chosen in every tensor of nested tuples; None stays."""
    on = torch.tensor([True, False])
    new = (torch.ones(2), (torch.ones(2, 3), ()), None)
    old = (torch.zeros(2), (torch.zeros(2, 3), ()), None)
    kept = keep(on, new, old)
    assert kept[0].tolist() == [1, 0]
    assert kept[1][0].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert kept[1][1] == ()
    assert kept[2] is None


def test_keep_takes_no_nan_from_rows_not_kept() -> None:
    """NaN and infinity in rows that are not kept do not spread."""
    on = torch.tensor([True, False])
    kept = keep(on, torch.tensor([1.0, torch.nan]), torch.tensor([torch.inf, 2.0]))
    assert kept.tolist() == [1, 2]


def test_keep_preserves_whole_numbers() -> None:
    """Integer tensors keep their dtype."""
    on = torch.tensor([True, False])
    assert keep(on, torch.tensor([2, 2]), torch.tensor([1, 1])).dtype == torch.int64


def test_dot() -> None:
    """The inner product has one number for each run."""
    a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert dot(a, 2 * a).tolist() == [10, 50]

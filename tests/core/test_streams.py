"""Streams: the draws of a run depend on its seed and purpose alone."""

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmbench.core.streams import MAX_CHUNK_LENGTH, Stream, chunk_length, generator

CPU = torch.device("cpu")


class Pair(NamedTuple):
    """Two tensors drawn together."""

    normal: torch.Tensor
    whole: torch.Tensor


def draw(random: torch.Generator, count: int) -> Pair:
    """Draw consecutive pairs of one run."""
    normal = torch.randn(count, 3, generator=random)
    return Pair(normal, torch.randint(9, (count,), generator=random))


def stream(seeds: tuple[int, ...], purpose: str = "data", chunk: int = 4) -> Stream:
    """A stream of pairs."""
    return Stream(seeds, purpose, draw, chunk, CPU)


@pytest.mark.parametrize("seeds", [(5,), (5, 1), (1, 2, 5), (5, 5)])
def test_draws_do_not_depend_on_the_batch(seeds: tuple[int, ...]) -> None:
    """A run has the same bits by itself and at any position in a batch."""
    single, batch = stream((5,)), stream(seeds)
    for _ in range(11):
        expected, values = single.next(), batch.next()
        for i, seed in enumerate(seeds):
            if seed == 5:
                assert torch.equal(values.normal[i], expected.normal[0])
                assert torch.equal(values.whole[i], expected.whole[0])


def test_chunks_are_drawn_as_declared() -> None:
    """Values come in the order in which whole chunks are drawn."""
    random, drawn = generator(7, "data"), stream((7,), chunk=4)
    chunks = [draw(random, 4) for _ in range(2)]
    for i in range(8):
        assert torch.equal(drawn.next().normal[0], chunks[i // 4].normal[i % 4])


def test_a_few_values_of_a_chunk_at_once() -> None:
    """They are those that are taken one by one; a chunk ends a series."""
    single, drawn = stream((5, 1)), stream((5, 1))
    for count in (1, 2, 1, 3, 1, 4, 1):
        assert drawn.waiting >= count
        values = drawn.next_of_chunk(count)
        for i in range(count):
            assert torch.equal(values.normal[i], single.next().normal)
    assert drawn.waiting == 3
    other = stream((5, 1))
    other.restore(drawn.snapshot())
    assert torch.equal(other.next().normal, drawn.next().normal)


def test_shapes_have_the_runs_axis_first() -> None:
    """The leading axis of every value is that of the runs."""
    value = stream((1, 2, 3)).next()
    assert isinstance(value, Pair)
    assert value.normal.shape == (3, 3)
    assert value.whole.shape == (3,)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_seeds_and_purposes_differ(first: int, second: int) -> None:
    """Equal seeds and purposes give equal numbers, others different ones."""

    def numbers(seed: int, purpose: str) -> list[float]:
        return torch.rand(4, generator=generator(seed, purpose)).tolist()

    assert numbers(first, "data") == numbers(first, "data")
    assert numbers(first, "data") != numbers(first, "start")
    same = numbers(first, "data") == numbers(second, "data")
    assert same == (first == second)


def test_purposes_are_uncorrelated() -> None:
    """Over many seeds, purposes are uncorrelated, and so are seed and next seed."""
    purposes = ("start", "data", "algorithm/uniform/1", "evaluation")
    table = torch.stack(
        [
            torch.cat([torch.randn(1, generator=generator(s, p)) for s in range(2000)])
            for p in purposes
        ]
    )
    shifted = torch.cat((table, table[:1].roll(1, dims=1)))
    correlations = torch.corrcoef(shifted) - torch.eye(5)
    assert correlations.abs().max() < 0.1
    assert table.mean(dim=1).abs().max() < 0.1


def test_the_global_generator_is_not_used() -> None:
    """Nothing is drawn from, or seeded in, the global generator."""
    before = torch.get_rng_state()
    stream((1, 2)).next()
    assert torch.equal(before, torch.get_rng_state())


def test_chunk_lengths() -> None:
    """Lengths are powers of two, from sixteen for small minibatches to one."""
    assert chunk_length(0) == chunk_length(100) == MAX_CHUNK_LENGTH == 16
    assert chunk_length(2**14) == 16
    assert chunk_length(2**14 + 1) == 8
    assert chunk_length(2**18) == 1
    assert chunk_length(2**30) == 1


@pytest.mark.parametrize("function", [torch.rand, torch.randn])
@pytest.mark.parametrize("size", [1, 3, 17])
def test_long_chunks_of_an_algorithm_have_the_numbers_of_short_ones(
    function: Any, size: int
) -> None:
    """Sixteen times sixteen values are those that are drawn at once."""

    def draw(source: torch.Generator, count: int) -> Tensor:
        return function(count, size, generator=source, dtype=torch.float64)

    short, long = (
        Stream((1, 2), "algorithm", draw, chunk_length(size, most), torch.device("cpu"))
        for most in (16, 256)
    )
    for _ in range(300):
        assert torch.equal(short.next(), long.next())

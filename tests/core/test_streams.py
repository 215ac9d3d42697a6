"""Streams: one per run and purpose, whatever else is drawn."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.core.streams import MAX_CHUNK_LENGTH, Stream, chunk_length, generator

CPU = torch.device("cpu")


class Pair(NamedTuple):
    """Two tensors drawn together."""

    normal: torch.Tensor
    whole: torch.Tensor


def draw(random: torch.Generator, count: int) -> Pair:
    """So many consecutive pairs of one run."""
    normal = torch.randn(count, 3, generator=random)
    return Pair(normal, torch.randint(9, (count,), generator=random))


def stream(seeds: tuple[int, ...], purpose: str = "data", chunk: int = 4) -> Stream:
    """A stream of pairs."""
    return Stream(seeds, purpose, draw, chunk, CPU)


@pytest.mark.parametrize("seeds", [(5,), (5, 1), (1, 2, 5), (5, 5)])
def test_a_run_sees_its_own_draws(seeds: tuple[int, ...]) -> None:
    """Alone or beside others, in any place: the same bits."""
    alone, among = stream((5,)), stream(seeds)
    for _ in range(11):
        one, many = alone.next(), among.next()
        for i, seed in enumerate(seeds):
            if seed == 5:
                assert torch.equal(many.normal[i], one.normal[0])
                assert torch.equal(many.whole[i], one.whole[0])


def test_chunks_are_drawn_as_declared() -> None:
    """Values come in the order of one draw of a chunk after the other."""
    random, drawn = generator(7, "data"), stream((7,), chunk=4)
    chunks = [draw(random, 4) for _ in range(2)]
    for i in range(8):
        assert torch.equal(drawn.next().normal[0], chunks[i // 4].normal[i % 4])


def test_shapes_have_the_runs_axis_first() -> None:
    """A value has runs first, whatever follows."""
    value = stream((1, 2, 3)).next()
    assert isinstance(value, Pair)
    assert value.normal.shape == (3, 3)
    assert value.whole.shape == (3,)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_seeds_and_purposes_are_apart(one: int, other: int) -> None:
    """Another seed or purpose, other numbers; the same, the same."""

    def numbers(seed: int, purpose: str) -> list[float]:
        return torch.rand(4, generator=generator(seed, purpose)).tolist()

    assert numbers(one, "data") == numbers(one, "data")
    assert numbers(one, "data") != numbers(one, "start")
    assert (numbers(one, "data") == numbers(other, "data")) == (one == other)


def test_purposes_are_uncorrelated() -> None:
    """Over many seeds, starts say nothing about data, nor one seed about the next."""
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


def test_torchs_generator_is_left_alone() -> None:
    """Nothing is drawn from, or seeded in, the global generator."""
    before = torch.get_rng_state()
    stream((1, 2)).next()
    assert torch.equal(before, torch.get_rng_state())


def test_chunk_lengths() -> None:
    """Powers of two, sixteen for small minibatches, one for huge ones."""
    assert chunk_length(0) == chunk_length(100) == MAX_CHUNK_LENGTH == 16
    assert chunk_length(2**14) == 16
    assert chunk_length(2**14 + 1) == 8
    assert chunk_length(2**18) == 1
    assert chunk_length(2**30) == 1

"""The stand-in for CUDA graphs does what a graph does, and no more."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]
GAN = "four_gaussians[hidden=8,noise=4,batch=8]"
# Of captured steps: looks of the host at the device in 16 steps and the record after
# them, then operations a step that it asks for one by one, then replays a step. They
# may fall, never rise.
AT_MOST = {
    ("bilinear", "gda"): (0, 3, 1),
    ("bilinear", "cgd"): (16, 5, 3),
    ("quadratic", "acgd"): (16, 7, 3),
    ("bilinear", "stackelberg"): (16, 5, 5),
}
AT_MOST_SLOW = {
    (GAN, "cgd"): (35, 13, 5),
    (GAN, "acgd"): (33, 14, 5),
}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the stand-in."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.device.recorded")


def test_operations_are_made_again_without_the_code(recorded: ModuleType) -> None:
    """In the memory of the first time."""
    calls = []
    given, found = torch.tensor([1.0, 2.0]), torch.zeros(2)
    graphs = recorded.RecordedGraphs(torch.device("cpu"))
    with graphs.capturing() as replay:
        calls.append(1)
        twice = 2 * given
        twice[1:].add_(100)  # a view, and a write in place
        found.copy_(twice)
    for first in (3.0, 5.0):
        given.copy_(torch.tensor([first, first + 1]))
        replay()
        assert found.tolist() == [2 * first, 2 * first + 102]
    assert (len(calls), graphs.replays, graphs.operations) == (1, 2, [3])


def test_what_is_referred_to_is_there_for_later_captures(recorded: ModuleType) -> None:
    """Anything else is overwritten after the capture at whose end it was free."""
    given, found = torch.tensor([1.0, 2.0]), torch.zeros(2)
    squares = torch.zeros(2)
    graphs = recorded.RecordedGraphs(torch.device("cpu"))
    with graphs.capturing() as first:
        leaf = given.clone().requires_grad_()
        product = (leaf * leaf.exp()).sum()  # keeps its factors for the derivative
        kept, freed = 2 * given, 3 * given
        looked_at = freed[:1]
    with graphs.capturing() as second:
        del freed  # its view refers to it
        found.copy_(kept)
        found[:1].add_(looked_at)
        (gradient,) = torch.autograd.grad(product, leaf, retain_graph=True)
        squares.copy_(gradient)
        del kept, looked_at  # so that the second capture may have their memory
    assert product.isnan()  # a capture computes nothing
    given.copy_(torch.tensor([3.0, 4.0]))
    first()
    second()
    assert found.tolist() == [15.0, 8.0]
    exact = (1 + given) * given.exp()
    assert torch.equal(squares, given.exp() + given * given.exp())
    assert torch.allclose(squares, exact)
    second()
    assert found.isnan().all()
    assert torch.allclose(squares, exact)
    first()
    second()
    assert found.tolist() == [15.0, 8.0]


def test_a_capture_forbids_looks_and_copies_from_the_host(recorded: ModuleType) -> None:
    """As CUDA does while a stream is captured."""
    with recorded.recorded_graphs():
        there = torch.ones(2, device=torch.device("cuda", 0))
        graphs = recorded.RecordedGraphs(there.device)
        for function in (
            lambda: bool(there.sum() > 0),
            lambda: torch.ones(2).to(there.device),
            there.cpu,
            there.nonzero,
        ):
            with (
                pytest.raises(RuntimeError, match="not permitted while"),
                graphs.capturing(),
            ):
                function()
        with graphs.capturing():
            there.add_(1)


def check_counts(recorded: ModuleType, pair: tuple[str, str]) -> None:
    """Compute a pair with captured and with eager steps: no more looks."""
    pretended = importlib.import_module("benchmarks.device.pretended")
    cell = pretended.small_cell(*pair)
    found, eager = recorded.counted(cell), pretended.counted(cell)
    assert found.recording.backend == "captured"
    looks, operations, replays = (AT_MOST | AT_MOST_SLOW)[pair]
    assert found.looks <= min(looks, eager.looks)
    assert found.operations <= operations
    assert 1 <= found.replays <= replays


@pytest.mark.parametrize("pair", AT_MOST, ids="-".join)
def test_few_questions(recorded: ModuleType, pair: tuple[str, str]) -> None:
    """Methods that are quick to compute."""
    check_counts(recorded, pair)


@pytest.mark.slow
@pytest.mark.parametrize("pair", AT_MOST_SLOW, ids="-".join)
def test_few_questions_of_networks(recorded: ModuleType, pair: tuple[str, str]) -> None:
    """Methods on networks."""
    check_counts(recorded, pair)

"""The stand-in for CUDA graphs does what a graph does, and no more."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the stand-in."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.device.recorded")


def test_operations_are_made_again_without_the_code(recorded: ModuleType) -> None:
    """In the memory of the first time; what is computed on the way is overwritten."""
    calls, between = [], []
    given, found = torch.tensor([1.0, 2.0]), torch.zeros(2)

    def function() -> None:
        calls.append(1)
        twice = 2 * given
        between.append(twice)
        twice[1:].add_(100)  # a view, and a write in place
        found.copy_(twice)

    graphs = recorded.RecordedGraphs(torch.device("cpu"))
    replay = graphs.capture(function)
    given.copy_(torch.tensor([3.0, 4.0]))
    replay()
    assert found.tolist() == [6.0, 108.0]
    assert between[0].isnan().all()
    given.copy_(torch.tensor([5.0, 6.0]))
    replay()
    assert found.tolist() == [10.0, 112.0]
    assert (len(calls), graphs.replays, graphs.operations) == (1, 2, [3])


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
            with pytest.raises(RuntimeError, match="not permitted while"):
                graphs.capture(function)
        graphs.capture(lambda: there.add_(1))

"""Steps are traced as with torch's decompositions, without torch's compiler."""

from typing import Any

import pytest
import torch
from torch.export import default_decompositions

from mmbench.engine.compiled.decompositions import OWN, decompositions
from mmbench.engine.compiled.traces import trace

X, Y = torch.linspace(-2, 30, 6), torch.linspace(-1, 1, 6)
USES = {
    "addcmul": lambda x, y: x.addcmul(y, y),
    "addcmul by a value": lambda x, y: x.addcmul(x, y, value=-0.3),
    "lerp": lambda x, y: x.lerp(y, 0.3),
    "lerp to the end": lambda x, y: x.lerp(y, 0.9),
    "softplus": lambda x, _: torch.nn.functional.softplus(x),
    "softplus by scales": lambda x, _: torch.nn.functional.softplus(x, 0.5, 10),
}


def operations(use: Any, table: Any) -> list[tuple[Any, tuple]]:
    """Return the operations of a trace, each with its arguments."""
    graph = trace(lambda x, y: [use(x, y)], (X, Y), table)
    constants = {
        node.name: getattr(graph, node.target).tolist()
        for node in graph.graph.nodes
        if node.op == "get_attr"
    }
    return [
        (node.target, tuple(constants.get(str(one), str(one)) for one in node.args))
        for node in graph.graph.nodes
    ]


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_own_decompositions_are_those_of_torch(use: Any) -> None:
    expected = operations(use, default_decompositions())
    assert operations(use, decompositions()) == expected


def test_each_own_decomposition_is_compared() -> None:
    used = set()

    class Noted(dict):
        def __getitem__(self, operation: Any) -> Any:
            used.add(operation)
            return super().__getitem__(operation)

    for use in USES.values():
        operations(use, Noted(decompositions()))
    assert used >= OWN.keys()


def test_splits_become_slices() -> None:
    """Of every length, along any axis."""
    x = torch.arange(12.0).reshape(2, 6)

    def split(x: torch.Tensor) -> list[torch.Tensor]:
        return [*torch.split_with_sizes(x, [1, 3, 0, 2], 1), *x.split([2], 0)]

    graph = trace(split, (x,), decompositions())
    targets = {node.target for node in graph.graph.nodes if node.op == "call_function"}
    assert targets == {torch.ops.aten.slice.Tensor}
    assert all(map(torch.equal, graph(x), split(x)))

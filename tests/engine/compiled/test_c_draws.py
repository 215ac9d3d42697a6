"""Draws in C are those of torch, bit by bit, and leave its generators as torch does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_slots import Killed, MemorySlot
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmbench.algorithms import ALGORITHMS
from mmbench.core.placement import Placement
from mmbench.core.streams import Stream
from mmbench.engine import chunk
from mmbench.engine.cell import Cell
from mmbench.engine.compiled import block, c_draws
from mmbench.engine.compiled.c_draws import (
    FUNCTIONS,
    SOURCE,
    STATE_BYTES,
    WORDS_BEGIN,
    WORDS_END,
    WORTH,
    Draw,
    FastDraws,
    compiled_draw,
    draws_as_torch,
    fast_draws,
    fill,
)
from mmbench.engine.run_cell import run_cell
from mmbench.engine.trajectory import Trajectory
from mmbench.runner.plan import metrics_for
from mmbench.tasks import TASKS

HAS_AVX2 = torch.backends.cpu.get_cpu_capability() in {"AVX2", "AVX512"}
SIZES = (16, 17, 31, 32, 33, 624, 625, 1000, 3 * 624 + 5, 5 * 2**14 + 9)


@pytest.fixture(name="draw")
def fixture_draw() -> Draw:
    """Return the compiled function."""
    draw = compiled_draw()
    if draw is None:
        pytest.skip("this processor's torch gives other bits")
    return draw


@pytest.fixture(name="filled")
def fixture_filled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let any draw of 16 numbers be made in C; return a list of their sizes."""
    filled: list[int] = []

    def noted(draw: Draw, source: torch.Generator, out: Tensor, **options: Any) -> None:
        filled.append(out.numel())
        fill(draw, source, out, **options)

    monkeypatch.setattr(c_draws, "fill", noted)
    monkeypatch.setattr(c_draws, "LEAST", 16)
    return filled


@pytest.fixture(name="recompiled")
def fixture_recompiled(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], Draw | None]]:
    """Return a function that compiles another text."""

    def recompile(source: str) -> Draw | None:
        assert source != SOURCE
        monkeypatch.setattr(c_draws, "SOURCE", source)
        compiled_draw.cache_clear()
        return compiled_draw()

    yield recompile
    compiled_draw.cache_clear()


def twins(seed: int) -> tuple[torch.Generator, torch.Generator]:
    """Return two equal generators."""
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def must_be_same(found: Tensor, expected: Tensor) -> None:
    """Check that tensors are equal, bit by bit."""
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.numpy().tobytes() == expected.numpy().tobytes()


@pytest.mark.skipif(not HAS_AVX2, reason="torch draws in another way")
def test_the_compiled_function_is_used() -> None:
    assert compiled_draw() is not None
    assert isinstance(fast_draws(WORTH), FastDraws)
    assert isinstance(fast_draws(WORTH - 1), nullcontext)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2**40 + 7])
def test_bits_and_state_are_those_of_torch(
    draw: Draw, filled: list[int], function: Callable[..., Tensor], seed: int
) -> None:
    one, other = twins(seed)
    for count in SIZES:
        expected = function(count, generator=other)
        with FastDraws(draw):
            found = function(count, generator=one)
        must_be_same(found, expected)
        assert torch.equal(one.get_state(), other.get_state())
    assert filled == list(SIZES)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 5, 7), {}),
        (((4, 9),), {}),
        (([6, 8],), {"dtype": torch.float32}),
        ((torch.Size((2, 64)),), {"device": "cpu"}),
        ((16, 128, 64), {"dtype": None, "device": None}),
    ],
)
def test_any_shape_is_drawn(
    draw: Draw, filled: list[int], size: Sequence[Any], options: dict[str, Any]
) -> None:
    one, other = twins(3)
    for function in FUNCTIONS:
        expected = function(*size, generator=other, **options)
        with FastDraws(draw):
            must_be_same(function(*size, generator=one, **options), expected)
    assert len(filled) == 2


CALLS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "randn": lambda count, source: torch.randn(count, generator=source),
    "rand": lambda count, source: torch.rand(count, generator=source),
    "double": lambda count, source: torch.randn(
        count, generator=source, dtype=torch.float64
    ),
    "randint": lambda count, source: torch.randint(77, (count,), generator=source),
    "randperm": lambda count, source: torch.randperm(count, generator=source),
    "normal_": lambda count, source: torch.empty(count).normal_(generator=source),
    "multinomial": lambda count, source: torch.multinomial(
        torch.ones(5), count, replacement=True, generator=source
    ),
}


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**63),
    calls=st.lists(
        st.tuples(
            st.sampled_from(sorted(CALLS)),
            st.one_of(st.integers(1, 40), st.integers(1, 3000)),
        ),
        max_size=12,
    ),
)
def test_torch_and_c_draw_from_one_generator_in_turn(
    draw: Draw, filled: list[int], seed: int, calls: list[tuple[str, int]]
) -> None:
    """So it is after an odd number of normal numbers too, of which torch keeps one."""
    one, other = twins(seed)
    for name, count in calls:
        expected = CALLS[name](count, other)
        with FastDraws(draw):
            found = CALLS[name](count, one)
        must_be_same(found, expected)
        assert torch.equal(one.get_state(), other.get_state())


def words_of(tempered: np.ndarray) -> np.ndarray:
    """Return the words of a generator of which these numbers are made."""
    word = tempered ^ (tempered >> 18)
    word = word ^ ((word << 15) & 0xEFC60000)
    found = word
    for _ in range(4):
        found = word ^ ((found << 7) & 0x9D2C5680)
    word = found
    for _ in range(2):
        found = word ^ (found >> 11)
    return found & 0xFFFFFFFF


@pytest.mark.slow
def test_all_radii_and_angles_are_those_of_torch(draw: Draw) -> None:
    """Each of the 2^24 uniform numbers takes both places of a pair."""
    size = 38 * 16  # numbers that one state of a generator gives
    one, other = twins(0)
    state = torch.Generator().get_state()
    state[8:24] = torch.tensor([624, 1, 1, 0], dtype=torch.int32).view(torch.uint8)
    words = state[WORDS_BEGIN:WORDS_END].view(torch.int64)
    first = np.arange(2**24, dtype=np.int64)
    first = np.concatenate([first, first[: -(2**24) % (size // 2)]]).reshape(-1, 38, 8)
    second = (first * 5 + 3) % 2**24  # in another order
    pairs = torch.from_numpy(words_of(np.concatenate([first, second], axis=2)))
    out = torch.empty(size)
    for numbers in pairs.reshape(-1, size):
        words[1 : size + 1] = numbers
        one.set_state(state)
        other.set_state(state)
        fill(draw, one, out, is_normal=True)
        bits = torch.randn(size, generator=other).view(torch.int32)
        assert torch.equal(out.view(torch.int32), bits)


def test_words_are_found_again() -> None:
    """A number made of a word has the bits that were asked for."""
    source = torch.Generator()
    state = source.get_state()
    state[8:24] = torch.tensor([624, 1, 1, 0], dtype=torch.int32).view(torch.uint8)
    asked = np.array([0, 1, 2**24 - 1, 2**32 - 1, 0x12345678])
    words = state[WORDS_BEGIN:WORDS_END].view(torch.int64)
    words[1:6] = torch.from_numpy(words_of(asked))
    source.set_state(state)
    found = torch.rand(5, generator=source) * 2**24
    assert found.tolist() == (asked % 2**24).tolist()


def refuse(*_: Any) -> None:
    """Be a function that must not be called."""
    raise AssertionError("drawn in C")


def for_each_entry(source: torch.Generator, randomness: str) -> Tensor:
    """Draw within a transform that maps over entries."""

    def noisy(x: Tensor) -> Tensor:
        return torch.randn(99, generator=source) + x

    found: Tensor = torch.vmap(noisy, randomness=randomness)(torch.zeros(3))
    return found


class Watch(TorchDispatchMode):
    """A mode that sees all operations, and the names of those that draw."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Make an operation, which must be no empty tensor."""
        assert "empty" not in func.__name__
        return func(*args, **(kwargs or {}))


def watched(source: torch.Generator) -> Tensor:
    """Draw within a mode of torch."""
    with Watch():
        return torch.randn(99, generator=source)


@pytest.mark.parametrize(
    "call",
    [
        lambda source: torch.randn(99),
        lambda source: torch.randn(99, generator=None),
        lambda source: torch.randn(15, generator=source),
        lambda source: torch.randn((), generator=source),
        lambda source: torch.rand(0, generator=source),
        lambda source: torch.randn(99, generator=source, dtype=torch.float64),
        lambda source: torch.rand(99, generator=source, dtype=torch.bfloat16),
        lambda source: torch.randn(99, generator=source, out=torch.empty(99)),
        lambda source: torch.randn(99, generator=source, requires_grad=True),
        lambda source: torch.randint(9, (99,), generator=source),
        lambda source: torch.normal(0.0, 1.0, (99,), generator=source),
        lambda source: for_each_entry(source, "different"),
        lambda source: for_each_entry(source, "same"),
        lambda source: torch.func.grad(
            lambda x: (torch.randn(99, generator=source) * x).sum()
        )(torch.ones(())),
        watched,
    ],
)
@pytest.mark.usefixtures("filled")
def test_all_else_is_left_to_torch(call: Callable[[torch.Generator], Tensor]) -> None:
    one, other = twins(4)
    torch.manual_seed(0)
    expected = call(other)
    torch.manual_seed(0)
    with FastDraws(refuse):
        found = call(one)
    assert torch.equal(found, expected)
    assert found.requires_grad == expected.requires_grad
    assert torch.equal(one.get_state(), other.get_state())


@pytest.mark.usefixtures("filled")
def test_tensors_on_another_device_are_left_to_torch() -> None:
    with torch.device("meta"), FastDraws(refuse):
        assert torch.rand(99, generator=torch.Generator("cpu")).device.type == "meta"


# Each differs from torch in one place.
EDITS = {
    "a coefficient": ("1.1676998740e-1f", "1.16771e-1f"),
    "a rounding": ("FMA(square, -0.5f, y)", "y - (square * y) * (0.5f / y)"),
    "a product that is not fused": ("FMA(s * square, x, x)", "s * square * x + x"),
    "the sign of zero": ("radius * cosine + 0;", "radius * cosine;"),
    "uniform numbers": ("0xffffffu) * 0x1p-24f", "0x7fffffu) * 0x1p-23f"),
    "the generator": ("0x9908b0dfu", "0x9908b0deu"),
    "the last block": ("int64_t again = is_normal &&", "int64_t again = 0 &&"),
    "the state": ("given->left = left + 1", "given->left = left"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_other_bits_are_refused(
    edit: str, recompiled: Callable[[str], Draw | None]
) -> None:
    one, other = twins(8)
    assert recompiled(SOURCE.replace(*EDITS[edit])) is None
    with fast_draws(WORTH):
        found = torch.randn(WORTH, generator=one)
    must_be_same(found, torch.randn(WORTH, generator=other))


@pytest.mark.slow
@pytest.mark.parametrize("processor", ["default", "avx2"])
def test_the_function_is_used_where_torch_gives_its_bits(processor: str) -> None:
    """On a processor without AVX2 torch computes the functions in another way."""
    program = "from mmbench.engine.compiled.c_draws import *; print(compiled_draw())"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"ATEN_CPU_CAPABILITY": processor},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ended.stdout.strip() != "None") == (processor == "avx2" and HAS_AVX2)


def test_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written into it."""
    assert torch.Generator().get_state().numel() == STATE_BYTES
    monkeypatch.setattr(c_draws, "STATE_BYTES", STATE_BYTES + 8)
    assert not draws_as_torch(refuse)


def test_without_a_compiler_torch_draws(
    monkeypatch: pytest.MonkeyPatch, recompiled: Callable[[str], Draw | None]
) -> None:
    for compiler in ("false", "no-such-compiler"):
        monkeypatch.setenv("CC", compiler)
        assert recompiled(SOURCE + " ") is None
        assert isinstance(fast_draws(WORTH), nullcontext)


def test_a_stream_is_restored_with_or_without(draw: Draw, filled: list[int]) -> None:
    def stream() -> Stream:
        return Stream(
            (3, 5),
            "data",
            lambda source, count: torch.randn(count, 99, generator=source),
            4,
            torch.device("cpu"),
        )

    one = stream()
    with FastDraws(draw):
        for _ in range(7):
            one.next()
        saved = one.snapshot()
        expected = [one.next() for _ in range(9)]
    drawn = len(filled)
    for drawing in (FastDraws(draw), nullcontext()):
        other = stream()
        with drawing:
            other.restore(saved)
            for value in expected:
                must_be_same(other.next(), value)
    assert len(filled) > drawn > 0


CELL_TASK = "four_gaussians[hidden=8,noise=64,batch=64]"


@pytest.fixture(name="cell")
def fixture_cell() -> Iterator[Cell]:
    """Return a cell whose minibatches are drawn in C."""
    task = TASKS.coerce(CELL_TASK)
    yield Cell(
        task=task,
        algorithm=ALGORITHMS.coerce("gda"),
        metrics=metrics_for(task, []),
        seeds=(0, 1, 2),
        steps=40,
        records=4,
        keep="all",
    )
    block.clear_blocks()


def run(cell: Cell, slot: MemorySlot | None = None) -> Trajectory:
    """Compute a cell with compiled steps."""
    trajectory = run_cell(cell, Placement(compiled=True), slot=slot)
    assert trajectory.backend == "compiled"
    return trajectory


def must_be_same_runs(found: Trajectory, expected: Trajectory) -> None:
    """Check that trajectories are equal, bit by bit."""
    assert found.steps == expected.steps
    for step, z in expected.iterates.items():
        must_be_same(torch.as_tensor(found.iterates[step]), torch.as_tensor(z))
    for name, column in expected.columns.items():
        assert found.columns[name].tobytes() == column.tobytes()


@pytest.mark.usefixtures("draw")
def test_a_compiled_cell_has_the_same_bits(
    cell: Cell, filled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(cell)
    assert len(filled) >= 2 * len(cell.seeds) * 3  # real points and noise; 3 chunks
    filled.clear()
    run_cell(cell)  # which is not compiled
    monkeypatch.setattr(chunk, "fast_draws", lambda _: nullcontext())
    must_be_same_runs(found, run(cell))
    assert not filled


@pytest.mark.usefixtures("draw")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_compiled_cell_goes_on_with_or_without(
    cell: Cell, filled: list[int], monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """It is interrupted within a chunk; one of its two parts is drawn in C."""
    expected = run(cell)
    slot = MemorySlot(raises_at=4)  # at step 8 of the first 16
    for is_second in (False, True):
        filled.clear()
        with monkeypatch.context() as patch:
            if is_first == is_second:
                patch.setattr(chunk, "fast_draws", lambda _: nullcontext())
            if is_second:
                slot.raises_at = -1
                found = run(cell, slot)
            else:
                with pytest.raises(Killed):
                    run(cell, slot)
        assert bool(filled) == (is_first != is_second)
    must_be_same_runs(found, expected)

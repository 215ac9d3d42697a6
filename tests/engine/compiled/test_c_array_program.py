"""Loops over arrays give what torch gives, and refuse what joins runs."""

import ctypes
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from mmbench.core.repetition import charging, repeat
from mmbench.engine.compiled import c_loop
from mmbench.engine.compiled.c_compiler import ALWAYS_FUSED, FASTEST, FLAGS
from mmbench.engine.compiled.c_library import library_text
from mmbench.engine.compiled.c_loop import Loop, loop_over_arrays
from mmbench.engine.compiled.c_operations import UnsupportedError

RUNS = 5
DIM = 24
NUMBER = torch.tensor(0)


def examples(dtype: torch.dtype, *drawn: tuple[int, ...]) -> Callable:
    """Return a function that gives iterates, a mask and draws of some runs."""

    def give(runs: int) -> list[Tensor]:
        draws = torch.Generator().manual_seed(1)
        shapes = [(DIM,), *drawn]
        z, *others = (
            torch.randn(runs, *shape, generator=draws, dtype=dtype) for shape in shapes
        )
        return [z, torch.arange(runs) % 2 == 0, *others, NUMBER]

    return give


def check(step: Callable, give: Callable, count: int = 1, runs: int = RUNS) -> Loop:
    """Check that a loop makes steps as torch does; return the loop."""
    loop = loop_over_arrays([step], give, 2, 0, runs)
    *tensors, _ = give(runs)
    found, _ = loop(tensors, count, 0)
    state: Sequence[Tensor] = tensors[:2]
    for number in range(count):
        state = step(*state, *tensors[2:], torch.tensor(number))
    torch.testing.assert_close(found[0], state[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(found[1], state[1])
    return loop


def entry_by_entry(z: Tensor, alive: Tensor, k: Tensor) -> list[Tensor]:
    """Use formulas, choices, reductions and all that moves numbers."""
    x, y = z.split([8, 16], dim=1)
    square = y.unflatten(1, (4, 4))
    turned = square.permute(0, 2, 1)
    joined = torch.cat([turned[:, :2], square[:, 1:3] * 2], dim=1)
    scales = torch.linspace(0.5, 1.5, 4, dtype=z.dtype)
    sums = (
        (joined * scales).sum(1) + turned.sum(2).tanh() + turned.mean((1, 2))[:, None]
    )
    largest = joined.abs().amax((1, 2))
    norm = x.norm(dim=1)
    bent = torch.nn.functional.leaky_relu(x, 0.2).clamp(-1, 1) + x.sigmoid().sqrt()
    count = alive.int() + k
    chosen = torch.where(alive[:, None], bent, x.relu() + count[:, None])
    rest = torch.cat(
        [sums, torch.stack([largest, norm], 1), torch.zeros_like(x[:, :2])], 1
    )
    wide = torch.cat([rest, rest + 1], 1)
    return [0.5 * torch.cat([chosen, wide], 1).cos(), alive & (norm < 100)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operations_entry_by_entry(dtype: torch.dtype) -> None:
    """Formulas, reductions and moves of numbers give what torch gives."""
    check(entry_by_entry, examples(dtype), count=3)


SHAPES = [(7, 16, 5), (1, 20, 9), (13, 1, 24), (8, 3, 33), (4, 33, 1), (6, 40, 12)]
# A vector has up to 16 numbers, and columns are taken by one to four vectors, of which
# the last ones share columns with those before.
WIDE_SHAPES = [(9, 35, 50), (5, 52, 37), (3, 16, 16), (7, 32, 18), (2, 49, 31)]
WIDE_SHAPES += [(13, 100, 9), (11, 65, 20), (4, 64, 17), (14, 130, 8)]
# Rows that lie far apart are packed where many rows read them.
LARGE_SHAPES = [(30, 160, 12), (26, 288, 5)]


def products(z: Tensor, alive: Tensor, *drawn: Tensor) -> list[Tensor]:
    """Multiply matrices of many shapes, each as it is and transposed."""
    total = z[:, :1, None]
    for a, b in zip(drawn[0:-1:2], drawn[1:-1:2], strict=True):
        product = a @ b / a.shape[2]
        total = total + product.cos().mean((1, 2), keepdim=True)
        back = a.transpose(1, 2) @ product / a.shape[1]  # of the transpose
        turned = back @ b.transpose(1, 2) / b.shape[2]
        total = total + turned.sin().mean((1, 2), keepdim=True)
    return [z + total[:, 0], alive.clone()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shapes", [SHAPES, WIDE_SHAPES, LARGE_SHAPES])
def test_products_of_matrices(
    shapes: list[tuple[int, int, int]], dtype: torch.dtype
) -> None:
    """Products of every shape and layout give what torch gives."""
    drawn = [shape for m, n, inner in shapes for shape in ((m, inner), (inner, n))]
    check(products, examples(dtype, *drawn))


@pytest.mark.parametrize("runs", [3, 130])
def test_a_product_with_a_shared_matrix(runs: int) -> None:
    """Runs that share a matrix are rows or columns of one product."""
    draws = torch.Generator().manual_seed(0)
    shared = torch.randn(DIM, DIM, generator=draws) / DIM

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        moved = z - 0.1 * (z @ shared - z @ shared.T)
        return [moved - 0.1 * (moved @ shared.T), alive.clone()]

    loop = check(step, examples(torch.float32), count=4, runs=runs)
    assert len(loop._constants) == 2
    # The transpose is a constant too, whose rows lie one after the other.
    matrix = "p0 + 0, {}, {}, w1 + 0" if runs > 100 else ", p1 + 0, {}, {}, w2 + 0"
    assert loop.source.count(matrix.format(DIM, 1)) == 1  # one kernel for both
    assert matrix.format(1, DIM) not in loop.source


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_runs_that_lie_side_by_side(dtype: torch.dtype) -> None:
    """Many runs that share matrices have the bits that each has alone."""
    draws = torch.Generator().manual_seed(0)
    square = torch.randn(DIM, DIM, generator=draws, dtype=dtype) / DIM
    few, many = square[:, :3], torch.cat((square, square * 2), 1)

    def step(
        z: Tensor, alive: Tensor, drawn: Tensor, _: Tensor, *, narrow: bool = False
    ) -> list[Tensor]:
        product = z @ many  # 48 columns, as many as there are runs in a group
        turned = product.unflatten(1, (3, 16)).transpose(1, 2)
        sums = (turned * turned).sum(1) + turned.mean((1, 2))[:, None]
        largest, norms = z.abs().amax(1), product.norm(dim=1)
        of_runs = torch.stack([largest, norms, drawn.sum((1, 2))], 1)
        rows = torch.cat([sums, of_runs, turned.flatten(1)[:, ::3], drawn[:, 1]], 1)
        rows = rows + square[:2].sum() + square.sum(1).amax()
        moved = torch.where(alive[:, None], rows[:, :DIM] * 0.1, z)
        if narrow:
            moved = moved + (z @ few).sum(1, keepdim=True)
        return [moved, alive & (largest < 100)]

    give = examples(dtype, (2, 3))
    check(partial(step, narrow=True), give, runs=130)
    loop = check(step, give, runs=130)
    assert "wide_product(48, 48, 24, " in loop.source
    *tensors, _ = give(130)
    (beside, _), _ = loop(tensors, 3, 0)
    single = loop_over_arrays([step], give, 2, 0, 1)
    for run in (0, 7, 129):
        alone = [tensor[run : run + 1].contiguous() for tensor in tensors]
        (found, _), _ = single(alone, 3, 0)
        assert torch.equal(found[0], beside[run])


@pytest.mark.parametrize("function", [torch.exp, torch.log1p, torch.tanh, torch.abs])
def test_runs_with_functions_of_the_library_are_rows(function: Callable) -> None:
    """A vector of numbers may be rounded otherwise than one number."""
    matrix = torch.randn(DIM, DIM // 2, generator=torch.Generator().manual_seed(0))

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        bent = function(z @ matrix / DIM)
        return [torch.cat([bent, 0.5 * bent], 1), alive]

    loop = check(step, examples(torch.float32), runs=70)
    are_columns = function is torch.abs
    assert ("wide_product(12, 48, 24, " in loop.source) is are_columns
    assert ("wide_product(35, 12, 24, " in loop.source) is not are_columns


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_joined_is_computed_where_it_is_used(dtype: torch.dtype) -> None:
    """In parts, also where the parts of operands differ, and states change places."""
    draws = torch.Generator().manual_seed(0)
    shared = torch.randn(DIM, DIM, generator=draws, dtype=dtype) / DIM

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        product, (x, y) = z @ shared, z.split([8, 16], 1)
        inner = torch.cat([x, y[:, 8:], x[:, :0]], 1) * 2
        swapped = torch.cat([y[:, :8] + 0.5 * x, inner], 1)
        gradient = torch.cat([product[:, 12:], -product[:, :12]], 1)
        moved = z - 0.1 * (gradient + 2 * swapped)
        is_near = moved.abs().amax(1) <= 3
        return [torch.where(is_near[:, None], moved, z), alive & is_near]

    loop = check(step, examples(dtype), count=3, runs=130)
    assert "most[i0] = bits_of(" in loop.source  # the largest number of two parts

    def exchange(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        is_finite = (z @ shared).abs().amax(1) < torch.inf
        return [0.5 * torch.cat([z[:, 8:], z[:, :8]], 1), alive & is_finite]

    check(exchange, examples(dtype), count=3, runs=130)


def test_a_run_does_not_depend_on_the_others() -> None:
    """A run has the same bits alone and beside others."""
    draws = torch.Generator().manual_seed(0)
    shared = torch.randn(DIM, DIM, generator=draws) / DIM

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        moved = z.unflatten(1, (4, 6)) @ z.unflatten(1, (6, 4))
        sums = moved.flatten(1).sum(1, keepdim=True)
        return [(z @ shared).sin() + 0.1 * sums, alive.clone()]

    give = examples(torch.float32)
    *tensors, _ = give(50)
    (beside, _), _ = loop_over_arrays([step], give, 2, 0, 50)(tensors, 3, 0)
    alone = [tensor[7:8].contiguous() for tensor in tensors]
    (single, _), _ = loop_over_arrays([step], give, 2, 0, 1)(alone, 3, 0)
    assert torch.equal(single[0], beside[7])


@pytest.mark.parametrize("processor", ["native", "znver3", "haswell"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_of_a_product_has_the_same_bits_alone(
    processor: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    """On processors for which GCC does not fuse all sums of products, too."""
    has = torch.backends.cpu.get_cpu_capability()
    if processor != "native" and has not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    text = library_text(is_single=dtype == torch.float32)
    (tmp_path / "library.c").write_text(text)
    options = [one for one in FLAGS if not one.startswith("-march")]
    options += [*FASTEST, *ALWAYS_FUSED, f"-march={processor}", "-shared"]
    try:
        subprocess.run(
            ["cc", *options, "library.c", "-o", "library.so", "-lm"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no compiler that knows this processor")
    product = ctypes.CDLL(str(tmp_path / "library.so")).wide_product
    product.argtypes = [
        *[ctypes.c_int64] * 3,
        *(ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64),
        *(ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64),
        *(ctypes.c_void_p, ctypes.c_void_p),
    ]
    draws = torch.Generator().manual_seed(0)
    inner = 33
    packed = torch.empty(64 * inner, dtype=dtype)
    for columns in (1, 7, 9, 16, 17, 23, 33, 50, 64):
        a = torch.randn(13, inner, generator=draws, dtype=dtype)
        b = torch.randn(inner, columns, generator=draws, dtype=dtype)

        def multiply(rows: Tensor, b: Tensor = b, columns: int = columns) -> Tensor:
            c = torch.empty(len(rows), columns, dtype=dtype)
            to = c.data_ptr(), packed.data_ptr()
            of_b = b.data_ptr(), columns, 1
            product(len(rows), columns, inner, rows.data_ptr(), inner, 1, *of_b, *to)
            return c

        alone = torch.cat([multiply(row[None]) for row in a])
        for rows in range(1, 14):
            assert torch.equal(multiply(a[:rows]), alone[:rows])
        torch.testing.assert_close(alone, a @ b)


@pytest.mark.parametrize("runs", [3, 130])
def test_what_runs_were_at_stops(runs: int) -> None:
    """A call tells what runs were after some steps, as calls of so many steps do."""

    def step(z: Tensor, alive: Tensor, number: Tensor) -> list[Tensor]:
        turned = torch.cat([z[:, 1:], z[:, :1]], 1)
        return [z - 0.1 * turned + 0.01 * number, alive & (z.abs().amax(1) < 2.5)]

    give = examples(torch.float32)
    loop = loop_over_arrays([step], give, 2, 0, runs)
    tensors = give(runs)[:-1]
    before = [tensor.clone() for tensor in tensors]
    stops = [1, 4, 5]
    (z, alive), _ = loop.through(tensors, stops, 0)
    for number, stop in enumerate(stops):
        (z_alone, alive_alone), _ = loop(tensors, stop, 0)
        assert torch.equal(z[number], z_alone)
        assert torch.equal(alive[number], alive_alone)
    assert not torch.equal(z[0], z[1])
    assert all(map(torch.equal, tensors, before))


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("runs", [3, 130])
def test_steps_take_turns(runs: int, turn: int) -> None:
    """Steps of three kinds follow each other, from any of them, with stops between."""
    draws = torch.Generator().manual_seed(0)
    matrices = [torch.randn(DIM, DIM, generator=draws) / DIM for _ in range(2)]
    kinds: list[Callable[..., list[Tensor]]] = [
        lambda z, alive, drawn, _: [z @ matrices[0] + 0.1 * drawn, alive.clone()],
        lambda z, alive, _, number: [z.cos() + 0.01 * number, alive.clone()],
        lambda z, alive, drawn, _: [z - drawn @ matrices[1], alive & (z[:, 0] > -1.5)],
    ]

    give = examples(torch.float32, (DIM,))
    loop = loop_over_arrays(kinds, give, 2, 1, runs)
    z, alive, _, _ = give(runs)
    drawn = torch.randn(7, runs, DIM, generator=draws)
    stops = [2, 3, 7]
    (found, still), _ = loop.through([z, alive, drawn], stops, 0, turn)
    for number in range(7):
        step = kinds[(turn + number) % 3]
        z, alive = step(z, alive, drawn[number], torch.tensor(number))
        if number + 1 in stops:
            at = stops.index(number + 1)
            torch.testing.assert_close(found[at], z, rtol=1e-5, atol=1e-5)
            assert torch.equal(still[at], alive)


@pytest.mark.parametrize("shape", [(9, 20, 7), (2, 33, 6), (40, 3, 5), (6, 1, 8)])
@pytest.mark.parametrize("lies", ["as it is", "turned"])
def test_a_product_of_which_the_transpose_is_read(
    shape: tuple[int, int, int], lies: str
) -> None:
    """It has the bits that it has beside the product itself."""
    rows, columns, inner = shape
    left = (rows, inner) if lies == "as it is" else (inner, rows)
    give = examples(
        torch.float32, (columns, rows), (rows, columns), left, shape[2:0:-1]
    )

    def step(z: Tensor, alive: Tensor, *others: Tensor, both: bool) -> list[Tensor]:
        _, whole, a, b, _ = others
        product = torch.bmm(a if lies == "as it is" else a.transpose(1, 2), b)
        kept = product * 2 if both else whole * 1
        return [z * 1, alive.clone(), product.transpose(1, 2) * 2, kept]

    found = {}
    for both in (False, True):
        loop = loop_over_arrays([partial(step, both=both)], give, 4, 0, RUNS)
        (_, _, found[both], whole), _ = loop(give(RUNS)[:-1], 1, 0)
    assert torch.equal(found[False], found[True])
    assert torch.equal(whole.transpose(1, 2), found[True])


@pytest.mark.parametrize("of", [torch.clone, torch.square, torch.exp, torch.sigmoid])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_absolute_number(dtype: torch.dtype, of: Callable) -> None:
    """It is that of torch where numbers are zero, infinite or no numbers.

    The compiler leaves out the absolute value of what has no sign.
    """

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        largest = of(z).abs().amax(1, keepdim=True)
        return [torch.cat([largest, z[:, 1:]], 1), alive & (largest[:, 0] <= 2)]

    loop = loop_over_arrays([step], examples(dtype), 2, 0, 7)
    assert "reduction(max: most)" in loop.source
    z = torch.zeros(7, DIM, dtype=dtype)
    z[1] = -0.0
    z[2, 3], z[2, 4] = -3, 2
    z[3, -1] = torch.inf
    z[4, 5], z[4, 6] = torch.nan, torch.inf
    z[5, 7] = -torch.finfo(dtype).tiny
    z[6] = torch.linspace(-1, 0.5, DIM)
    z[0, 9] = -torch.full((), torch.nan, dtype=dtype)  # with the sign of a new one
    alive = torch.ones(7, dtype=torch.bool)
    (found, still), _ = loop([z, alive], 1, 0)
    expected, expected_still = step(z, alive, NUMBER)
    torch.testing.assert_close(found, expected, equal_nan=True)
    assert torch.equal(still, expected_still)


@pytest.mark.parametrize("runs", [3, 100])
def test_each_step_reads_what_it_draws(runs: int) -> None:
    """Its own part of what all steps of a call have drawn; step sizes are for all."""

    def give(runs: int) -> list[Tensor]:
        z, alive, number = examples(torch.float32)(runs)
        draws = torch.Generator().manual_seed(1)
        small, large = (torch.randn(runs, n, generator=draws) for n in (DIM, 3 * DIM))
        return [z, alive, small, large, torch.full((runs, 1), 0.1), number]

    def step(
        z: Tensor, alive: Tensor, a: Tensor, b: Tensor, size: Tensor, _: Tensor
    ) -> list[Tensor]:
        return [z - size * (z * a + b.unflatten(1, (3, DIM)).sum(1)), alive.clone()]

    loop = loop_over_arrays([step], give, 2, 2, runs)
    z, alive, *_, size, number = give(runs)
    draws = torch.Generator().manual_seed(2)
    a, b = (torch.randn(5, runs, n, generator=draws) for n in (DIM, 3 * DIM))
    (found, _), _ = loop([z, alive, a, b, size], 5, 0)
    for k in range(5):
        (one, _), _ = loop([z, alive, a[k], b[k], size], 1, 0)
        z, _ = step(z, alive, a[k], b[k], size, number)
        torch.testing.assert_close(one, z)
    torch.testing.assert_close(found, z)


def test_rows_of_shared_data() -> None:
    """Rows of data that all runs share are found by their numbers."""
    data = torch.arange(40.0).reshape(10, 4)

    def give(runs: int) -> list[Tensor]:
        z, alive, number = examples(torch.float32)(runs)
        rows = (torch.arange(runs * 6) * 7 % 10).reshape(runs, 6)
        return [z, alive, rows, number]

    def step(z: Tensor, alive: Tensor, rows: Tensor, _: Tensor) -> list[Tensor]:
        return [z + data[rows].flatten(1), alive.clone()]

    check(step, give)


@pytest.mark.parametrize(
    "joining",
    [
        lambda z: z - z.mean(0),
        lambda z: z - z.sum(0, keepdim=True),
        lambda z: z @ (z.T @ z),
        lambda z: torch.cat([z[1:], z[:1]]),
        lambda z: z.reshape(-1).view(z.shape[1], -1).T + z,
        lambda z: z + z[0],
        lambda z: z.flip(0),
        lambda z: z + torch.arange(len(z))[:, None],
        lambda z: z / len(z),
        lambda z: z.cumsum(0),
    ],
)
def test_steps_that_join_runs_are_refused(joining: Callable) -> None:
    """What depends on other runs, or on how many there are, becomes no loop."""
    with pytest.raises(UnsupportedError):
        loop_over_arrays(
            [lambda z, alive, _: [joining(z), alive.clone()]],
            examples(torch.float32),
            2,
            0,
            RUNS,
        )


def test_writing_into_views_is_refused() -> None:
    """A step that writes into a part of a tensor becomes no loop."""

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        moved = z * 2
        moved[:, 0].add_(1.0)
        return [moved, alive.clone()]

    with pytest.raises(UnsupportedError):
        loop_over_arrays([step], examples(torch.float32), 2, 0, RUNS)


def test_a_program_that_gives_something_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first step of a program is compared with torch's."""
    load = c_loop.load_programs

    def load_wrong(programs: Any) -> Any:
        (program,) = programs
        return load([program._replace(steps=[*program.steps, *program.steps])])

    monkeypatch.setattr(c_loop, "load_programs", load_wrong)
    with pytest.raises(UnsupportedError, match="differs from torch's"):
        loop_over_arrays(
            [lambda z, alive, _: [z * 0.9, alive.clone()]],
            examples(torch.float32),
            2,
            0,
            RUNS,
        )


class Turn(NamedTuple):
    """What a loop of a test carries: runs that go on, and their numbers."""

    on: Tensor
    x: Tensor


def test_infinite_numbers_must_be_the_same() -> None:
    """As the value of what a run has not measured yet."""

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        far = torch.where(z < 0, -torch.inf, torch.full_like(z, torch.inf))
        return [torch.where(alive[:, None], 0.5 * z, far), alive.clone()]

    check(step, examples(torch.float32))


def test_numbers_must_be_nan_where_those_of_torch_are() -> None:
    """Whether rounding decides them or not."""
    expected = torch.arange(1.0, 1001.0)
    expected[:450] = torch.nan
    assert c_loop._agree(expected.clone(), expected, [expected])
    assert not c_loop._agree(expected.nan_to_num(0.0), expected, [expected])


def test_a_loop_reads_what_was_there_before_it_in_every_turn() -> None:
    """Memory that a turn reads is not used again before the loop has ended."""

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        given = (z * 2).tanh()
        before = given + given.cos()  # stored before the loop, and read first

        def turn(at: Turn) -> Turn:
            x = at.x + before * before
            sums = (x * x + x).sum(1, keepdim=True)  # places that could be the same
            spread = (x - sums * 0.01).sin()
            x = torch.where(at.on[:, None], spread * spread + spread, at.x)
            return Turn(at.on & (x.sum(1) < 40), x)

        with charging(SimpleNamespace(charges={}, run_charges={}, alive=alive)):
            end = repeat(turn, Turn(torch.ones_like(alive), z), 9)
        return [end.x, alive.clone()]

    check(step, examples(torch.float64))


def test_a_state_is_replaced_where_it_lies() -> None:
    """A choice between a new and the old state needs no other place, and no copy."""

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        moved = z - 0.1 * z.sum(1, keepdim=True).sin()
        on = alive & (moved[:, 0] < 100)
        return [torch.where(on[:, None], moved, z), on]

    source = check(step, examples(torch.float32), count=4).source
    assert re.search(r"choose\(.*, (w\d+\[[^]]*\])\);\n\1 = ", source)


@pytest.mark.parametrize("way", ["its own first number", "another state"])
def test_a_state_that_is_read_elsewhere_is_not_replaced_too_early(way: str) -> None:
    """What a new state reads at other places is what the states were before."""

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        read = {"its own first number": z[:, :1], "another state": alive[:, None].int()}
        on = torch.where(z[:, 0] > 0, alive, ~alive)
        return [0.5 * z - read[way], on]

    check(step, examples(torch.float32), count=5)


def test_a_factor_of_one_is_left_out() -> None:
    """It changes nothing, whatever it is multiplied with, and costs a pass."""

    def step(z: Tensor, alive: Tensor, _: Tensor) -> list[Tensor]:
        ones = torch.ones_like(z[:, :1])
        x, y = (1 * z)[:, :8], (z * ones)[:, 8:]
        count = 1 * alive.int() * torch.ones_like(x, dtype=torch.int32)[:, 0]
        return [torch.cat([x - 0.1 * y[:, :8] * 1.0, y + count[:, None]], 1), ~alive]

    source = check(step, examples(torch.float32), count=3).source
    assert "(real)(1))" not in source
    assert "((real)1.0)" not in source
    assert "(1) *" not in source

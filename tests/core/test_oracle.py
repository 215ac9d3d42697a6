"""The oracle's gradients and products against autograd written out, and its charges."""

import pytest
import torch
from torch.autograd.functional import hessian, jacobian

from mmbench.algorithms import DIRECTIONS
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import COUNTED, OracleState
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, SEEDS, start_runs

NET = "four_gaussians[hidden=4,noise=2,batch=5]"
GENERAL = "four_gaussians[hidden=4,noise=2,batch=5,loss=nonsaturating]"


def one_run(oracle: Oracle, z: torch.Tensor, run: int, player: int):
    """One run's loss as a function of its z alone."""

    def loss(mine: torch.Tensor) -> torch.Tensor:
        every = torch.cat((z[:run], mine[None], z[run + 1 :]))
        # The oracle's own game and minibatch; `losses` would cut the graph.
        return oracle._game.losses(*oracle.split(every), oracle._state.sample)[player][
            run
        ]

    return loss


def vectors(oracle: Oracle, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A random vector for each player."""
    random = torch.Generator().manual_seed(3)
    v = torch.randn(z.shape, generator=random, dtype=z.dtype)
    return oracle.split(v)


@pytest.mark.parametrize("game", ["dirac_gan[r1=0.3]", "quadratic", NET])
def test_products_are_blocks_of_the_hessian(game: str) -> None:
    """xy, yx, xx and yy agree with the dense Hessian of f, run by run."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    at, (v_x, v_y) = oracle.linearise(z), vectors(oracle, z)
    products = at.xy(v_y), at.yx(v_x), at.xx(v_x), at.yy(v_y)
    n = oracle.dim_x
    for run in range(len(z)):
        h = hessian(one_run(oracle, z, run, 0), z[run])
        expected = (
            h[:n, n:] @ v_y[run],
            h[n:, :n] @ v_x[run],
            h[:n, :n] @ v_x[run],
            h[n:, n:] @ v_y[run],
        )
        for product, exact in zip(products, expected, strict=True):
            torch.testing.assert_close(product[run], exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("game", ["dirac_gan[loss=nonsaturating]", GENERAL, NET])
def test_reverse_passes_are_rows_of_the_jacobian(game: str) -> None:
    """A pass through a player's gradient is its Jacobian's transpose."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    at, (v_x, v_y) = oracle.linearise(z), vectors(oracle, z)
    n, field = oracle.dim_x, oracle.field(z)
    passes = at.through_x(v_x), at.through_y(v_y)
    for run in range(len(z)):
        for player, v in enumerate((v_x, v_y)):
            loss = one_run(oracle, z, run, player)
            own = slice(0, n) if player == 0 else slice(n, None)
            gradient = jacobian(loss, z[run])
            torch.testing.assert_close(
                field[run, own], gradient[own], rtol=1e-10, atol=1e-13
            )
            expected = hessian(loss, z[run])[own].T @ v[run]
            got = torch.cat([part[run] for part in passes[player]])
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "game", ["bilinear[dim=3]", "dirac_gan[loss=nonsaturating]", NET, GENERAL]
)
def test_gradients_agree(game: str) -> None:
    """`field`, `grad_x`, `grad_y` and `linearise` give the same gradients."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    field, at = oracle.field(z), oracle.linearise(z)
    at_y, payoff = oracle.grad_y_and_payoff(z)
    apart = oracle.join(oracle.grad_x(z), oracle.grad_y(z))
    for other in (
        apart,
        oracle.join(at.grad_x, at.grad_y),
        oracle.join(at.grad_x, at_y),
    ):
        torch.testing.assert_close(other, field, rtol=1e-12, atol=1e-14)
    assert torch.equal(payoff, oracle.payoff(z))
    assert torch.equal(payoff, -oracle.losses(z)[1])


def adam_by_hand(gradient: torch.Tensor, moments: tuple, t: int) -> tuple:
    """Adam as in its paper.

    Entries that no loss has touched yet (padding, dead units) have no direction, and
    the derivative of their root would divide zero by zero.
    """
    m, v = moments
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    touched = v.detach() > 0
    root = (torch.where(touched, v, 1.0) / (1 - 0.999**t)).sqrt()
    d = (m / (1 - 0.9**t)) / (root + 1e-8)
    return torch.where(touched, d, 0.0), (m, v)


@pytest.mark.parametrize(
    "game", ["dirac_gan", "dirac_gan[loss=nonsaturating]", "quadratic", NET]
)
@pytest.mark.parametrize("direction", ["plain", "adam"])
@pytest.mark.parametrize("k", [1, 4])
def test_unroll_differentiates_through_the_answers(
    game: str, direction: str, k: int
) -> None:
    """Its gradient is autograd's of the composition written out, one run at a time."""
    eta, rule = 0.05, DIRECTIONS.build(direction)
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    _, y = oracle.split(z)

    def answer(y: torch.Tensor, gradient: torch.Tensor, state: tuple) -> tuple:
        d, state = rule.step(gradient, state)
        return y - eta * d, state

    unrolled = oracle.unroll(z, k, answer, rule.init(y))
    torch.testing.assert_close(unrolled.first_grad_y, oracle.grad_y(z), rtol=0, atol=0)
    n = oracle.dim_x
    for run in range(len(z)):
        x = z[run, :n].clone().requires_grad_()
        moved = z[run, n:].clone().requires_grad_()
        moments = (torch.zeros_like(moved), torch.zeros_like(moved))
        for t in range(1, k + 1):
            loss = one_run(oracle, z, run, 1)(torch.cat((x, moved)))
            (gradient,) = torch.autograd.grad(loss, moved, create_graph=True)
            d = gradient
            if direction == "adam":
                d, moments = adam_by_hand(gradient, moments, t)
            moved = moved - eta * d
        loss = one_run(oracle, z, run, 0)(torch.cat((x, moved)))
        (expected,) = torch.autograd.grad(loss, x)
        torch.testing.assert_close(
            unrolled.grad_x[run], expected, rtol=1e-7, atol=1e-10
        )


# ---- charges ----


def charged(oracle: Oracle) -> dict[str, list[int]]:
    """What each run has paid, without what costs nothing."""
    return {name: c.tolist() for name, c in oracle._state.counts.items() if c.any()}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("losses", {"values": [1, 1, 1]}),
        ("payoff", {"values": [1, 1, 1]}),
        ("field", {"grad_x": [1, 1, 1], "grad_y": [1, 1, 1]}),
        ("linearise", {"grad_x": [1, 1, 1], "grad_y": [1, 1, 1]}),
        ("grad_x", {"grad_x": [1, 1, 1]}),
        ("grad_y", {"grad_y": [1, 1, 1]}),
        ("grad_y_and_payoff", {"grad_y": [1, 1, 1]}),
        ("project", {}),
    ],
)
def test_each_call_has_its_price(call: str, expected: dict) -> None:
    """One call of each kind, and what every run pays for it."""
    oracle, z = start_runs(TASKS.build("dirac_gan"))
    getattr(oracle, call)(z)
    assert charged(oracle) == expected


@pytest.mark.parametrize("block", ["xy", "yx", "xx", "yy", "through_x", "through_y"])
def test_a_product_costs_one_pass(block: str) -> None:
    """Each product is one Hessian product, for the runs it is asked for."""
    oracle, z = start_runs(TASKS.build("quadratic"))
    at = oracle.linearise(z)
    on = torch.tensor([True, False, True])
    getattr(at, block)(z[:, :1], on=on)
    assert charged(oracle)["hvps"] == [1, 0, 1]


def test_masks_and_death_spare() -> None:
    """Runs outside a mask do not pay; buried ones pay nothing ever after."""
    oracle, z = start_runs(TASKS.build(NET))
    oracle.resample()
    oracle.grad_y(z, on=torch.tensor([True, True, False]))
    oracle._state.end_runs(torch.tensor([False, True, True]))
    oracle.resample()
    oracle.field(z)
    oracle.losses(z, on=torch.tensor([True, True, False]))
    assert {name: oracle._state.counts[name].tolist() for name in COUNTED} == {
        "grad_x": [0, 1, 1],
        "grad_y": [1, 2, 1],
        "hvps": [0, 0, 0],
        "values": [0, 1, 0],
        "samples": [5, 10, 10],
    }


def test_games_without_data_have_no_samples() -> None:
    """Resampling a game without data draws and costs nothing."""
    oracle, _ = start_runs(TASKS.build("bilinear"))
    oracle.resample()
    assert charged(oracle) == {}


def test_dropout_is_off_in_evaluation() -> None:
    """`train=False` takes no masks: dropout=0 and evaluation mode agree."""
    game = TASKS.build("digits01[hidden=8,batch=8,dropout=0.5]").build(PLACEMENT)
    oracle = Oracle(OracleState(game, SEEDS))
    z = start_runs(TASKS.build("digits01[hidden=8,batch=8,dropout=0.5]"))[1]
    oracle.resample()
    evaluated = oracle.losses(z, train=False)
    assert not torch.equal(evaluated[1], oracle.losses(z)[1])
    without = TASKS.build("digits01[hidden=8,batch=8,dropout=0]").build(PLACEMENT)
    expected = without.losses(*oracle.split(z), oracle._state.sample)
    torch.testing.assert_close(evaluated, expected, rtol=1e-12, atol=0)


def test_minibatches_do_not_depend_on_the_number_of_runs() -> None:
    """A seed's minibatches and coins are the same however many runs are beside it."""
    alone, z = start_runs(TASKS.build(NET), (3,))
    among, every = start_runs(TASKS.build(NET), (0, 1, 2, 3, 4))
    for _ in range(40):
        alone.resample()
        among.resample()
        one, many = alone.field(z), among.field(every)
        torch.testing.assert_close(one[0], many[3], rtol=1e-12, atol=1e-14)
        assert torch.equal(alone.uniform()[0], among.uniform()[3])
        assert torch.equal(alone.normal(3)[0], among.normal(3)[3])


def test_scale_takes_a_number_or_a_pair() -> None:
    """A pair scales the parts of x and y."""
    oracle, z = start_runs(TASKS.build("bilinear[dim=2]"))
    assert torch.equal(oracle.scale(0.5, z), 0.5 * z)
    rows = torch.tensor([0.1, 0.1, 3.0, 3.0], dtype=torch.float64)
    assert torch.equal(oracle.scale((0.1, 3.0), z), rows * z)
    assert torch.equal(oracle.row(0.1, 3.0)[0], rows)


def test_numbers_of_an_algorithm_do_not_shift_data() -> None:
    """An algorithm that draws sees the minibatches that one that does not sees."""
    drawing, z = start_runs(TASKS.build(NET))
    still, _ = start_runs(TASKS.build(NET))
    for _ in range(20):
        drawing.uniform()
        drawing.normal(7)
        drawing.resample()
        still.resample()
        assert torch.equal(drawing.field(z), still.field(z))


# ---- what an algorithm can reach ----

# What only the engine may do.
RESERVED = ("advance", "book", "charge", "counts", "draw", "end_runs", "game", "memory")
RESERVED += ("restore", "sample", "seeds", "snapshot")


def reachable(root: object) -> list[object]:
    """All that lies behind the public names of an object, and behind theirs."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in found or isinstance(one, torch.Tensor | str | int | float):
            continue
        found[id(one)] = one
        if isinstance(one, tuple | list):
            waiting += one
        names = [name for name in dir(one) if not name.startswith("_")]
        waiting += [getattr(one, name) for name in names]
    return list(found.values())


@pytest.mark.parametrize("game", ["bilinear[dim=3]", NET])
def test_an_algorithm_reaches_neither_game_nor_charges(game: str) -> None:
    """Neither the oracle nor an answer leads to what only the engine may touch."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    answers = oracle.linearise(z), oracle.unroll(z, 1, lambda y, g, s: (y - g, s), ())
    for one in reachable((oracle, *answers)):
        assert not isinstance(one, OracleState | Game)
        if not isinstance(one, type) and type(one).__module__.startswith("mmbench"):
            assert not set(RESERVED) & set(dir(one)), one


def test_what_an_algorithm_holds_changes_no_charge() -> None:
    """Writing into what the oracle gives out neither ends a run nor frees it."""
    oracle, z = start_runs(TASKS.build("dirac_gan"))
    oracle.alive.zero_()
    oracle.grad_x(z)
    assert charged(oracle) == {"grad_x": [1, 1, 1]}


def test_runs_that_are_not_charged_receive_zeros() -> None:
    """A mask spares a run the charge and the answer."""
    oracle, z = start_runs(TASKS.build("quadratic"))
    on = torch.tensor([True, False, True])
    at = oracle.linearise(z)
    x, y = oracle.split(torch.ones_like(z))
    whole = (
        *(oracle.grad_x(z), *oracle.grad_y_and_payoff(z), *oracle.losses(z)),
        *(at.xy(y), at.yx(x), at.xx(x), at.yy(y), *at.through_x(x), *at.through_y(y)),
    )
    spared = (
        oracle.grad_x(z, on=on),
        *oracle.grad_y_and_payoff(z, on=on),
        *oracle.losses(z, on=on),
        *(at.xy(y, on=on), at.yx(x, on=on), at.xx(x, on=on), at.yy(y, on=on)),
        *(*at.through_x(x, on=on), *at.through_y(y, on=on)),
    )
    for answer, expected in zip(spared, whole, strict=True):
        assert torch.equal(answer[on], expected[on])
        assert not answer[~on].any()
    counts = charged(oracle)
    assert counts.pop("hvps") == [12, 6, 12]
    assert {(one[0] - one[1], one[0] - one[2]) for one in counts.values()} == {(1, 0)}


@pytest.mark.parametrize("rows", [1, 6])
def test_one_point_a_run_is_asked_for(rows: int) -> None:
    """More points than are charged, or fewer, are refused before any charge."""
    oracle, z = start_runs(TASKS.build("bilinear[dim=3]"))
    points = z[:1].expand(rows, -1)
    asked = (oracle.losses, oracle.field, oracle.grad_x, oracle.grad_y)
    for question in (*asked, oracle.payoff, oracle.linearise):
        with pytest.raises(DescriptionError, match="one point of each run"):
            question(points)
    assert charged(oracle) == {}

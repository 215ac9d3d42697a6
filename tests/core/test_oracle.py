"""Gradients and products of the oracle against plain autograd, and its charges."""

import copy
import pickle

import pytest
import torch
from ignoring_games import DIM_X, Ignoring
from torch.autograd import forward_ad
from torch.autograd.functional import hessian, jacobian

from mmbench.algorithms import DIRECTIONS
from mmbench.core.columns import COUNTED
from mmbench.core.errors import DescriptionError
from mmbench.core.game import Game
from mmbench.core.linearisation import Linearisation
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.tasks import TASKS
from mmbench.tasks.finite_sum_bilinear import Terms
from mmbench.testing.tools import PLACEMENT, SEEDS, start_runs

NET = "four_gaussians[hidden=4,noise=2,batch=5]"
GENERAL = "four_gaussians[hidden=4,noise=2,batch=5,loss=nonsaturating]"


def one_run(oracle: Oracle, z: torch.Tensor, run: int, player: int):
    """Return the loss of one run as a function of its z alone."""

    def loss(row: torch.Tensor) -> torch.Tensor:
        points = torch.cat((z[:run], row[None], z[run + 1 :]))
        # The oracle's own game and minibatch; `losses` would cut the graph.
        return oracle._game.losses(*oracle.split(points), oracle._state.sample)[player][
            run
        ]

    return loss


def vectors(oracle: Oracle, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random vector for each player."""
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
    """A reverse pass is a product with the transposed Jacobian of a gradient."""
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
    separate = oracle.join(oracle.grad_x(z), oracle.grad_y(z))
    for gradients in (
        separate,
        oracle.join(at.grad_x, at.grad_y),
        oracle.join(at.grad_x, at_y),
    ):
        torch.testing.assert_close(gradients, field, rtol=1e-12, atol=1e-14)
    assert torch.equal(payoff, oracle.payoff(z))
    assert torch.equal(payoff, -oracle.losses(z)[1])


def adam_by_hand(gradient: torch.Tensor, moments: tuple, t: int) -> tuple:
    """Return a step of Adam, as in its paper.

    Entries whose gradient has always been zero (padding, inactive units) have no
    direction, and the derivative of their root would divide zero by zero.
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
def test_unroll_differentiates_through_the_steps(
    game: str, direction: str, k: int
) -> None:
    """The gradient is that of autograd through all steps, one run at a time."""
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


@pytest.mark.parametrize("loss_y", ["x", "y", "none", "detached", "negative"])
@pytest.mark.parametrize("loss_x", ["x", "y", "none", "detached"])
def test_the_gradient_of_a_loss_in_a_player_that_it_ignores_is_zero(
    loss_x: str, loss_y: str
) -> None:
    """Every question is answered, with zeros, and all products of it are zero."""
    oracle, z = start_runs(Ignoring(loss_x=loss_x, loss_y=loss_y))
    x, y = oracle.split(z)
    grad_x = 2 * x if loss_x == "x" else 0 * x
    grad_y = 2 * y if loss_y == "y" else 0 * y
    if loss_y == "negative":
        grad_y = -2 * y if loss_x == "y" else 0 * y
    field, at = oracle.field(z), oracle.linearise(z)
    assert torch.equal(field, oracle.join(grad_x, grad_y))
    assert torch.equal(oracle.grad_x(z), grad_x)
    assert torch.equal(oracle.grad_y(z), grad_y)
    assert torch.equal(oracle.grad_y_and_payoff(z)[0], grad_y)
    assert torch.equal(oracle.join(at.grad_x, at.grad_y), field)
    for got, expected in zip(at.through_x(x), (grad_x, 0 * y), strict=True):
        assert torch.equal(got, expected)
    for got, expected in zip(at.through_y(y), (0 * x, grad_y), strict=True):
        assert torch.equal(got, expected)
    if oracle.zero_sum:
        assert not at.xy(y).any()
        assert not at.yx(x).any()
        assert torch.equal(at.xx(x), grad_x)
        assert torch.equal(at.yy(y), -grad_y)
    unrolled = oracle.unroll(z, 2, lambda y, g, s: (y - 0.1 * g, s), ())
    assert torch.equal(unrolled.first_grad_y, grad_y)
    assert torch.equal(unrolled.grad_x, grad_x)


@pytest.mark.parametrize("direction", ["plain", "adam", "rmsprop"])
def test_unrolled_steps_of_a_player_that_is_ignored_stay(direction: str) -> None:
    """Moments of zero gradients have finite derivatives, also through x's loss."""
    rule = DIRECTIONS.build(direction)
    oracle, z = start_runs(Ignoring(loss_x="y", loss_y="none"))
    y = oracle.split(z)[1]

    def answer(y: torch.Tensor, gradient: torch.Tensor, state: tuple) -> tuple:
        d, state = rule.step(gradient, state)
        return y - 0.1 * d, state

    unrolled = oracle.unroll(z, 3, answer, rule.init(y))
    assert torch.equal(unrolled.grad_x, torch.zeros(len(z), DIM_X, dtype=z.dtype))


@pytest.mark.parametrize("game", ["quadratic", "dirac_gan"])
@pytest.mark.parametrize(
    "call", ["field", "grad_x", "grad_y", "grad_y_and_payoff", "linearise", "unroll"]
)
def test_gradients_do_not_depend_on_the_callers_mode(call: str, game: str) -> None:
    """A step without graphs, as those of torch's optimisers, gets its gradients."""

    def flat(answer: object) -> list[torch.Tensor]:
        if isinstance(answer, Linearisation):
            v = torch.ones_like(answer.grad_x)
            answer = (answer.grad_x, answer.grad_y, *answer.through_x(v))
        return list(answer) if isinstance(answer, tuple) else [answer]

    def ask() -> list[torch.Tensor]:
        oracle, z = start_runs(TASKS.build(game))
        more = (2, lambda y, d, state: (y - d, state), ()) if call == "unroll" else ()
        return flat(getattr(oracle, call)(z, *more))

    with torch.no_grad():
        answers = ask()
    for answer, expected in zip(answers, ask(), strict=True):
        assert not answer.requires_grad
        assert torch.equal(answer, expected)
        assert expected.any()


GAMES = ["dirac_gan[r1=0.3]", NET, GENERAL, "dirac_gan[loss=nonsaturating]"]


@pytest.mark.parametrize("game", GAMES)
def test_cross_gradients_and_their_products(game: str) -> None:
    """Gradients of each loss in the other player agree with autograd, run by run."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    at, (v_x, v_y) = oracle.linearise(z, cross=True), vectors(oracle, z)
    n = oracle.dim_x
    mixed_x, mixed_y = at.through_cross_x(v_y), at.through_cross_y(v_x)
    for run in range(len(z)):
        of_x, of_y = (one_run(oracle, z, run, player) for player in (0, 1))
        h_x, h_y = hessian(of_x, z[run]), hessian(of_y, z[run])
        pairs = [
            (at.grad_x, jacobian(of_x, z[run])[:n]),
            (at.cross_x, jacobian(of_x, z[run])[n:]),
            (at.cross_y, jacobian(of_y, z[run])[:n]),
            (at.grad_y, jacobian(of_y, z[run])[n:]),
            (mixed_x[0], h_x[:n, n:] @ v_y[run]),
            (mixed_x[1], h_x[n:, n:] @ v_y[run]),
            (mixed_y[0], h_y[:n, :n] @ v_x[run]),
            (mixed_y[1], h_y[n:, :n] @ v_x[run]),
        ]
        for got, exact in pairs:
            torch.testing.assert_close(got[run], exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("game", GAMES)
def test_products_with_the_jacobian_of_the_field(game: str) -> None:
    """`jacobian` is J v and `transposed` is Jᵀ v, with J the Jacobian of F."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    at, v = oracle.linearise(z, cross=True), vectors(oracle, z)
    product, transposed = at.jacobian(*v), at.transposed(*v)
    n = oracle.dim_x
    for run in range(len(z)):
        h_x, h_y = (hessian(one_run(oracle, z, run, p), z[run]) for p in (0, 1))
        j = torch.cat((h_x[:n], h_y[n:]))
        joint = torch.cat([part[run] for part in v])
        for got, exact in ((product, j @ joint), (transposed, j.T @ joint)):
            whole = torch.cat([part[run] for part in got])
            torch.testing.assert_close(whole, exact, rtol=1e-10, atol=1e-12)
    # Four products with J, where no player's gradient is that of the other.
    assert charged(oracle)["hvps"] == [2 + (2 if oracle.zero_sum else 4)] * len(z)


def test_cross_gradients_must_be_asked_for() -> None:
    """A game with two losses has no cross gradients unless they are kept."""
    oracle, z = start_runs(TASKS.build(GENERAL))
    oracle.resample()
    at, (v_x, v_y) = oracle.linearise(z), vectors(oracle, z)
    for ask in (
        lambda: at.cross_x,
        lambda: at.cross_y,
        lambda: at.through_cross_x(v_y),
        lambda: at.through_cross_y(v_x),
        lambda: at.jacobian(v_x, v_y),
    ):
        with pytest.raises(DescriptionError, match=r"linearise\(z, cross=True\)"):
            ask()


@pytest.mark.parametrize(("game", "gradients"), [(NET, 1), (GENERAL, 2)])
def test_cross_gradients_are_charged_where_there_are_two_losses(
    game: str, gradients: int
) -> None:
    """They are the negative of known gradients in zero-sum games, and free there."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    oracle.linearise(z, cross=True)
    counts = charged(oracle)
    assert counts["grad_x"] == counts["grad_y"] == [gradients] * len(z)


# ---- charges ----


def charged(oracle: Oracle) -> dict[str, list[int]]:
    """Return what each run has been charged, without zeros."""
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
def test_charges_of_each_call(call: str, expected: dict) -> None:
    """Each kind of call charges every run."""
    oracle, z = start_runs(TASKS.build("dirac_gan"))
    getattr(oracle, call)(z)
    assert charged(oracle) == expected


@pytest.mark.parametrize("block", ["xy", "yx", "xx", "yy", "through_x", "through_y"])
def test_a_product_is_charged_once(block: str) -> None:
    """Each product charges one Hessian product to the runs that ask for it."""
    oracle, z = start_runs(TASKS.build("quadratic"))
    at = oracle.linearise(z)
    on = torch.tensor([True, False, True])
    getattr(at, block)(z[:, :1], on=on)
    assert charged(oracle)["hvps"] == [1, 0, 1]


def test_masked_and_ended_runs_are_not_charged() -> None:
    """Runs outside a mask, and those that have ended, are not charged."""
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


def test_a_pass_over_all_terms_is_charged_to_those_who_ask() -> None:
    """All terms as samples, and the gradients of as many minibatches as hold them."""
    oracle, z = start_runs(TASKS.build("finite_sum_bilinear[terms=7,batch=3]"))
    on = torch.tensor([True, False, True])
    full = oracle.full_field(z, on=on)
    asked = [3, 0, 3]
    assert charged(oracle) == {"grad_x": asked, "grad_y": asked, "samples": [7, 0, 7]}
    assert not full[~on].any()
    assert torch.equal(full[on], oracle.full_field(z)[on])
    fields = []
    for term in range(7):
        oracle._state.sample = Terms(torch.full((3, 1), term))
        fields.append(oracle.field(z))
    mean = torch.stack(fields).mean(0)
    torch.testing.assert_close(oracle.full_field(z), mean, rtol=1e-12, atol=1e-14)


def test_an_ended_run_is_left_out_of_a_pass() -> None:
    """It is neither charged nor computed."""
    oracle, z = start_runs(TASKS.build("finite_sum_bilinear[terms=7,batch=3]"))
    oracle._state.end_runs(torch.tensor([False, True, True]))
    assert not oracle.full_field(z)[0].any()
    assert charged(oracle)["samples"] == [0, 7, 7]


def test_games_without_data_have_no_samples() -> None:
    """Resampling a game without data draws nothing and charges nothing."""
    oracle, _ = start_runs(TASKS.build("bilinear"))
    oracle.resample()
    assert charged(oracle) == {}


def test_dropout_is_off_in_evaluation() -> None:
    """Losses with `train=False` are those of the game with dropout=0."""
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
    """Minibatches and numbers of a seed do not depend on the other runs."""
    single, z = start_runs(TASKS.build(NET), (3,))
    batch, points = start_runs(TASKS.build(NET), (0, 1, 2, 3, 4))
    for _ in range(40):
        single.resample()
        batch.resample()
        field, fields = single.field(z), batch.field(points)
        torch.testing.assert_close(field[0], fields[3], rtol=1e-12, atol=1e-14)
        assert torch.equal(single.uniform()[0], batch.uniform()[3])
        assert torch.equal(single.normal(3)[0], batch.normal(3)[3])


def test_scale_takes_a_number_or_a_pair() -> None:
    """A pair scales x and y by one number each."""
    oracle, z = start_runs(TASKS.build("bilinear[dim=2]"))
    assert torch.equal(oracle.scale(0.5, z), 0.5 * z)
    rows = torch.tensor([0.1, 0.1, 3.0, 3.0], dtype=torch.float64)
    assert torch.equal(oracle.scale((0.1, 3.0), z), rows * z)
    assert torch.equal(oracle.row(0.1, 3.0)[0], rows)


def test_integers_are_uniform_and_never_reach_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole numbers below a bound, also where a number was rounded up to 1."""
    oracle, _ = start_runs(TASKS.build("bilinear"), tuple(range(2000)))
    counts = torch.bincount(oracle.integers(5), minlength=5)
    assert counts.sum() == 2000
    assert (counts - 400).abs().max() < 5 * 400**0.5
    ones = torch.ones(2000)
    monkeypatch.setattr(OracleState, "draw", lambda *_: ones[:, None])
    assert set(oracle.integers(5).tolist()) == {4}


def test_random_numbers_do_not_change_minibatches() -> None:
    """Minibatches are the same whether an algorithm draws numbers or not."""
    drawing, z = start_runs(TASKS.build(NET))
    other, _ = start_runs(TASKS.build(NET))
    for _ in range(20):
        drawing.uniform()
        drawing.normal(7)
        drawing.resample()
        other.resample()
        assert torch.equal(drawing.field(z), other.field(z))


# ---- what an algorithm can reach ----

# Names for the engine alone.
RESERVED = ("advance", "book", "charge", "counts", "draw", "end_runs", "game", "memory")
RESERVED += ("restore", "sample", "seeds", "snapshot")


def reachable(root: object) -> list[object]:
    """Return all objects that public attributes lead to from an object."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in found or isinstance(item, torch.Tensor | str | int | float):
            continue
        found[id(item)] = item
        if isinstance(item, tuple | list):
            waiting += item
        names = [name for name in dir(item) if not name.startswith("_")]
        waiting += [getattr(item, name) for name in names]
    return list(found.values())


@pytest.mark.parametrize("game", ["bilinear[dim=3]", NET])
def test_an_algorithm_reaches_neither_game_nor_charges(game: str) -> None:
    """Public names of the oracle and its answers lead to nothing of the engine."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    answers = oracle.linearise(z), oracle.unroll(z, 1, lambda y, g, s: (y - g, s), ())
    for item in reachable((oracle, *answers)):
        assert not isinstance(item, OracleState | Game)
        if not isinstance(item, type) and type(item).__module__.startswith("mmbench"):
            assert not set(RESERVED) & set(dir(item)), item


def test_writing_to_a_mask_changes_no_charge() -> None:
    """Writing to the mask that the oracle returns does not end a run."""
    oracle, z = start_runs(TASKS.build("dirac_gan"))
    oracle.alive.zero_()
    oracle.grad_x(z)
    assert charged(oracle) == {"grad_x": [1, 1, 1]}


def test_runs_that_are_not_charged_receive_zeros() -> None:
    """A run outside a mask is not charged and receives zeros."""
    oracle, z = start_runs(TASKS.build("quadratic"))
    on = torch.tensor([True, False, True])
    at = oracle.linearise(z)
    x, y = oracle.split(torch.ones_like(z))
    unmasked = (
        *(oracle.grad_x(z), *oracle.grad_y_and_payoff(z), *oracle.losses(z)),
        oracle.field(z),
        *(at.xy(y), at.yx(x), at.xx(x), at.yy(y), *at.through_x(x), *at.through_y(y)),
    )
    masked = (
        oracle.grad_x(z, on=on),
        *oracle.grad_y_and_payoff(z, on=on),
        *oracle.losses(z, on=on),
        oracle.field(z, on=on),
        *(at.xy(y, on=on), at.yx(x, on=on), at.xx(x, on=on), at.yy(y, on=on)),
        *(*at.through_x(x, on=on), *at.through_y(y, on=on)),
    )
    for answer, expected in zip(masked, unmasked, strict=True):
        assert torch.equal(answer[on], expected[on])
        assert not answer[~on].any()
    counts = charged(oracle)
    assert counts.pop("hvps") == [12, 6, 12]
    assert {name: (a - b, a - c) for name, (a, b, c) in counts.items()} == {
        "grad_x": (2, 0),
        "grad_y": (2, 0),
        "values": (1, 0),
    }


@pytest.mark.parametrize("game", [NET, GENERAL])
def test_a_linearisation_of_some_runs_tells_nothing_of_others(game: str) -> None:
    """Runs outside its mask receive zeros from all that it answers, and pay nothing."""
    oracle, z = start_runs(TASKS.build(game))
    oracle.resample()
    on = torch.tensor([True, False, True])
    v_x, v_y = vectors(oracle, z)
    kept, all_runs = (oracle.linearise(z, cross=True, on=m) for m in (on, None))
    spent = charged(oracle)
    assert spent["grad_x"] == spent["grad_y"]
    assert spent["grad_x"][0] == 2 * spent["grad_x"][1]

    def answers(at: Linearisation) -> tuple[torch.Tensor, ...]:
        return (
            *(at.grad_x, at.grad_y, at.cross_x, at.cross_y),
            *(*at.through_x(v_x), *at.through_y(v_y), *at.jacobian(v_x, v_y)),
        )

    for answer, expected in zip(answers(kept), answers(all_runs), strict=True):
        assert torch.equal(answer[on], expected[on])
        assert not answer[~on].any()
    first, second, _ = charged(oracle)["hvps"]
    assert first == 2 * second


@pytest.mark.parametrize("rows", [1, 6])
def test_there_must_be_one_point_for_each_run(rows: int) -> None:
    """More or fewer points are refused before any charge."""
    oracle, z = start_runs(TASKS.build("bilinear[dim=3]"))
    points = z[:1].expand(rows, -1)
    first_order = (oracle.losses, oracle.field, oracle.grad_x, oracle.grad_y)
    for question in (*first_order, oracle.payoff, oracle.linearise):
        with pytest.raises(DescriptionError, match="one point of each run"):
            question(points)
    assert charged(oracle) == {}


def test_only_whole_numbers_of_steps_are_unrolled() -> None:
    """Negative numbers, which would refund charges, and other numbers are refused."""

    class Free(int):
        def __radd__(self, charges: int) -> int:
            return charges

    oracle, z = start_runs(TASKS.build("bilinear"))
    for steps in (-2, 0, True, Free(5)):
        with pytest.raises(DescriptionError, match="whole number of steps"):
            oracle.unroll(z, steps, lambda y, gradient, state: (y, state), None)
    assert charged(oracle) == {}


@pytest.mark.parametrize(
    "on", [torch.full((3,), 2, dtype=torch.uint8), torch.tensor(True)]
)
def test_masks_are_boolean_with_one_value_for_each_run(on: torch.Tensor) -> None:
    """A mask that would charge nothing and spare nothing is refused."""
    oracle, _ = start_runs(TASKS.build("bilinear"))
    with pytest.raises(DescriptionError, match="must be boolean of shape"):
        oracle._state._charged(on)


def test_oracles_and_linearisations_cannot_be_copied() -> None:
    """A copy would have charges of its own."""
    oracle, z = start_runs(TASKS.build("bilinear"))
    for original in (oracle, oracle.linearise(z)):
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied"):
                make(original)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(oracle.field)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_no_transform_gets_more_from_an_answer_than_is_charged() -> None:
    """Batching, forward-mode derivatives and tangents do not pass the oracle."""
    oracle, z = start_runs(TASKS.build("bilinear[dim=2]"))
    at = oracle.linearise(z)
    y = oracle.split(z)[1]
    before = charged(oracle)
    with pytest.raises(RuntimeError, match="requires_grad"):
        torch.func.jacfwd(lambda point: oracle.payoff(point).sum())(z)
    with pytest.raises(RuntimeError, match="requires_grad"):
        torch.vmap(oracle.losses)(z.expand(5, *z.shape))
    with pytest.raises(RuntimeError, match="requires_grad"):
        torch.vmap(at.xy)(y.expand(5, *y.shape))
    assert charged(oracle) == before
    with forward_ad.dual_level():
        answer = oracle.grad_x(forward_ad.make_dual(z, torch.ones_like(z)))
        assert forward_ad.unpack_dual(answer).tangent is None


def test_drawn_numbers_share_no_memory_with_the_stream() -> None:
    """What an algorithm receives does not lead to numbers that it will draw later."""
    oracle, _ = start_runs(TASKS.build("bilinear"))
    for drawn in (oracle.uniform(), oracle.normal(2)):
        assert drawn.untyped_storage().nbytes() == drawn.nbytes

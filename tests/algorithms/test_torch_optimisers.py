"""Optimisers of torch as algorithms: equal to mmbench's own, or to a plain loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.optim import (
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    NAdam,
    Optimizer,
    RMSprop,
    SparseAdam,
)

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm
from mmbench.cli import main
from mmbench.core.counted_loss import CountedLoss
from mmbench.core.errors import DescriptionError
from mmbench.core.oracle import Oracle
from mmbench.store.folder import Store
from mmbench.tasks import TASKS
from mmbench.testing.algorithms import (
    check_cost,
    check_independence,
    check_replay,
    check_step,
)
from mmbench.testing.tools import SEEDS, run_short_cell, start_oracle_state

Parameters = list[Tensor]
STEPS = 6
GAMES = (
    "bilinear[dim=5,smallest=0.5]",
    "icr_projection",
    "four_gaussians[hidden=8,noise=4,batch=16]",
)


def pair(kind: Any, at_x: float = 0.02, at_y: float = 0.01, **options: Any) -> Any:
    """Return a factory of optimisers of one kind, with a step size for each player."""
    return lambda x, y: (kind(x, lr=at_x, **options), kind(y, lr=at_y, **options))


class Competitive:
    """CGD for x, written as an optimiser in torch would be; it solves directly.

    Args:
        x: parameters of the first player.
        y: parameters of the second player.
    """

    def __init__(self, x: Parameters, y: Parameters) -> None:
        self.x, self.y = x, y

    def step(self, loss: Tensor, size: float = 0.1) -> None:
        """Step to the equilibrium of the local game."""
        (x,), (y,) = self.x, self.y
        g_x, g_y = torch.autograd.grad(loss, (x, y), create_graph=True)
        unit = torch.eye(len(x)).to(x)
        rows = [torch.autograd.grad(g_x, y, one, True)[0] for one in unit]
        mixed = torch.stack(rows)
        system = unit + size * size * mixed @ mixed.T
        dx = -size * torch.linalg.solve(system, g_x + size * mixed @ g_y)
        dy = size * (g_y + mixed.T @ dx)
        x.data += dx.detach()
        y.data += dy.detach()


class Heavy(Competitive):
    """Descent and ascent with momentum, in its own dict."""

    def __init__(self, x: Parameters, y: Parameters) -> None:
        super().__init__(x, y)
        self.state: dict[str, Any] = {"sum": None, "steps": 0}

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state, and say so."""
        print("loaded", state)
        self.state = state

    def step(self, loss: Tensor) -> None:
        """Step along the sum of past gradients."""
        loss.backward()
        given = torch.cat((self.x[0].grad, -self.y[0].grad))
        before = self.state["sum"]
        total = given if before is None else given + 0.5 * before
        self.state = {"sum": total, "steps": self.state["steps"] + 1}
        move = 0.1 * total
        self.x[0].data -= move[: len(self.x[0])]
        self.y[0].data -= move[len(self.x[0]) :]
        self.x[0].grad = self.y[0].grad = None


def iterates(algorithm: Algorithm, game: str, steps: int = STEPS) -> Tensor:
    """Return the last iterates of three seeds."""
    state, z = start_oracle_state(TASKS.build(game))
    oracle = Oracle(state)
    carried = algorithm.init(oracle, z)
    for _ in range(steps):
        state.resample()
        z, carried = algorithm.step(oracle, z, carried)
    return z


# ---- the same methods ----


@pytest.mark.parametrize(
    "game",
    [GAMES[0], *(pytest.param(game, marks=pytest.mark.slow) for game in GAMES[1:])],
)
@pytest.mark.parametrize(
    ("factory", "own"),
    [
        (pair(SGD), "gda[step_size=(0.02,0.01)]"),
        (
            pair(SGD, momentum=0.5),
            "gda[step_size=(0.02,0.01),direction=momentum[beta=0.5]]",
        ),
        (pair(Adam), "gda[step_size=(0.02,0.01),direction=adam]"),
        (pair(AdamW, weight_decay=0), "gda[step_size=(0.02,0.01),direction=adam]"),
        (pair(RMSprop), "gda[step_size=(0.02,0.01),direction=rmsprop]"),
    ],
    ids=["sgd", "momentum", "adam", "adamw", "rmsprop"],
)
def test_pairs_are_our_own_methods(factory: Any, own: str, game: str) -> None:
    """Optimisers of torch make the steps of gda, to rounding."""
    torch.testing.assert_close(
        iterates(mmbench.torch_algorithm(factory), game),
        iterates(ALGORITHMS.build(own), game),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize("first", ["x", "y"])
def test_players_may_take_turns(first: Any) -> None:
    """The second player sees the first one's move, on a fresh minibatch."""
    algorithm = mmbench.torch_algorithm(pair(Adam), updates=f"{first}_first")
    for game in GAMES[::2]:
        own = f"alternating_gda[step_size=(0.02,0.01),direction=adam,first={first}]"
        torch.testing.assert_close(
            iterates(algorithm, game),
            iterates(ALGORITHMS.build(own), game),
            rtol=1e-9,
            atol=1e-12,
        )
        check_cost(algorithm, TASKS.build(game))


@pytest.mark.parametrize("kind", [AdamW, NAdam, Adagrad, Adafactor])
def test_pairs_make_the_steps_of_a_plain_loop(kind: type[Optimizer]) -> None:
    """Each run's iterates are bit for bit those of a loop in torch of this run."""
    state, z = start_oracle_state(TASKS.build(GAMES[0]))
    found = iterates(mmbench.torch_algorithm(pair(kind)), GAMES[0])
    for run, start in enumerate(z):
        x, y = (part.clone().requires_grad_() for part in start.split(5))
        optimisers = pair(kind)([x], [y])
        for _ in range(STEPS):
            point = torch.cat((x, y)).detach().expand(3, -1)
            x.grad, y.grad = (
                part[run].clone() for part in Oracle(state).field(point).split(5, 1)
            )
            for optimiser in optimisers:
                optimiser.step()
        assert torch.equal(found[run], torch.cat((x, y)))


@pytest.mark.parametrize("game", [GAMES[0], "quadratic"])
def test_an_object_may_differentiate_the_loss(game: str) -> None:
    """CGD as an object with step(loss) is our own; its gradients and products count."""
    algorithm = mmbench.torch_algorithm(Competitive)
    own = ALGORITHMS.build("cgd[tolerance=1e-14]")
    torch.testing.assert_close(
        iterates(algorithm, game), iterates(own, game), rtol=1e-9, atol=1e-12
    )
    assert str(algorithm.cost) == "1 ∇x + 1 ∇y + 1 HVP per inner iteration"
    state, z = start_oracle_state(TASKS.build(game))
    carried = algorithm.init(Oracle(state), z)
    algorithm.step(Oracle(state), z, carried)
    dim_x = Oracle(state).dim_x
    assert [state.counts[name].tolist() for name in ("grad_x", "grad_y", "hvps")] == [
        [1] * 3,
        [1] * 3,
        [dim_x] * 3,
    ]


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize(
    ("name", "options", "own", "more"),
    [
        # A fresh object: its warm start caps the iterations of its solver.
        ("BCGD", {"lr_max": 0.1, "lr_min": 0.1, "solve_x": True}, "cgd", 1),
        ("ACGD", {"lr_max": 0.01, "lr_min": 0.01}, "acgd[step_size=0.01]", 1),
    ],
)
@pytest.mark.slow
def test_the_package_of_the_authors_is_our_own(
    name: str, options: Any, own: str, more: int, game: str
) -> None:
    """BCGD and ACGD of the package CGDs make our steps, with one product more."""
    kind = getattr(pytest.importorskip("CGDs"), name)

    class Fresh:
        def __init__(self, x: Parameters, y: Parameters) -> None:
            self.x, self.y = x, y

        def step(self, loss: Tensor) -> None:
            kind(self.y, self.x, **options).step(loss)

    def factory(x: Parameters, y: Parameters) -> Any:
        return Fresh(x, y) if name == "BCGD" else kind(y, x, **options)

    algorithm = mmbench.torch_algorithm(factory)
    cells = [
        run_short_cell(one, TASKS.build(game), SEEDS, 10)
        for one in (algorithm, ALGORITHMS.build(own))
    ]
    assert not cells[0].reason
    for column, found in cells[0].columns.items():
        assert found == pytest.approx(cells[1].columns[column], rel=1e-9), column
    products = [cell.counts["hvps"][-1] for cell in cells]
    first = more if name == "BCGD" else more - 2  # no warm start has a product
    assert (products[0] - products[1] == 9 * more + first).all()


# ---- the contract ----


@pytest.mark.parametrize("factory", [pair(Adam), pair(Adafactor), Heavy])
def test_steps_keep_the_contract(factory: Any) -> None:
    """A step changes nothing in place, and uses what is declared."""
    algorithm, task = mmbench.torch_algorithm(factory), TASKS.build("bilinear")
    check_step(algorithm, task)
    check_cost(algorithm, task)


@pytest.mark.parametrize("factory", [pair(Adam), pair(Adafactor), Heavy])
@pytest.mark.slow
def test_runs_can_be_interrupted_and_are_independent(factory: Any) -> None:
    """Together, alone, resumed and replayed, a run has the same numbers."""
    algorithm, task = mmbench.torch_algorithm(factory), TASKS.build("bilinear")
    check_independence(algorithm, task, steps=4)
    check_replay(algorithm, task, steps=4)


def test_runs_that_only_fill_a_batch_are_computed_once() -> None:
    """What repeats the last run moves with it, without an optimiser of its own."""
    made = []

    def factory(x: Parameters, y: Parameters) -> Any:
        made.append(x[0].shape)
        return pair(Adafactor)(x, y)

    algorithm = mmbench.torch_algorithm(factory)
    state, z = start_oracle_state(TASKS.build("bilinear"), (3, 4, 4, 4))
    carried = algorithm.init(Oracle(state), z)
    made.clear()
    z, carried = algorithm.step(Oracle(state), z, carried)
    assert len(made) == 2
    assert torch.equal(z[1:], z[1].expand(3, -1))
    assert not torch.equal(z[0], z[1])
    assert carried.started.all()


def test_a_run_that_an_object_refuses_ends_by_itself() -> None:
    """Where an object raises at an infinite loss or gradient, only this run ends."""

    class Careful(Heavy):
        def step(self, loss: Tensor) -> None:
            if not loss.isfinite():
                raise ValueError("the loss is infinite")
            super().step(loss)

    algorithm = mmbench.torch_algorithm(Careful)
    state, z = start_oracle_state(TASKS.build("quadratic"))
    z[1] = 1e200
    moved, _ = algorithm.step(Oracle(state), z, algorithm.init(Oracle(state), z))
    assert moved.isnan().any(dim=1).tolist() == [False, True, False]


def test_an_error_of_an_object_is_no_end_of_a_run() -> None:
    """What an object raises at finite numbers is raised."""

    class Faulty(Heavy):
        def step(self, loss: Tensor) -> None:
            if self.x[0].abs().max().item() > 1e3:
                raise ValueError("too large for me")
            super().step(loss)

    algorithm = mmbench.torch_algorithm(Faulty)
    state, z = start_oracle_state(TASKS.build("quadratic"))
    with pytest.raises(ValueError, match="too large for me"):
        algorithm.step(Oracle(state), 1e4 + z, algorithm.init(Oracle(state), z))


def test_passes_are_counted_by_where_they_start() -> None:
    """From the loss they are gradients of the players asked for, else products."""
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    counted = CountedLoss((x.exp() * y).sum().exp(), x, y)
    with counted:
        (g_x,) = torch.autograd.grad(-counted.loss, x, create_graph=True)
        g = torch.autograd.grad(counted.loss, (x, y), create_graph=True)
        counted.loss.backward(retain_graph=True)
        assert counted.counts == {"grad_x": 3, "grad_y": 2, "hvps": 0}
        torch.autograd.grad(g, (x, y), g, retain_graph=True)
        torch.autograd.backward(g_x, grad_tensors=g_x, inputs=[y])
    assert counted.counts == {"grad_x": 3, "grad_y": 2, "hvps": 3}


# ---- what is refused ----


def noisy(x: Parameters, y: Parameters) -> Any:
    """Return an object that draws numbers of its own."""

    class Noisy(Competitive):
        def step(self, loss: Tensor) -> None:
            self.x[0].data += torch.randn_like(self.x[0])

    return Noisy(x, y)


def forgetful(x: Parameters, y: Parameters) -> Any:
    """Return an object that hides what it remembers."""

    class Forgetful(Heavy):
        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    return Forgetful(x, y)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (pair(torch.optim.LBFGS), r"without a closure.*LBFGS.step\(\) missing"),
        (pair(SparseAdam), "without a closure.*dense gradients"),
        (noisy, "must draw no random numbers"),
        (forgetful, "have all that they remember in their state_dict"),
        (lambda x, y: Adam([*x, *y]), "for x and for y, or one object.*got Adam"),
        (lambda x, y: (Adam(x), None), "got Adam and NoneType"),
        (lambda x, y: 3, "got int"),
        (Adam, "TypeError"),
        (Adam([torch.ones(1)]), "must be a function of the parameters of x and of y"),
    ],
)
def test_what_cannot_be_an_algorithm_is_refused(
    factory: Callable[..., Any], message: str
) -> None:
    """A sentence says why, before anything runs."""
    state = torch.get_rng_state()
    with pytest.raises(DescriptionError, match=message):
        mmbench.torch_algorithm(factory)
    assert torch.equal(torch.get_rng_state(), state)


def test_turns_need_an_optimiser_for_each_player() -> None:
    """One object moves both players at once, and words for turns are known ones."""
    with pytest.raises(DescriptionError, match="where one object moves both"):
        mmbench.torch_algorithm(Heavy, updates="x_first")
    with pytest.raises(DescriptionError, match="'simultaneous', 'x_first' or"):
        mmbench.torch_algorithm(pair(Adam), updates="y")


def test_a_changing_state_is_refused() -> None:
    """A state whose entries change after the first step could not be resumed."""

    class Growing(Heavy):
        def step(self, loss: Tensor) -> None:
            super().step(loss)
            self.state[f"step {self.state['steps']}"] = 1

    with pytest.raises(DescriptionError, match="must keep entries, dtypes, shapes"):
        mmbench.torch_algorithm(Growing)


def test_algorithms_are_named_by_their_factory() -> None:
    """The name is that of the function, of its optimisers, or the one given."""
    assert str(mmbench.torch_algorithm(noisy_free)) == "noisy_free"
    assert str(mmbench.torch_algorithm(pair(Adam))) == "adam"
    assert str(mmbench.torch_algorithm(pair(Adam), name="mine")) == "mine"


def noisy_free(x: Parameters, y: Parameters) -> tuple[Optimizer, Optimizer]:
    """Return two optimisers."""
    return Adam(x), SGD(y, lr=0.1)


# ---- as a variable of a file ----

MINE = """
import torch

import mmbench


class Heavy:
    def __init__(self, x, y):
        self.x, self.y, self.kept = x[0], y[0], {"sum": None}

    def state_dict(self):
        return self.kept

    def load_state_dict(self, kept):
        self.kept = kept

    def step(self, loss):
        given = torch.cat(torch.autograd.grad(loss, (self.x, self.y)))
        before = self.kept["sum"]
        self.kept = {"sum": given if before is None else 0.5 * before + given}
        self.x.data -= RATE * self.kept["sum"][: len(self.x)]
        self.y.data += RATE * self.kept["sum"][len(self.x) :]


RATE = 0.1
heavy = mmbench.torch_algorithm(Heavy)
adam = mmbench.torch_algorithm(
    lambda x, y: (torch.optim.Adam(x, RATE), torch.optim.Adam(y, RATE))
)
"""


def run_cli(line: str) -> None:
    """Run a command line, which must succeed."""
    result = CliRunner().invoke(main, line.split())
    assert result.exit_code == 0, result.output


def test_a_variable_of_a_file_is_an_algorithm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs by its reference, a replay is equal, and its key holds what it uses."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    grid = "-t bilinear -a mine.py:heavy -a mine.py:adam --seeds 2 --steps 4"
    run_cli(f"run {grid}")
    store = Store(tmp_path / "mmbench-results")
    keys = set(store)
    assert len(keys) == 2
    for key in keys:
        run_cli(f"replay {key} --outside mine.py:heavy --outside mine.py:adam")
    (tmp_path / "mine.py").write_text(MINE.replace("RATE = 0.1", "RATE = 0.2"))
    run_cli(f"run {grid}")
    assert len(set(store) - keys) == 2

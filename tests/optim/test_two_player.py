"""Optimisers of two players: the iterates of the engine, on parameters of modules."""

import gc
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.algorithms.base import Algorithm, needs_of
from mmbench.core.capability import Capability
from mmbench.core.cost import Cost
from mmbench.core.domains import Positive
from mmbench.core.errors import DescriptionError, MisfitError
from mmbench.core.game import Game
from mmbench.core.oracle import Oracle
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.tasks import TASKS

STEPS = 6
SEED = 5  # of the methods' own random numbers
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "own_loop.py"


def in_engine(game: Game, method: Algorithm, z: Tensor) -> tuple[Tensor, Any]:
    """Return the iterates after the steps of an oracle, and what they cost."""
    charges = OracleState(game, (SEED,))
    oracle = Oracle(charges)
    state = method.init(oracle, z)
    for _ in range(STEPS):
        with torch.no_grad():
            z, state = method.step(oracle, z, state)
    return z[0], {name: int(each[0]) for name, each in charges.counts.items()}


def fitting() -> list[Any]:
    """Return each game and the methods that need no more than a closure gives."""
    found: list[Any] = []
    for task in ("quadratic", "polar"):
        gives = TASKS.build(task).gives & {Capability.ZERO_SUM}
        found += [
            pytest.param(task, name, marks=pytest.mark.slow)
            if name == "accept_reject_search"  # hundreds of ascents in a step
            else (task, name)
            for name in ALGORITHMS
            if needs_of(ALGORITHMS.build(name)) <= gives
        ]
    return found


@pytest.mark.parametrize(("task", "name"), fitting())
def test_iterates_and_costs_are_those_of_the_engine(task: str, name: str) -> None:
    """Of every method that can, on a zero-sum and on a general-sum game."""
    described, method = TASKS.build(task), ALGORITHMS.build(name)
    game = described.build(Placement(dtype=torch.float64))
    start = described.start(game, torch.Generator().manual_seed(3))
    x, y = map(nn.Parameter, start.clone().split((game.dim_x, game.dim_y)))

    def closure() -> Any:
        loss_x, loss_y = game.losses(x[None], y[None], None)
        return loss_x[0] if game.zero_sum else (loss_x[0], loss_y[0])

    opt = mmbench.optim.TwoPlayer(method, [x], [y], seed=SEED)
    for _ in range(STEPS):
        opt.step(closure)
    expected, counts = in_engine(game, method, start[None])
    found = torch.cat((x, y)).detach()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, equal_nan=True)
    assert opt.counts == counts


def small_gan() -> tuple[nn.Module, nn.Module]:
    """Return two small networks, the same each time."""
    torch.manual_seed(1)
    generator = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    discriminator = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    return generator.double(), discriminator.double()


def payoff_of(generator: nn.Module, discriminator: nn.Module) -> Any:
    """Return a closure that draws its noise and data itself."""

    def payoff() -> Tensor:
        noise, real = torch.randn(4, 3).double(), torch.randn(4, 2).double()
        fake = discriminator(generator(noise))
        return -softplus(-discriminator(real)).mean() - softplus(fake).mean()

    return payoff


def values(*modules: nn.Module) -> Tensor:
    """Return all parameters."""
    return torch.cat([p.detach().reshape(-1) for m in modules for p in m.parameters()])


def test_a_step_of_gda_is_that_of_two_optimisers_of_torch() -> None:
    """With Adam for both players, on the same random numbers."""
    ours, theirs = small_gan(), small_gan()
    direction = mmbench.Adam(beta1=0.5)
    opt = mmbench.optim.GDA(*ours, step_size=(0.1, 0.01), direction=direction)
    adam = [
        torch.optim.Adam(player.parameters(), lr=rate, betas=(0.5, 0.999))
        for player, rate in zip(theirs, (0.1, 0.01), strict=True)
    ]
    torch.manual_seed(7)
    for _ in range(STEPS):
        opt.step(payoff_of(*ours))
    torch.manual_seed(7)
    for _ in range(STEPS):
        payoff = payoff_of(*theirs)()
        for player, sign in zip(theirs, (1, -1), strict=True):
            parameters = list(player.parameters())
            found = torch.autograd.grad(payoff, parameters, retain_graph=True)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = sign * gradient
        for each in adam:
            each.step()
    torch.testing.assert_close(values(*ours), values(*theirs), rtol=1e-9, atol=1e-12)


def test_a_closure_draws_the_same_until_a_method_asks_for_more() -> None:
    """Extragradient looks ahead on one minibatch, or on two."""
    x, y = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    drawn: list[float] = []

    def closure() -> Tensor:
        drawn.append(float(torch.rand(())))
        return (x * y).sum()

    torch.manual_seed(0)
    expected = torch.rand(3).tolist()
    torch.manual_seed(0)
    opt = mmbench.optim.Extragradient([x], [y])
    opt.step(closure)
    opt.step(closure)
    # The first evaluation tells that the game is zero-sum.
    assert drawn == [expected[0]] * 3 + [expected[1]] * 2
    drawn.clear()
    torch.manual_seed(0)
    fresh = mmbench.optim.Extragradient([x], [y], minibatch="fresh")
    fresh.step(closure)
    assert drawn == [expected[0]] * 2 + [expected[1]]
    assert float(torch.rand(())) == expected[2]


@pytest.mark.parametrize(
    "spec", ["cgd", "lookahead[base=acgd,k=2]", "accept_reject[k=2]"]
)
def test_a_saved_state_goes_on_the_same(spec: str, tmp_path: Path) -> None:
    """Bit by bit, through a file that torch reads without pickled code."""
    whole, parts = small_gan(), small_gan()
    opt = mmbench.optim.TwoPlayer(spec, *whole)
    torch.manual_seed(7)
    for _ in range(STEPS):
        opt.step(payoff_of(*whole))
    first = mmbench.optim.TwoPlayer(spec, *parts)
    torch.manual_seed(7)
    for _ in range(3):
        first.step(payoff_of(*parts))
    torch.save(first.state_dict(), tmp_path / "state")
    random = torch.get_rng_state()
    second = mmbench.optim.TwoPlayer(spec, *parts)
    second.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    torch.set_rng_state(random)
    for _ in range(3, STEPS):
        second.step(payoff_of(*parts))
    assert torch.equal(values(*whole), values(*parts))
    assert second.counts == opt.counts
    with pytest.raises(DescriptionError, match="must be of gda; got"):
        mmbench.optim.GDA(*parts).load_state_dict(first.state_dict())


def test_schedulers_of_torch_change_the_step_sizes() -> None:
    """As the same rates by hand do, for both players or each by itself."""
    schedulers = torch.optim.lr_scheduler
    ours, theirs = small_gan(), small_gan()
    opt = mmbench.optim.CGD(*ours, step_size=(0.1, 0.4))
    rates = schedulers.LambdaLR(opt, [lambda t: 0.5**t, lambda t: 1 / (1 + t)])
    torch.manual_seed(7)
    for _ in range(3):
        opt.step(payoff_of(*ours))
        rates.step()
    torch.manual_seed(7)
    for t in range(3):
        pair = 0.1 * 0.5**t, 0.4 * (1 / (1 + t))
        mmbench.optim.CGD(*theirs, step_size=pair).step(payoff_of(*theirs))
    assert torch.equal(values(*ours), values(*theirs))
    shared = mmbench.optim.TwoPlayer(ZeroSum(), *ours)
    halved = schedulers.StepLR(shared, 1, gamma=0.5)
    shared.step(payoff_of(*ours))
    halved.step()
    assert shared._sized().step_size == 0.05
    shared.param_groups[1]["lr"] = 0.2
    with pytest.raises(MisfitError, match="must allow a pair"):
        shared.step(payoff_of(*ours))
    without = mmbench.optim.CurvatureEG(*ours)
    without.param_groups[0]["lr"] = 0.2
    with pytest.raises(MisfitError, match="must have a step_size"):
        without.step(payoff_of(*ours))


class Tied(nn.Module):
    """An embedding that is its own output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 4)
        self.out = nn.Linear(4, 3, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.embedding(torch.arange(3)) * x.mean()).mean()


class Recurrent(nn.Module):
    """An LSTM, whose weights are passed as a list."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x.reshape(-1, 1, 2))[0].square().mean()


MODULES = {
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 3, 2)
    ),
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)),
    "dropout": lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)),
    "tied": Tied,
    "recurrent": Recurrent,
}


@pytest.mark.parametrize("name", MODULES)
def test_gradients_reach_every_kind_of_module(name: str) -> None:
    """A step of GDA is the gradient that torch gives of the module itself."""
    torch.manual_seed(0)
    module, y = MODULES[name](), nn.Parameter(torch.ones(()))
    inputs = torch.randn(5, 4)
    before = [parameter.detach().clone() for parameter in module.parameters()]

    def closure() -> Tensor:
        return (module(inputs).square().mean() + 1) * y

    buffers = {k: v.clone() for k, v in module.named_buffers()}
    torch.manual_seed(2)
    expected = torch.autograd.grad(closure(), list(module.parameters()))
    moved = {k: v.clone() for k, v in module.named_buffers()}
    module.load_state_dict(buffers, strict=False)
    torch.manual_seed(2)
    opt = mmbench.optim.GDA(module, [y], step_size=0.5)
    opt.step(closure)
    for parameter, old, gradient in zip(
        module.parameters(), before, expected, strict=True
    ):
        torch.testing.assert_close(parameter.detach(), old - 0.5 * gradient)
        assert parameter.requires_grad
    # Buffers have moved as in one evaluation, however many there were.
    for key, buffer in module.named_buffers():
        torch.testing.assert_close(buffer, moved[key])
    mmbench.optim.CGD(module, [y], step_size=0.01).step(closure)  # second order


def test_values_without_dropout() -> None:
    """Accept-reject tests proposals without it, where it is given the module."""
    torch.manual_seed(0)
    module, y = (
        nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)),
        nn.Parameter(torch.ones(1)),
    )
    modes: list[bool] = []

    def closure() -> Tensor:
        modes.append(module[1].training)
        return module(torch.ones(2, 4)).mean() * y.sum()

    mmbench.optim.AcceptReject(module, [y], k=1).step(closure)
    assert modes == [True, True, True, False]
    assert module[1].training


def test_many_steps_keep_no_graphs() -> None:
    """The number of tensors does not grow."""
    players = small_gan()
    opt = mmbench.optim.ACGD(*players)
    sizes = []
    for _ in range(3):
        for _ in range(4):
            opt.step(payoff_of(*players))
        gc.collect()
        sizes.append(sum(issubclass(type(one), Tensor) for one in gc.get_objects()))
    assert sizes[1] == sizes[2]


def test_the_average_is_the_answer() -> None:
    """The parameters stay the iterates."""
    x, y = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))
    opt = mmbench.optim.Averaged([x], [y], base=mmbench.algorithms.GDA(step_size=0.5))
    seen = []
    for _ in range(2):
        opt.step(lambda: (x * y).sum() + 0)
        seen.append(y.item())
    assert opt.answer()[1][0].item() == pytest.approx(sum(seen) / 2)
    assert y.item() == seen[-1]


@dataclass(frozen=True, kw_only=True)
class ZeroSum(Algorithm):
    """A method that needs a zero-sum game, with one step size for both players."""

    step_size: Positive = 0.1

    needs = frozenset({Capability.ZERO_SUM})
    cost = Cost(grad_x=1, grad_y=1)

    def step(self, oracle: Oracle, z: Tensor, state: Any) -> tuple[Tensor, Any]:
        return z - self.step_size * oracle.field(z), state


def test_what_cannot_be_optimised_is_refused() -> None:
    """With a sentence."""
    x, y = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optim = mmbench.optim
    with pytest.raises(MisfitError, match="svre needs a game whose losses are means"):
        optim.SVRE([x], [y])
    with pytest.raises(MisfitError, match="mirror_prox needs a game of mixed"):
        optim.MirrorProx([x], [y])
    with pytest.raises(MisfitError, match="needs a zero-sum game; the closure returns"):
        optim.TwoPlayer(ZeroSum(), [x], [y]).step(
            lambda: ((x * y).sum(), -(x * y).sum())
        )
    with pytest.raises(DescriptionError, match="one is given twice"):
        optim.GDA([x], [x])
    with pytest.raises(DescriptionError, match="one dtype .* got torch.float32 on cpu"):
        optim.GDA([x], [nn.Parameter(torch.ones(2).double())])
    with pytest.raises(DescriptionError, match="y must have parameters; it has none"):
        optim.GDA([x], nn.ReLU())
    with pytest.raises(DescriptionError, match="require gradients; got shape"):
        optim.GDA([x], [torch.ones(2)])
    opt = optim.GDA([x], [y])
    with pytest.raises(DescriptionError, match="a third one was added"):
        opt.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(DescriptionError, match="one number, .* got shape \\(2,\\)"):
        opt.step(lambda: x * y)
    with pytest.raises(DescriptionError, match="it called backward"):
        opt.step(lambda: (x * y).sum().backward())
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = optim.Nothing
    assert "CGD" in dir(optim)


def test_a_module_that_hides_its_parameters_is_refused() -> None:
    """One whose functions torch does not see, as those of a compiled module."""
    x, y = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def closure() -> Tensor:
        with torch._C.DisableTorchFunction():
            hidden = x * 2
        return (hidden * y).sum()

    with pytest.raises(DescriptionError, match="compiled module"):
        mmbench.optim.GDA([x], [y]).step(closure)


def test_the_example_trains() -> None:
    """Its generator learns where the data are, in a few steps."""
    torch.manual_seed(0)
    generator = runpy.run_path(str(EXAMPLE))["train"](20)
    assert torch.isfinite(generator(torch.randn(5, 8))).all()

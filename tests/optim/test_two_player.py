"""Optimisers of two players: the iterates of the engine, on parameters of modules."""

import copy
import gc
import runpy
import weakref
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
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


FITTING = fitting()
FAST = [pair for pair in FITTING if isinstance(pair, tuple) and pair[0] == "quadratic"]
INNER = ("follow_the_ridge", "stackelberg", "proximal_point")  # solve to the end


@pytest.mark.parametrize(("task", "name"), FITTING)
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


class SmallGAN(Game):
    """The game of `small_gan` on flat vectors, with the minibatch of an attribute."""

    dtype = torch.float64

    def __init__(self) -> None:
        self.networks = small_gan()
        self.dim_x, self.dim_y = (
            sum(p.numel() for p in n.parameters()) for n in self.networks
        )
        self.batch = torch.zeros(0)

    def losses(
        self, x: Tensor, y: Tensor, sample: Any, *, train: bool = True
    ) -> tuple[Tensor, Tensor]:
        called = []
        for network, flat in zip(self.networks, (x[0], y[0]), strict=True):
            named = dict(network.named_parameters())
            pieces = flat.split([p.numel() for p in named.values()])
            values = {
                k: v.view_as(p) for (k, p), v in zip(named.items(), pieces, strict=True)
            }
            called.append(partial(functional_call, network, values))
        payoff = payoff_on(self.batch, *called)[None]
        return payoff, -payoff


def payoff_on(batch: Tensor, generator: Any, discriminator: Any) -> Tensor:
    """Return what the generator minimises, on points and noise side by side."""
    fake = discriminator(generator(batch[:, 2:]))
    return -softplus(-discriminator(batch[:, :2])).mean() - softplus(fake).mean()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in INNER else [])
        for _, name in FAST
    ],
)
def test_iterates_on_two_networks_are_those_of_the_engine(name: str) -> None:
    """Of every method that can, on a minibatch that is drawn before each step."""
    game, method, networks = SmallGAN(), ALGORITHMS.build(name), small_gan()
    opt = mmbench.optim.TwoPlayer(method, *networks, seed=SEED)
    charges = OracleState(game, (SEED,))
    oracle, z = Oracle(charges), values(*networks)[None]
    state = method.init(oracle, z)
    for _ in range(2):
        game.batch = torch.randn(4, 5).double()
        opt.step(lambda: payoff_on(game.batch, *networks))
        with torch.no_grad():
            z, state = method.step(oracle, z, state)
    torch.testing.assert_close(values(*networks), z[0], rtol=1e-12, atol=1e-12)
    assert not torch.equal(z[0], values(*small_gan()))


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
    assert drawn == [expected[0]] * 4 + [expected[1]] * 2
    drawn.clear()
    torch.manual_seed(0)
    fresh = mmbench.optim.Extragradient([x], [y], minibatch="fresh")
    fresh.step(closure)
    assert drawn == [expected[0]] * 3 + [expected[1]]
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


def test_a_scheduler_is_as_a_schedule_of_mmbench() -> None:
    """Half a cosine, down to a step size of 0."""
    ours, theirs = small_gan(), small_gan()
    opt = mmbench.optim.Extragradient(*ours)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS - 1)
    spec = f"scheduled[base=extragradient,schedule=cosine[steps={STEPS - 1}]]"
    scheduled = mmbench.optim.TwoPlayer(spec, *theirs)
    for network, one in ((ours, opt), (theirs, scheduled)):
        torch.manual_seed(7)
        for _ in range(STEPS):
            before = values(*network)
            one.step(payoff_of(*network))
            if one is opt:
                rates.step()
        assert torch.equal(values(*network), before)
    torch.testing.assert_close(values(*ours), values(*theirs), rtol=1e-12, atol=1e-12)


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
    opt = mmbench.optim.GDA(module.parameters(), [y], step_size=0.5)
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
    mmbench.optim.Extragradient(module, [y]).step(closure)
    if name == "batch norm":
        assert module[1].num_batches_tracked == 3


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
    assert modes == [True] * 4 + [False]
    assert module[1].training


@pytest.mark.parametrize("spec", ["acgd", "accept_reject", "unrolled"])
def test_a_step_keeps_no_graph(spec: str) -> None:
    """What the closure returned is gone with it, without a garbage collection."""
    players = small_gan()
    opt = mmbench.optim.TwoPlayer(spec, *players)
    payoff, returned = payoff_of(*players), []

    def closure() -> Tensor:
        loss = payoff()
        returned.append(weakref.ref(loss))
        return loss

    gc.disable()
    try:
        for _ in range(3):
            opt.step(closure)
        assert returned
        assert not any(reference() is not None for reference in returned)
    finally:
        gc.enable()


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
    with pytest.raises(DescriptionError, match="require gradients; got .* needs none"):
        optim.GDA([x], [torch.ones(2)])
    with pytest.raises(DescriptionError, match="gradients; got .* from others"):
        optim.GDA([x], [y * 2])
    with pytest.raises(DescriptionError, match="require gradients; got str"):
        optim.GDA([x], ["y"])
    with pytest.raises(DescriptionError, match="require gradients; got float"):
        optim.GDA(0.1, [y])
    with pytest.raises(DescriptionError, match="without a shape. Call its module once"):
        optim.GDA([x], nn.LazyLinear(2))
    with pytest.raises(DescriptionError, match="float32, .* got torch.float16"):
        optim.GDA(*([nn.Parameter(torch.ones(2).half())] for _ in range(2)))
    with pytest.raises(DescriptionError, match="seed must be a whole number; got 'a'"):
        optim.GDA([x], [y], seed="a")
    with pytest.raises(DescriptionError, match="Unknown parameter of GDA 'lr'"):
        optim.GDA([x], [y], lr=0.1)
    opt = optim.GDA([x], [y])
    with pytest.raises(DescriptionError, match="a third one was added"):
        opt.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(DescriptionError, match="one number, .* got shape \\(2,\\)"):
        opt.step(lambda: x * y)
    with pytest.raises(DescriptionError, match="function that returns the losses; got"):
        opt.step((x * y).sum())
    with pytest.raises(DescriptionError, match="same kind at each call; got float"):
        opt.step(lambda: (x * y).sum().item())
    with pytest.raises(DescriptionError, match="it called backward"):
        opt.step(lambda: (x * y).sum().backward())
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = optim.Nothing
    assert "CGD" in dir(optim)


def test_a_closure_that_is_no_function_of_the_parameters_is_refused() -> None:
    """With a sentence, before a parameter or a buffer moves."""
    x, y = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    opt = mmbench.optim.GDA([x], [y])
    norm, drawn = nn.BatchNorm1d(2), iter(range(9))
    before = x * 2
    with pytest.raises(DescriptionError, match="used what had been computed from one"):
        opt.step(lambda: (before * x * y).sum() + 0)
    with pytest.raises(DescriptionError, match="loss of y must depend on the param"):
        opt.step(lambda: norm(x * torch.randn(4, 2)).square().sum())
    with pytest.raises(DescriptionError, match="same at each call .* got 0, then 2"):
        opt.step(lambda: next(drawn) * (x * y).sum())
    assert x.tolist() == [1, 1]
    assert norm.num_batches_tracked == 0
    assert x.requires_grad
    assert x.is_leaf


class Scaled(torch.autograd.Function):
    """A function with a backward pass of its own, which takes a parameter."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return inputs @ weight

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:
        inputs, weight = ctx.saved_tensors
        return upstream @ weight.T, inputs.T @ upstream


@pytest.mark.parametrize("spec", ["gda", "cgd", "unrolled", "accept_reject"])
def test_closures_may_differentiate_themselves(spec: str) -> None:
    """By functions of their own, and gradient penalties."""
    found = []
    for multiply in (torch.matmul, Scaled.apply):
        torch.manual_seed(0)
        x, y = (nn.Parameter(torch.randn(3, 1).double()) for _ in range(2))
        points = torch.randn(4, 3).double()
        before = x.detach().clone()

        def closure(x=x, y=y, points=points, multiply=multiply) -> Tensor:
            inputs = points.clone().requires_grad_()
            critic = multiply(inputs.sin(), y)
            (slope,) = torch.autograd.grad(critic.sum(), inputs, create_graph=True)
            return (critic * multiply(points, x)).mean() - slope.square().mean()

        mmbench.optim.TwoPlayer(spec, [x], [y]).step(closure)
        found.append(torch.cat((x, y)).detach())
        assert not torch.equal(x.detach(), before)
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch ignores it as well
def test_a_compiled_module_is_trained() -> None:
    """To the iterates of the module itself, by methods of first order."""
    found = []
    for compiling in (False, True):
        networks = small_gan()
        used = [torch.compile(n, backend="aot_eager") for n in networks]
        opt = mmbench.optim.Extragradient(*networks)
        torch.manual_seed(0)
        for _ in range(3):
            opt.step(payoff_of(*(used if compiling else networks)))
        found.append(values(*networks))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_a_loaded_state_can_be_saved_again_before_a_step() -> None:
    """It is what was loaded, and is of the same method and players."""
    players = small_gan()
    opt, other = (mmbench.optim.CGD(*players) for _ in range(2))
    opt.step(payoff_of(*players))
    other.load_state_dict(opt.state_dict())
    saved, again = opt.state_dict(), other.state_dict()
    assert repr(saved) == repr(again)
    assert saved["method"]["oracle"]["counts"]["grad_x"].item() == 1
    smaller = mmbench.optim.CGD(players[0], [nn.Parameter(torch.ones(1).double())])
    with pytest.raises(DescriptionError, match="of 32 and 1 numbers; got 32 and 21"):
        smaller.load_state_dict(saved)
    with pytest.raises(TypeError, match="save its state_dict"):
        copy.deepcopy(opt)


def test_the_example_trains() -> None:
    """Its generator learns where the data are, in a few steps."""
    torch.manual_seed(0)
    generator = runpy.run_path(str(EXAMPLE))["train"](5)
    assert torch.isfinite(generator(torch.randn(5, 8))).all()

"""Tasks of a user's function: games as built-in ones are, with their own keys."""

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.nn.utils.parametrizations import spectral_norm

import mmbench
from mmbench.algorithms import ALGORITHMS
from mmbench.core.checkpoint import pack, unpack
from mmbench.core.description import digest, reference_of, text
from mmbench.core.errors import DescriptionError, MisfitError, UnknownNameError
from mmbench.core.external import load_external
from mmbench.core.oracle_state import OracleState
from mmbench.core.placement import Placement
from mmbench.core.serialization import from_json, to_json
from mmbench.engine.cell import Cell
from mmbench.engine.chunk import Chunk
from mmbench.engine.recording import Recording
from mmbench.runner.plan import metrics_for, plan
from mmbench.suites.base import Grid, Suite
from mmbench.tasks import TASKS
from mmbench.tasks._own_data import Points, Source
from mmbench.tasks.base import Task
from mmbench.tasks.bilinear import Bilinear, spectral_matrix
from mmbench.testing import check_task
from mmbench.testing.tools import run_short_cell

MATRIX = spectral_matrix(Bilinear(dim=10, smallest=0.1))


def icr(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The quadratic game of implicit competitive regularization."""
    return (x * x + 10.0 * x * y + y * y).sum()


def product(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A bilinear game."""
    return (x * (MATRIX.to(x) @ y)).sum()


ORIGIN = torch.zeros(1), torch.zeros(1)
PLANE = mmbench.game(icr, dim_x=1, dim_y=1, solution=ORIGIN)
BILINEAR = mmbench.game(product, dim_x=10, dim_y=10)
BOUNDED = mmbench.game(
    product,
    dim_x=10,
    dim_y=10,
    project=lambda x, y: (x, y.clamp(-1, 1)),
    name="bounded",
)
GENERAL = mmbench.game(
    lambda x, y: (x @ x + x @ y, y @ y), dim_x=2, dim_y=2, name="general"
)
PAIRS = {"quadratic": PLANE, "bilinear[dim=10,smallest=0.1]": BILINEAR}


def largest_difference(method: str, builtin: str, own: Task) -> float:
    """Return the largest relative difference of two runs of ten steps."""
    algorithm = ALGORITHMS.build(method)
    one, other = (
        run_short_cell(algorithm, task, (0, 1), 10)
        for task in (TASKS.build(builtin), own)
    )
    assert not one.reason
    assert not other.reason
    for name in one.counts:
        assert np.array_equal(one.counts[name], other.counts[name])
    names = [name for name in one.columns if name in other.columns]
    return max(
        float(np.max(np.abs(one.columns[k] - other.columns[k])))
        / (1e-300 + float(np.max(np.abs(one.columns[k]))))
        for k in names
    )


@pytest.mark.parametrize("builtin", PAIRS)
@pytest.mark.parametrize("method", ["gda[step_size=0.05]", "extragradient", "cgd"])
def test_a_function_has_the_runs_of_the_built_in_game(
    method: str, builtin: str
) -> None:
    """Iterates and charges are those of the built-in task, to rounding."""
    assert largest_difference(method, builtin, PAIRS[builtin]) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("builtin", PAIRS)
@pytest.mark.parametrize("method", ALGORITHMS)
def test_every_method_runs_on_a_function(method: str, builtin: str) -> None:
    """Every method that fits the game has the iterates of the built-in task."""
    try:
        assert largest_difference(method, builtin, PAIRS[builtin]) < 1e-9
    except MisfitError:
        pytest.skip("the game lacks what the method needs")
    except DescriptionError as error:
        assert "must be given" in str(error)  # noqa: PT017


@pytest.mark.parametrize("task", [PLANE, BILINEAR], ids=["plane", "bilinear"])
def test_contract(task: Task) -> None:
    """A task of a function keeps the contract of tasks."""
    check_task(task)


def test_losses_of_both_players() -> None:
    """Two losses make a general-sum game."""
    assert mmbench.Capability.ZERO_SUM not in GENERAL.gives
    check_task(GENERAL)


def test_first_values() -> None:
    """Runs start at tensors, at noise around them, or where a factory says."""

    def first(**given: Any) -> list[list[float]]:
        task = mmbench.game(lambda x, y: x.sum() * y.sum(), **given)
        game = task.build(Placement())
        seeds = (torch.Generator().manual_seed(seed) for seed in (0, 1, 0))
        return [task.start(game, seed).tolist() for seed in seeds]

    fixed = first(x=torch.ones(1, 2), y=[3.0])
    assert fixed == [[1, 1, 3]] * 3
    near = first(x=torch.ones(1, 2), y=[3.0], spread=0.1)
    assert near[0] == near[2] != near[1]
    assert 0 < max(abs(a - b) for a, b in zip(near[0], fixed[0], strict=True)) < 1
    made = first(x=lambda: torch.rand(2), y=torch.ones(1))
    assert made[0] == made[2] != made[1]
    assert made[0][2] == 1


# ---- keys ----

FILE = """
    import torch
    import mmbench

    A = torch.arange(6.0).reshape(2, 3)
    POINTS = torch.ones(4, 2)

    def f(x, y, batch):
        return x @ A.to(x) @ y + batch.mean() * x.sum()

    def size(x, y):
        return {"size": x.norm()}

    own = mmbench.game(f, dim_x=2, dim_y=3, data=POINTS, batch=2, metrics=[size])
"""


def key_of(folder: Path, content: str) -> str:
    """Return the key of the task in a file of this content, loaded anew."""
    (folder / "mine.py").write_text(dedent(content))
    for name in [name for name in sys.modules if "mmbench_external_mine" in name]:
        del sys.modules[name]
    return digest(TASKS.build(f"{folder}/mine.py:own"))


def test_the_key_covers_code_tensors_and_data(tmp_path: Path) -> None:
    """The key is the same when loaded again, and another after each change."""
    key = key_of(tmp_path, FILE)
    assert key == key_of(tmp_path, FILE)
    for old, new in (
        ("batch.mean()", "batch.sum()"),
        ("arange(6.0)", "arange(6.0).exp()"),
        ("torch.ones(4, 2)", "torch.zeros(4, 2)"),
        ("batch=2", "batch=3"),
    ):
        assert key_of(tmp_path, FILE.replace(old, new)) != key


def test_a_changed_tensor_changes_the_key() -> None:
    """The key follows closed-over tensors in place; first values are copies."""
    weights, start = torch.ones(2), torch.ones(2)
    task = mmbench.game(lambda x, y: (x * weights * y).sum(), x=start, y=start)
    key = digest(task)
    start += 1
    assert digest(task) == key
    weights += 1
    assert digest(task) != key


def test_other_processes_find_a_task_by_its_variable(tmp_path: Path) -> None:
    """A cell with an own task and metric is sent and made again."""
    key_of(tmp_path, FILE)
    task = TASKS.build(f"{tmp_path}/mine.py:own")
    cells = plan(Suite(name="s", grids=(Grid(tasks=(task,), algorithms=("gda",)),)))
    again = from_json(to_json(cells[0]))
    assert again == cells[0]
    assert text(again.task) == "f"
    with pytest.raises(UnknownNameError, match="Known: own"):
        load_external(f"{tmp_path}/mine.py:nothing")


def test_a_task_without_a_variable_is_not_sent() -> None:
    """What no other process can make again is refused in one sentence."""
    task = mmbench.game(icr, dim_x=1, dim_y=1)
    with pytest.raises(DescriptionError, match="icr must be held by a variable"):
        to_json(task)


def test_two_games_of_one_name_are_refused() -> None:
    """Tables name a task by its name, which must then mean one game."""
    other = mmbench.game(icr, dim_x=2, dim_y=2)
    with pytest.raises(DescriptionError, match="name="):
        mmbench.run([PLANE, other], ["gda"], seeds=1, steps=1)


# ---- messages ----


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim_x": 0, "dim_y": 1}, "dim_x must be a whole number"),
        ({"dim_x": 1}, "y must be given by its length"),
        ({"dim_x": 1, "dim_y": 1, "x": ORIGIN[0]}, "x must be given by its length"),
        ({"x": torch.ones(1).long(), "dim_y": 1}, "floating-point"),
        ({"dim_x": 1, "dim_y": 1, "name": "a b"}, "name must be a word"),
        ({"dim_x": 1, "dim_y": 1, "target": "x"}, "target must be a column"),
        ({"dim_x": 1, "dim_y": 1, "metrics": [3]}, "metrics must be specs"),
        ({"dim_x": 1, "dim_y": 1, "data": []}, "data must be tensors"),
    ],
)
def test_arguments_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    """Each argument is refused with a sentence that names it."""
    with pytest.raises(DescriptionError, match=message):
        mmbench.game(lambda x, y, *rest: (x * y).sum(), **given)


def test_functions_that_fail() -> None:
    """A function that fails names its line, one that returns no loss what it gave."""
    with pytest.raises(DescriptionError, match=r"test_own.py, line \d+, raised"):
        mmbench.game(lambda x, y: x @ torch.ones(3), dim_x=2, dim_y=2)
    with pytest.raises(DescriptionError, match=r"one number for a loss; got shape"):
        mmbench.game(lambda x, y: x * y, dim_x=2, dim_y=2)


def test_closed_over_tensors_of_another_dtype() -> None:
    """A run in another precision than a closed-over tensor's says what to do."""
    weights = torch.ones(2)
    task = mmbench.game(lambda x, y: (x * weights) @ y, dim_x=2, dim_y=2)
    task.build(Placement())
    with pytest.raises(DescriptionError, match=r"write \.to\(x\)|own dtype"):
        mmbench.game(lambda x, y: x @ (weights @ y[:, None]), dim_x=1, dim_y=2).build(
            Placement(dtype=torch.float64)
        )


# ---- metrics ----


def test_metrics_and_target_of_functions() -> None:
    """Functions of the players are columns; a target may be one of them."""

    def sizes(x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"of_x": x.norm(), "of_y": y.norm()}

    task = mmbench.game(
        icr,
        dim_x=1,
        dim_y=1,
        metrics=["field_norm", (sizes, "lower")],
        target=mmbench.Target("sizes", at_most=(("of_x", 100.0),)),
    )
    frame = mmbench.run([task], ["gda[step_size=(0.09,0.01)]"], seeds=2, steps=4)
    assert {"field_norm", "of_x", "of_y"} <= set(frame)
    columns = {one.name: one for one in metrics_for(task, [])[1].columns}
    assert columns["of_x"].better == "lower"
    assert (frame["status"] == "converged").all()
    with pytest.raises(MisfitError, match=r"a game of mmbench\.game"):
        mmbench.run(["quadratic"], ["gda"], [metrics_for(task, [])[1]], seeds=1)


def test_projection() -> None:
    """A projection holds runs within bounds, side by side where torch can."""
    game = BOUNDED.build(Placement())
    assert game._projects_side_by_side  # type: ignore[attr-defined]
    z = torch.full((3, 20), 2.0)
    assert torch.equal(game.project(z)[:, 10:], torch.ones(3, 10))
    assert torch.equal(game.project(z)[:, :10], z[:, :10])
    check_task(BOUNDED)


def test_runs_one_after_the_other_are_said() -> None:
    """What torch.vmap cannot batch is computed run by run, and the footer says so."""

    def steep(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.sum() * y.sum() if float(x.sum()) > 0 else -(x.sum() * y.sum())

    task = mmbench.game(steep, dim_x=2, dim_y=2)
    assert "torch.vmap cannot batch it" in task.build(Placement()).one_by_one
    assert task.width == 1
    ran = run_short_cell(ALGORITHMS.build("gda"), task, (0,), 1)
    assert ran.backend.startswith("eager, one run after the other (torch.vmap")


def test_references_have_the_name(tmp_path: Path) -> None:
    """A stored class stands with the name of its file and of its function."""
    key_of(tmp_path, FILE)
    cls = load_external(f"{tmp_path}/mine.py:own")
    assert reference_of(cls).startswith("mine.py:f@")


# ---- modules, buffers and random numbers ----


def draw_points(generator: torch.Generator, count: int) -> Any:
    """Draw real points and noise."""
    real = torch.randn(count, 2, generator=generator)
    return real, torch.randn(count, 3, generator=generator)


def gan_loss(G: Any, D: Any, batch: Any) -> torch.Tensor:
    """Return the saturating loss of a GAN."""
    real, noise = batch
    return -softplus(-D(real)).mean() - softplus(D(G(noise))).mean()


def generator() -> nn.Module:
    """Return a generator with batch normalisation and dropout."""
    layers = nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2)
    return nn.Sequential(*layers, nn.Linear(8, 2))


def discriminator() -> nn.Module:
    """Return a discriminator with spectral normalisation and dropout."""
    first = spectral_norm(nn.Linear(2, 8))
    return nn.Sequential(first, nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))


NETWORKS = mmbench.game(
    gan_loss, x=generator, y=discriminator, data=draw_points, batch=8, name="networks"
)


def plain_generator() -> nn.Module:
    """Return the generator of four_gaussians, narrower."""
    return nn.Sequential(*_perceptron(64, 2))


def plain_discriminator() -> nn.Module:
    """Return the discriminator of four_gaussians, narrower."""
    return nn.Sequential(*_perceptron(2, 1))


def _perceptron(first: int, last: int) -> list[nn.Module]:
    hidden = nn.Linear(first, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()
    return [*hidden, nn.Linear(16, last)]


MODULES = mmbench.torch_task(
    plain_generator, plain_discriminator, data=torch.randn(50, 2), noise=64, batch=8
)


def test_networks_keep_the_contract() -> None:
    """Runs of modules with buffers and dropout are independent and reproducible."""
    game = NETWORKS.build(Placement())
    assert not game.one_by_one
    assert len(game.memory(torch.zeros(1, game.dim))) == 5
    check_task(NETWORKS)


def test_dropout_is_of_the_minibatch() -> None:
    """Masks come from the run's stream, whatever torch's generator is at."""
    game = NETWORKS.build(Placement())
    z = torch.stack([NETWORKS.start(game, torch.Generator().manual_seed(3))] * 2)
    state = OracleState(game, (0, 1), memory=game.memory(z))
    state.resample()
    x, y = z[:, : game.dim_x], z[:, game.dim_x :]
    before = torch.random.get_rng_state()
    one = game.losses(x, y, state.sample)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(99)
    assert torch.equal(one[0], game.losses(x, y, state.sample)[0])
    without = game.losses(x, y, state.sample, train=False)
    assert (one[0] != without[0]).all()
    for run in range(2):  # the same without the other run
        alone = OracleState(game, (run,), memory=game.memory(z[:1]))
        alone.resample()
        loss = game.losses(x[:1], y[:1], alone.sample)[0]
        torch.testing.assert_close(loss[0], one[0][run])


def test_unknown_random_functions_are_refused() -> None:
    """A random function that mmbench cannot repeat is named."""
    with pytest.raises(DescriptionError, match="got poisson"):
        mmbench.game(lambda x, y: torch.poisson(x.exp()).sum() * y.sum(), 1, 1)


def test_two_modules_have_the_losses_of_the_built_in_game() -> None:
    """Losses and gradients are those of the built-in GAN, to rounding."""
    placement = Placement(dtype=torch.float64)
    builtin = TASKS.build("four_gaussians[hidden=16,noise=64,batch=8]")
    game, own = builtin.build(placement), MODULES.build(placement)
    z = MODULES.start(own, torch.Generator().manual_seed(1))[None]
    assert game.dim == own.dim
    real = torch.randn(1, 8, 2, dtype=torch.float64)
    drawn = game.draw(torch.Generator().manual_seed(0), 1)._replace(real=real)
    sample = own.draw(torch.Generator().manual_seed(0), 1)
    sample = sample._replace(sources=((), (drawn.noise,)))
    own._recipe = own._recipe._replace(  # type: ignore[attr-defined]
        sources=(Source(Points((real[0],)), None, 0), own._recipe.sources[1])  # type: ignore[attr-defined]
    )
    layouts = game.generator.layout, game.discriminator.layout  # type: ignore[attr-defined]
    parts = z.split((own.dim_x, own.dim_y), dim=1)
    # Layers of mmbench have weights of shape (inputs, outputs), those of torch turned.
    turned = torch.cat(
        [
            layout.join(
                {
                    name: tensor[0].mT if tensor.ndim == 3 else tensor[0]
                    for name, tensor in zip(
                        layout.shapes, form.split(part).values(), strict=True
                    )
                }
            )
            for layout, form, part in zip(layouts, own.forms, parts, strict=True)  # type: ignore[attr-defined]
        ]
    )[None]
    found = []
    for one, batch, at in ((game, drawn, turned), (own, sample, z)):
        leaf = at.clone().requires_grad_()
        x, y = leaf[:, : one.dim_x], leaf[:, one.dim_x :]
        loss = one.losses(x, y, batch)[0]
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        found.append((loss.detach(), gradient.sort().values))
    torch.testing.assert_close(found[0], found[1])


def test_two_modules_keep_the_contract() -> None:
    """A GAN of modules can be sampled and judged."""
    assert mmbench.Capability.SAMPLES in MODULES.gives
    assert mmbench.Capability.LOGITS in MODULES.gives
    check_task(MODULES)


class DCGenerator(nn.Module):
    """A small DCGAN's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(4, 8, 4), nn.BatchNorm2d(8), nn.ReLU(True),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Return images."""
        return self.body(noise[:, :, None, None])


def dc_discriminator() -> nn.Module:
    """Return a small DCGAN's discriminator."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(1, 8, 4, 2, 1)), nn.LeakyReLU(0.2, True),
        nn.BatchNorm2d(8), nn.Dropout2d(0.1), nn.Conv2d(8, 1, 4), nn.Flatten(),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("method", ["extragradient[direction=adam]", "acgd"])
def test_a_dcgan_goes_on_after_a_checkpoint(method: str) -> None:
    """Convolutional modules run, and go on from a snapshot with the same bits."""
    task = mmbench.torch_task(
        DCGenerator,
        dc_discriminator,
        data=torch.randint(0, 256, (20, 1, 8, 8)).byte(),
        noise=4,
        batch=4,
        loss="nonsaturating",
        name="dcgan",
    )
    assert task.width == 1
    assert mmbench.Capability.GREY_8 in task.gives
    algorithm = ALGORITHMS.build(method)
    cell = Cell(task=task, algorithm=algorithm, seeds=(0,), steps=4, records=4)

    def chunk() -> Chunk:
        return Chunk(cell, Placement(), 1, Recording(cell, (0,)), None)

    whole, first, second = chunk(), chunk(), chunk()
    for _ in range(4):
        whole._make_step()
    for _ in range(2):
        first._make_step()
    second.restore(unpack(pack(first.snapshot())))
    for _ in range(2):
        second._make_step()
    assert torch.equal(whole.z, second.z)
    assert whole.z.isfinite().all()
    assert whole.game.sheet(whole.z, (0,)).shape == (1, 100, 8, 8)


def test_a_solution_may_be_lists_and_must_have_the_players_shapes() -> None:
    """Of numbers, as one writes them."""
    described = mmbench.game(icr, dim_x=1, dim_y=1, solution=([0], [0.0]), name="lists")
    game = described.build(Placement())
    assert game.distance(torch.tensor([[3.0, 4.0]]), "declared").tolist() == [5.0]
    for wrong in (([0, 0], [0]), (0, 0, 0), "origin", ()):
        with pytest.raises(DescriptionError, match="solution must be a pair, values"):
            mmbench.game(icr, dim_x=1, dim_y=1, solution=wrong)


class Tempered(nn.Module):
    """A module with a parameter of no axis, as a learned temperature is."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(2.0))
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.weight @ y / self.temperature


def test_parameters_may_have_no_axis() -> None:
    """Beside others, on one vector."""
    task = mmbench.game(lambda x, y: x(y), x=Tempered, y=torch.ones(2), name="tempered")
    game = task.build(Placement())
    assert not game.one_by_one
    z = task.start(game, torch.Generator())[None].expand(2, -1)
    losses, _ = game.losses(z[:, : game.dim_x], z[:, game.dim_x :], None)
    assert losses.tolist() == [1.0, 1.0]


class Counting(nn.Module):
    """A module that counts its calls in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.calls = nn.Parameter(torch.ones(2)), 0

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.weight @ y * self.calls


class Largest(nn.Module):
    """A module with a buffer that is exchanged, at first for an equal one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("largest", torch.tensor(3.0))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        self.largest = torch.maximum(self.largest, self.weight.detach().abs().max())
        return self.weight @ y / self.largest


def _halving(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.data.mul_(0.5)
    return x @ y


def test_functions_that_are_none_are_refused() -> None:
    """Those that draw by NumPy, keep a count, or write into their players."""
    drawing = np.random.default_rng(0)
    with pytest.raises(DescriptionError, match="return the same at each call"):
        mmbench.game(lambda x, y: x @ y + drawing.normal(), dim_x=2, dim_y=2)
    with pytest.raises(DescriptionError, match="in buffers of a module"):
        mmbench.game(lambda x, y: x(y), x=Counting, y=torch.ones(2))
    with pytest.raises(DescriptionError, match="leave its players as they are"):
        mmbench.game(_halving, dim_x=2, dim_y=2)


def test_a_buffer_that_is_exchanged_for_an_equal_one_is_the_runs() -> None:
    """It changes later, with the parameters."""
    task = mmbench.game(lambda x, y: x(y), x=Largest, y=torch.ones(2), name="largest")
    game = task.build(Placement())
    assert len(game.memory(torch.ones(1, game.dim))) == 1
    far = torch.full((2, game.dim), 9.0)
    state = OracleState(game, (0, 1), memory=game.memory(far * 0 + 1))
    state.resample()
    state.advance(far)
    assert state.memory[0].tolist() == [9.0, 9.0]


def test_a_program_without_a_name_has_games() -> None:
    """As `exec` runs one."""
    names: dict[str, Any] = {"mmbench": mmbench}
    exec("task = mmbench.game(lambda x, y: x @ y, dim_x=1, dim_y=1)", names)
    assert type(names["task"]).__module__ in ("__main__", "builtins")

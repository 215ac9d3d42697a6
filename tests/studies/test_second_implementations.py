"""Methods of the claims against plain versions of one run, written from their texts.

A negative verdict says that a method fails where a paper says it works, so the method
must be what the paper describes. For accept-reject that is tested in
tests/algorithms/test_accept_reject.py; steps on games of the plane have closed forms,
in tests/theory/.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mmbench.algorithms import ALGORITHMS
from mmbench.core.streams import Stream, chunk_length
from mmbench.tasks import TASKS
from mmbench.testing.tools import PLACEMENT, start_runs

NET = "four_gaussians[hidden=6,noise=3,batch=8]"
DIGITS = "digits01[hidden=6,noise=3,batch=8]"
PROJECTION = "icr_projection"
SEEDS = (5000, 5003)
ETA_X, ETA_Y = 0.02, 0.01
BETA_1, BETA_2 = 0.5, 0.999


class Adam:
    """Adam as TensorFlow has it: the bias is corrected in the step size alone."""

    def __init__(self, size: int, step_size: float, epsilon: float) -> None:
        self.m, self.v = torch.zeros(2, size, dtype=torch.float64)
        self.step_size, self.epsilon, self.t = step_size, epsilon, 0

    def change(self, gradient: Tensor) -> Tensor:
        """Return what to add to the variables."""
        self.t += 1
        self.m = BETA_1 * self.m + (1 - BETA_1) * gradient
        self.v = BETA_2 * self.v + (1 - BETA_2) * gradient**2
        # The root of a gradient that was never there has no derivative.
        root = torch.where(self.v > 0, self.v, 1.0).sqrt() * (self.v > 0)
        rate = self.step_size * (1 - BETA_2**self.t) ** 0.5 / (1 - BETA_1**self.t)
        return -rate * self.m / (root + self.epsilon)

    def copy(self) -> "Adam":
        """Return another one in the same state."""
        other = Adam(len(self.m), self.step_size, self.epsilon)
        other.m, other.v, other.t = self.m, self.v, self.t
        return other


class Run:
    """One run: the game, its minibatches, both players, and their optimisers."""

    def __init__(self, task: str, seed: int, epsilon: float = 1e-8) -> None:
        described = TASKS.build(task)
        self.game = described.build(PLACEMENT)
        start = start_runs(described, (seed,))[1][0]
        self.x, self.y = start.split((self.game.dim_x, self.game.dim_y))
        self.of_x = Adam(len(self.x), ETA_X, epsilon)
        self.of_y = Adam(len(self.y), ETA_Y, epsilon)
        self._data = Stream(
            (seed,),
            "data",
            self.game.draw,
            chunk_length(self.game.sample_size),
            self.game.device,
        )

    def minibatch(self) -> Any:
        """Return a fresh minibatch; none in a game without data."""
        return self._data.next() if self.game.batch_size else None

    def losses(self, x: Tensor, y: Tensor, sample: Any) -> tuple[Tensor, Tensor]:
        """Return the loss of each player."""
        of_x, of_y = self.game.losses(x[None], y[None], sample)
        return of_x[0], of_y[0]

    def gradient_x(self, sample: Any) -> Tensor:
        """Return the gradient of the generator's loss."""
        x = self.x.clone().requires_grad_()
        return torch.autograd.grad(self.losses(x, self.y, sample)[0], x)[0]

    def gradient_y(self, sample: Any) -> Tensor:
        """Return the gradient of the discriminator's loss."""
        y = self.y.clone().requires_grad_()
        return torch.autograd.grad(self.losses(self.x, y, sample)[1], y)[0]


# ---- descent-ascent under Adam ----


def simultaneous(run: Run) -> None:
    """Both move by gradients at the same point and minibatch."""
    sample = run.minibatch()
    at_x, at_y = run.gradient_x(sample), run.gradient_y(sample)
    run.x, run.y = run.x + run.of_x.change(at_x), run.y + run.of_y.change(at_y)


def six_answers(run: Run) -> None:
    """The same, and five more steps of the discriminator, each on its own minibatch."""
    simultaneous(run)
    for _ in range(5):
        run.y = run.y + run.of_y.change(run.gradient_y(run.minibatch()))


def generator_first(run: Run) -> None:
    """The generator moves, then the discriminator against the new generator."""
    run.x = run.x + run.of_x.change(run.gradient_x(run.minibatch()))
    run.y = run.y + run.of_y.change(run.gradient_y(run.minibatch()))


def unrolled(run: Run) -> None:
    """The generator differentiates through six steps of the discriminator's Adam."""
    sample = run.minibatch()
    x = run.x.clone().requires_grad_()
    y, of_y = run.y.clone().requires_grad_(), run.of_y.copy()
    for _ in range(6):
        loss = run.losses(x, y, sample)[1]
        y = y + of_y.change(torch.autograd.grad(loss, y, create_graph=True)[0])
    at_x = torch.autograd.grad(run.losses(x, y, sample)[0], x)[0]
    at_y = run.gradient_y(sample)
    run.x, run.y = run.x + run.of_x.change(at_x), run.y + run.of_y.change(at_y)


# ---- methods with plain steps, on games without data ----


def _field(run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return both gradients at a point, with their graph."""
    of_x, of_y = run.losses(x, y, None)
    at_x = torch.autograd.grad(of_x, x, create_graph=True)[0]
    return at_x, torch.autograd.grad(of_y, y, create_graph=True)[0]


def _leaves(run: Run) -> tuple[Tensor, Tensor]:
    return run.x.clone().requires_grad_(), run.y.clone().requires_grad_()


def plain(run: Run) -> None:
    """Both move against their own gradients."""
    at_x, at_y = _field(run, *_leaves(run))
    run.x, run.y = run.x - 0.2 * at_x.detach(), run.y - 0.2 * at_y.detach()


def competitive(run: Run) -> None:
    """Both moves solve the equations of the local game's Nash equilibrium, at once.

    x minimises x'f_x + x'Hy + |x|²/2η, y maximises y'f_y + y'H'x − |y|²/2η.
    """
    x, y = _leaves(run)
    at_x, at_y = _field(run, x, y)
    mixed = torch.stack(
        [torch.autograd.grad(one, y, retain_graph=True)[0] for one in at_x]
    )
    eye_x, eye_y = torch.eye(len(x)).double(), torch.eye(len(y)).double()
    system = torch.cat(
        (
            torch.cat((eye_x / 0.2, mixed), dim=1),
            torch.cat((-mixed.T, eye_y / 0.2), dim=1),
        )
    )
    moves = torch.linalg.solve(system, -torch.cat((at_x, at_y)).detach())
    run.x, run.y = run.x + moves[: len(x)], run.y + moves[len(x) :]


def extragradient(run: Run) -> None:
    """A step from the old point, by the gradients where a step would lead."""
    at_x, at_y = _field(run, *_leaves(run))
    ahead = (run.x - 0.2 * at_x).detach(), (run.y - 0.2 * at_y).detach()
    at_x, at_y = _field(run, *(player.requires_grad_() for player in ahead))
    run.x, run.y = run.x - 0.2 * at_x.detach(), run.y - 0.2 * at_y.detach()


def consensus(run: Run) -> None:
    """Both also descend on a tenth of half the squared length of both gradients."""
    x, y = _leaves(run)
    at_x, at_y = _field(run, x, y)
    half = (at_x.square().sum() + at_y.square().sum()) / 2
    more_x, more_y = torch.autograd.grad(half, (x, y))
    run.x = run.x - 0.2 * (at_x.detach() + 0.1 * more_x)
    run.y = run.y - 0.2 * (at_y.detach() + 0.1 * more_y)


# ---- agreement ----


_ADAM = f"step_size=({ETA_X},{ETA_Y}),direction=adam[beta1=0.5,epsilon_at=raw]"
_KERAS = _ADAM.replace("beta1=0.5", "beta1=0.5,epsilon=1e-7")
EQUAL = {
    "GDA(1)": (f"gda[{_ADAM}]", simultaneous, NET, 20),
    "GDA(6)": (f"alternating_gda[{_ADAM},k=6,first=both]", six_answers, NET, 10),
    "unrolled(6)": (f"unrolled[{_ADAM},k=6]", unrolled, NET, 10),
    "digits, GDA(1)": (f"alternating_gda[{_KERAS},k=1]", generator_first, DIGITS, 12),
    "SimGD": ("gda[step_size=0.2]", plain, PROJECTION, 30),
    "CGD": ("cgd[step_size=0.2,tolerance=1e-14]", competitive, PROJECTION, 12),
    "extragradient": ("extragradient[step_size=0.2]", extragradient, PROJECTION, 30),
    "consensus": ("consensus[step_size=0.2]", consensus, PROJECTION, 30),
}


def steps_apart(
    spec: str, step: Callable[[Run], None], task: str, steps: int
) -> tuple[int, float]:
    """Return how many steps agree, and how far the runs have moved by then.

    Args:
        spec: the method of mmbench.
        step: a step of the plain version.
        task: the game.
        steps: the number of steps.
    """
    algorithm = ALGORITHMS.build(spec)
    epsilon = 1e-7 if "epsilon=1e-7" in spec else 1e-8
    single_runs = [Run(task, seed, epsilon) for seed in SEEDS]
    oracle, z = start_runs(TASKS.build(task), SEEDS)
    start, state = z, algorithm.init(oracle, z)
    for done in range(steps):
        oracle.resample()
        z, state = algorithm.step(oracle, z, state)
        for run in single_runs:
            step(run)
        expected = torch.stack([torch.cat((run.x, run.y)) for run in single_runs])
        if not torch.allclose(z, expected, rtol=1e-7, atol=1e-9):
            return done, float((z - start).norm())
    return steps, float((z - start).norm())


@pytest.mark.parametrize("name", EQUAL)
def test_plain_versions_agree(name: str) -> None:
    """Iterates agree to 1e-7 in all steps, in which they move."""
    spec, step, task, steps = EQUAL[name]
    agreed, moved = steps_apart(spec, step, task, steps)
    assert agreed == steps
    assert moved > 0.1


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("GDA(1)", f"alternating_gda[{_ADAM},k=1]"),
        ("GDA(6)", f"alternating_gda[{_ADAM},k=6]"),
        ("unrolled(6)", f"unrolled[{_ADAM},k=5]"),
        ("SimGD", "alternating_gda[step_size=0.2]"),
        ("CGD", "lola[step_size=0.2]"),
        ("extragradient", "past_extragradient[step_size=0.2]"),
        ("consensus", "consensus[step_size=0.2,gamma=0.101]"),
    ],
)
def test_a_method_close_by_does_not_agree(name: str, spec: str) -> None:
    """The comparison tells a method from its neighbours."""
    _, step, task, _ = EQUAL[name]
    agreed, _ = steps_apart(spec, step, task, 3)
    assert agreed < 3

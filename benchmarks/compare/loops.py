"""The plain loops of a researcher: one seed, torch, nothing of mmbench."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

Payoff = Callable[[Tensor, Tensor], Tensor]
STEP = 0.001  # so small that every toy game stays of order one for 10,000 steps


def bilinear(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum()


def quadratic(x: Tensor, y: Tensor) -> Tensor:
    return (x * x + 10 * x * y + y * y).sum()


def dirac(x: Tensor, y: Tensor) -> Tensor:
    return (-softplus(-x * y) - math.log(2)).sum()


def through(a: Tensor) -> Payoff:
    """Return x'Ay."""
    return lambda x, y: x @ a @ y


# ---- games with one tensor a player ----


def gda(payoff: Payoff, dim: int, steps: int, records: int) -> list[float]:
    """Gradient descent ascent with autograd.grad, steps by hand."""
    x = torch.randn(dim, requires_grad=True)
    y = torch.randn(dim, requires_grad=True)
    distances = []
    for step in range(steps):
        if step % (steps // records) == 0:
            distances.append(distance(x, y))
        at_x, at_y = torch.autograd.grad(payoff(x, y), (x, y))
        with torch.no_grad():
            x -= STEP * at_x
            y += STEP * at_y
    return distances


def gda_by_optimizers(
    payoff: Payoff, dim: int, steps: int, records: int
) -> list[float]:
    """Gradient descent ascent with torch.optim, as most scripts are written."""
    x = torch.randn(dim, requires_grad=True)
    y = torch.randn(dim, requires_grad=True)
    for_x = torch.optim.SGD([x], lr=STEP)
    for_y = torch.optim.SGD([y], lr=STEP, maximize=True)
    distances = []
    for step in range(steps):
        if step % (steps // records) == 0:
            distances.append(distance(x, y))
        for_x.zero_grad()
        for_y.zero_grad()
        payoff(x, y).backward()
        for_x.step()
        for_y.step()
    return distances


def extragradient(payoff: Payoff, dim: int, steps: int, records: int) -> list[float]:
    """Extragradient with autograd.grad, steps by hand."""
    x = torch.randn(dim, requires_grad=True)
    y = torch.randn(dim, requires_grad=True)
    distances = []
    for step in range(steps):
        if step % (steps // records) == 0:
            distances.append(distance(x, y))
        at_x, at_y = torch.autograd.grad(payoff(x, y), (x, y))
        ahead_x = (x.detach() - STEP * at_x).requires_grad_()
        ahead_y = (y.detach() + STEP * at_y).requires_grad_()
        at_x, at_y = torch.autograd.grad(payoff(ahead_x, ahead_y), (ahead_x, ahead_y))
        with torch.no_grad():
            x -= STEP * at_x
            y += STEP * at_y
    return distances


def distance(x: Tensor, y: Tensor) -> float:
    """Return the distance to (0, 0)."""
    with torch.no_grad():
        return float((x @ x + y @ y).sqrt())


# ---- four Gaussians ----

BATCH, NOISY, SAMPLES = 128, 0.01, 2500
MODES = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
WEIGHTS = torch.tensor([0.4, 0.2, 0.2, 0.2])


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers with rectifiers between them, started as the task says."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        linear = nn.Linear(before, after)
        nn.init.orthogonal_(linear.weight, gain=0.8)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Gaussians:
    """One seed of the GAN on four modes, counting its modes at the records.

    Args:
        rule: "gda", "adam" or "cgd".
        hidden: width of the hidden layers.
        noise: length of the generator's input.
    """

    def __init__(self, rule: str, hidden: int, noise: int) -> None:
        self.noise = noise
        self.g = perceptron(noise, hidden, hidden, 2)
        self.d = perceptron(2, hidden, hidden, 1)
        self.bce = nn.BCEWithLogitsLoss()
        self.one, self.zero = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
        kind = torch.optim.Adam if rule == "adam" else torch.optim.SGD
        self.for_g = kind(self.g.parameters(), lr=1e-3)
        self.for_d = kind(self.d.parameters(), lr=1e-3)
        self.step = self.competitive if rule == "cgd" else self.simultaneous

    def sample(self) -> tuple[Tensor, Tensor]:
        """Draw real points and noise."""
        which = torch.multinomial(WEIGHTS, BATCH, replacement=True)
        real = MODES[which] + NOISY * torch.randn(BATCH, 2)
        return real, torch.randn(BATCH, self.noise)

    def simultaneous(self) -> None:
        """Make simultaneous steps of both optimizers on the non-saturating loss."""
        real, noise = self.sample()
        fake = self.g(noise)
        on_real, on_fake = self.d(real), self.d(fake.detach())
        loss_d = self.bce(on_real, self.one) + self.bce(on_fake, self.zero)
        self.for_d.zero_grad()
        loss_d.backward()
        of_d = [p.grad.clone() for p in self.d.parameters()]
        self.for_g.zero_grad()
        self.bce(self.d(fake), self.one).backward()
        for p, gradient in zip(self.d.parameters(), of_d, strict=True):
            p.grad = gradient
        self.for_g.step()
        self.for_d.step()

    def competitive(self, eta: float = 0.1, iterations: int = 3) -> None:
        """Competitive gradient descent, x's system by conjugate gradients."""
        real, noise = self.sample()
        f = -softplus(-self.d(real)).mean() - softplus(self.d(self.g(noise))).mean()
        xs, ys = list(self.g.parameters()), list(self.d.parameters())
        f_x, f_y = flat(f, xs, create=True), flat(f, ys, create=True)
        xy = lambda v: flat(f_y @ v, xs, create=False)
        yx = lambda v: flat(f_x @ v, ys, create=False)
        b = f_x.detach() + eta * xy(f_y.detach())
        u, r, p = torch.zeros_like(b), b, b
        rr = r @ r
        goal = 1e-12 * rr
        for _ in range(iterations):
            if rr <= goal:
                break
            ap = p + eta * eta * xy(yx(p))
            size = rr / (p @ ap)
            u, r = u + size * p, r - size * ap
            p, rr = r + (r @ r) / rr * p, r @ r
        dx = -eta * u
        dy = eta * (f_y.detach() + yx(dx))
        with torch.no_grad():
            for players, move in ((xs, dx), (ys, dy)):
                parts = move.split([one.numel() for one in players])
                for one, by in zip(players, parts, strict=True):
                    one.add_(by.view_as(one))

    def modes(self) -> tuple[int, float]:
        """Count modes with 5 % of the samples, and the share of samples near modes."""
        with torch.no_grad():
            far = torch.cdist(self.g(torch.randn(SAMPLES, self.noise)), MODES)
            near = (far <= 0.3).float().mean(0)
            return int((near >= 0.05).sum()), float(near.sum())

    def train(self, steps: int, recorded: Sequence[int]) -> None:
        """Make all steps, records included."""
        for step in range(steps + 1):
            if step in recorded:
                self.modes()
            if step < steps:
                self.step()


def flat(of: Tensor, at: list[Tensor], *, create: bool) -> Tensor:
    """Return a gradient as one vector."""
    parts = torch.autograd.grad(
        of,
        at,
        create_graph=create,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return torch.cat([one.flatten() for one in parts])

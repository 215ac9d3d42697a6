"""Train two networks of one's own by competitive gradient descent.

    python own_loop.py

The generator learns a ring of eight Gaussians. What differs from a loop with two
optimisers of torch is one optimiser, and one closure that returns what the generator
minimises and the discriminator maximises.
"""

import math

import torch
from torch import nn
from torch.nn.functional import softplus

import mmbench


def draw_real(count: int) -> torch.Tensor:
    """Draw points of the ring, shape (count, 2)."""
    angles = torch.randint(8, (count,)) * (2 * math.pi / 8)
    centres = torch.stack((angles.cos(), angles.sin()), dim=1)
    return centres + 0.02 * torch.randn(count, 2)


def train(steps: int) -> nn.Module:
    """Return the generator after some steps."""
    generator = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
    discriminator = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
    opt = mmbench.optim.ACGD(generator, discriminator, step_size=2e-3)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    for _ in range(steps):
        real, noise = draw_real(64), torch.randn(64, 8)

        def payoff(real=real, noise=noise):
            fake = discriminator(generator(noise))
            return -softplus(-discriminator(real)).mean() - softplus(fake).mean()

        opt.step(payoff)
        rates.step()
    return generator


if __name__ == "__main__":
    torch.manual_seed(0)
    trained = train(2000)
    with torch.no_grad():
        points = trained(torch.randn(1000, 8))
    print(f"mean distance from the centre: {points.norm(dim=1).mean():.2f}")

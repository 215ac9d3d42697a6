"""A GAN of one's own two modules, compared under eight methods."""

import torch
from torch import nn

import mmbench

MEANS = 2 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def points(generator: torch.Generator, count: int) -> torch.Tensor:
    """Draw points around four means."""
    which = torch.randint(4, (count,), generator=generator)
    return MEANS[which] + 0.1 * torch.randn(count, 2, generator=generator)


def generator() -> nn.Module:
    """Return a generator."""
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))


def discriminator() -> nn.Module:
    """Return a discriminator."""
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))


own = mmbench.torch_task(
    generator, discriminator, data=points, noise=8, batch=64, modes=(MEANS, 0.1)
)

if __name__ == "__main__":
    adam = "direction=adam[beta1=0.5],step_size=0.001"
    methods = ("gda", "alternating_gda", "extragradient", "omd", "cgd")
    names = [f"{method}[step_size=0.05]" for method in methods]
    names += [f"gda[{adam}]", f"extragradient[{adam}]", "acgd[step_size=0.001]"]
    frame = mmbench.run([own], names, seeds=8, steps=500, store="own-gan")
    last = frame[frame["step"] == 500]
    print(last.groupby("label")[["modes", "high_quality"]].mean())

"""The registry of tasks, in the order reports show them."""

from mmbench.core.registry import Registry

_HERE = "mmbench.tasks"

TASKS = Registry(
    kind="task",
    base=f"{_HERE}.base:Task",
    members={
        "bilinear": f"{_HERE}.bilinear:Bilinear",
        "quadratic": f"{_HERE}.quadratic:Quadratic",
        "dirac_gan": f"{_HERE}.dirac_gan:DiracGAN",
        "four_gaussians": f"{_HERE}.four_gaussians:FourGaussians",
        "digits01": f"{_HERE}.digits01:Digits01",
        "mnist01": f"{_HERE}.mnist01:MNIST01",
        "mnist_icr": f"{_HERE}.mnist_icr:MNISTICR",
        "cifar10": f"{_HERE}.cifar10:CIFAR10",
    },
)

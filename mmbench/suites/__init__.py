"""The registry of built-in suites."""

from mmbench.core.registry import Registry

_HERE = "mmbench.suites"

# Members are `Suite` objects, not classes: a suite is data.
SUITES = Registry(
    kind="suite",
    base=f"{_HERE}.base:Suite",
    members={
        "quick": f"{_HERE}.quick:QUICK",
        "toy": f"{_HERE}.toy:TOY",
        "gan": f"{_HERE}.gan:GAN",
        "smoke": f"{_HERE}.smoke:SMOKE",
        "mnist_icr": f"{_HERE}.mnist_icr:MNIST_ICR",
        "mnist_icr_small": f"{_HERE}.mnist_icr:MNIST_ICR_SMALL",
        "icr_cifar10": f"{_HERE}.icr_cifar10:ICR_CIFAR10",
        "icr_cifar10_small": f"{_HERE}.icr_cifar10:ICR_CIFAR10_SMALL",
        "icr_figure5": f"{_HERE}.icr_figure5:ICR_FIGURE5",
        "icr_figure5_small": f"{_HERE}.icr_figure5:ICR_FIGURE5_SMALL",
    },
)

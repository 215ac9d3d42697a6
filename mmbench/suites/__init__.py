"""The registry of built-in suites, and the classes that a suite is made of.

A suite is imported when it is first used: `from mmbench.suites import Grid, Suite`.
"""

from typing import TYPE_CHECKING

from mmbench.core.lazy import lazy_names
from mmbench.core.registry import LazyMapping

# For type checkers and editors; nothing is imported before it is used.
if TYPE_CHECKING:
    from mmbench.suites.base import Grid as Grid
    from mmbench.suites.base import Suite as Suite
    from mmbench.suites.claims_four_gaussians import (
        CLAIMS_FOUR_GAUSSIANS as CLAIMS_FOUR_GAUSSIANS,
    )
    from mmbench.suites.claims_mnist01 import CLAIMS_MNIST01 as CLAIMS_MNIST01
    from mmbench.suites.claims_projection import CLAIMS_PROJECTION as CLAIMS_PROJECTION
    from mmbench.suites.claims_toys import CLAIMS_TOYS as CLAIMS_TOYS
    from mmbench.suites.fixed_steps import FIXED_STEPS as FIXED_STEPS
    from mmbench.suites.gan import GAN as GAN
    from mmbench.suites.icr_cifar10 import ICR_CIFAR10 as ICR_CIFAR10
    from mmbench.suites.icr_cifar10 import ICR_CIFAR10_SMALL as ICR_CIFAR10_SMALL
    from mmbench.suites.icr_figure5 import ICR_FIGURE5 as ICR_FIGURE5
    from mmbench.suites.icr_figure5 import ICR_FIGURE5_SMALL as ICR_FIGURE5_SMALL
    from mmbench.suites.icr_projection import ICR_PROJECTION as ICR_PROJECTION
    from mmbench.suites.leaderboard import LEADERBOARD as LEADERBOARD
    from mmbench.suites.mnist_icr import MNIST_ICR as MNIST_ICR
    from mmbench.suites.mnist_icr import MNIST_ICR_SMALL as MNIST_ICR_SMALL
    from mmbench.suites.quick import QUICK as QUICK
    from mmbench.suites.smoke import SMOKE as SMOKE
    from mmbench.suites.toy import TOY as TOY

_HERE = "mmbench.suites"

# Members are `Suite` objects, not classes: a suite is data.
SUITES: LazyMapping["Suite"] = LazyMapping(
    kind="suite",
    base=f"{_HERE}.base:Suite",
    members={
        "quick": f"{_HERE}.quick:QUICK",
        "toy": f"{_HERE}.toy:TOY",
        "fixed_steps": f"{_HERE}.fixed_steps:FIXED_STEPS",
        "gan": f"{_HERE}.gan:GAN",
        "leaderboard": f"{_HERE}.leaderboard:LEADERBOARD",
        "smoke": f"{_HERE}.smoke:SMOKE",
        "icr_projection": f"{_HERE}.icr_projection:ICR_PROJECTION",
        "mnist_icr": f"{_HERE}.mnist_icr:MNIST_ICR",
        "mnist_icr_small": f"{_HERE}.mnist_icr:MNIST_ICR_SMALL",
        "icr_cifar10": f"{_HERE}.icr_cifar10:ICR_CIFAR10",
        "icr_cifar10_small": f"{_HERE}.icr_cifar10:ICR_CIFAR10_SMALL",
        "icr_figure5": f"{_HERE}.icr_figure5:ICR_FIGURE5",
        "claims_four_gaussians": f"{_HERE}.claims_four_gaussians:CLAIMS_FOUR_GAUSSIANS",
        "claims_mnist01": f"{_HERE}.claims_mnist01:CLAIMS_MNIST01",
        "claims_projection": f"{_HERE}.claims_projection:CLAIMS_PROJECTION",
        "claims_toys": f"{_HERE}.claims_toys:CLAIMS_TOYS",
        "icr_figure5_small": f"{_HERE}.icr_figure5:ICR_FIGURE5_SMALL",
    },
)

_NAMES = (
    *SUITES.members.values(),
    f"{_HERE}.base:Grid",
    f"{_HERE}.base:Suite",
)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)

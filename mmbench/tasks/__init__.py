"""The registry of tasks, in the order that reports use, and their classes.

A class is imported when it is first used: `from mmbench.tasks import Quadratic`.
"""

from typing import TYPE_CHECKING

from mmbench.core.lazy import lazy_names
from mmbench.core.registry import Registry

# For type checkers and editors; nothing is imported before it is used.
if TYPE_CHECKING:
    from mmbench.tasks.base import Target as Target
    from mmbench.tasks.base import Task as Task
    from mmbench.tasks.bilinear import Bilinear as Bilinear
    from mmbench.tasks.cifar10 import CIFAR10 as CIFAR10
    from mmbench.tasks.digits01 import Digits01 as Digits01
    from mmbench.tasks.dirac_gan import DiracGAN as DiracGAN
    from mmbench.tasks.finite_sum_bilinear import FiniteSumBilinear as FiniteSumBilinear
    from mmbench.tasks.four_gaussians import FourGaussians as FourGaussians
    from mmbench.tasks.mnist01 import MNIST01 as MNIST01
    from mmbench.tasks.mnist_icr import MNISTICR as MNISTICR
    from mmbench.tasks.quadratic import Quadratic as Quadratic

_HERE = "mmbench.tasks"

TASKS: Registry["Task"] = Registry(
    kind="task",
    base=f"{_HERE}.base:Task",
    members={
        "bilinear": f"{_HERE}.bilinear:Bilinear",
        "quadratic": f"{_HERE}.quadratic:Quadratic",
        "dirac_gan": f"{_HERE}.dirac_gan:DiracGAN",
        "finite_sum_bilinear": f"{_HERE}.finite_sum_bilinear:FiniteSumBilinear",
        "four_gaussians": f"{_HERE}.four_gaussians:FourGaussians",
        "digits01": f"{_HERE}.digits01:Digits01",
        "mnist01": f"{_HERE}.mnist01:MNIST01",
        "mnist_icr": f"{_HERE}.mnist_icr:MNISTICR",
        "cifar10": f"{_HERE}.cifar10:CIFAR10",
    },
)

_NAMES = (
    *TASKS.members.values(),
    f"{_HERE}.base:Task",
    f"{_HERE}.base:Target",
)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)

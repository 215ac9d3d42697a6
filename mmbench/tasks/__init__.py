"""The registry of tasks, in the order that reports use, and their classes.

A class is imported when it is first used: `from mmbench.tasks import Quadratic`.
"""

from typing import TYPE_CHECKING

from mmbench.core.lazy import lazy_names
from mmbench.core.registry import Registry

# For type checkers and editors; nothing is imported before it is used.
if TYPE_CHECKING:
    from mmbench.tasks._gan_losses import FGAN as FGAN
    from mmbench.tasks._gan_losses import LSGAN as LSGAN
    from mmbench.tasks._gan_losses import MMD as MMD
    from mmbench.tasks._gan_losses import Hinge as Hinge
    from mmbench.tasks._gan_losses import Loss as Loss
    from mmbench.tasks._gan_losses import Sliced as Sliced
    from mmbench.tasks._regularisers import GP as GP
    from mmbench.tasks._regularisers import L2 as L2
    from mmbench.tasks._regularisers import R1 as R1
    from mmbench.tasks._regularisers import R2 as R2
    from mmbench.tasks._regularisers import Clip as Clip
    from mmbench.tasks._regularisers import Noise as Noise
    from mmbench.tasks._regularisers import Regulariser as Regulariser
    from mmbench.tasks._regularisers import Spectral as Spectral
    from mmbench.tasks.adversarial_training import (
        AdversarialTraining as AdversarialTraining,
    )
    from mmbench.tasks.almost_bilinear import AlmostBilinear as AlmostBilinear
    from mmbench.tasks.base import Target as Target
    from mmbench.tasks.base import Task as Task
    from mmbench.tasks.bilinear import Bilinear as Bilinear
    from mmbench.tasks.cifar10 import CIFAR10 as CIFAR10
    from mmbench.tasks.conditional_digits import ConditionalDigits as ConditionalDigits
    from mmbench.tasks.covariance_gan import CovarianceGAN as CovarianceGAN
    from mmbench.tasks.digits01 import Digits01 as Digits01
    from mmbench.tasks.dirac_gan import DiracGAN as DiracGAN
    from mmbench.tasks.escaping_saddles import EscapingSaddles as EscapingSaddles
    from mmbench.tasks.finite_sum_bilinear import FiniteSumBilinear as FiniteSumBilinear
    from mmbench.tasks.forsaken import Forsaken as Forsaken
    from mmbench.tasks.four_gaussians import FourGaussians as FourGaussians
    from mmbench.tasks.g3 import G3 as G3
    from mmbench.tasks.gaussian_mixture import GaussianMixture as GaussianMixture
    from mmbench.tasks.global_forsaken import GlobalForsaken as GlobalForsaken
    from mmbench.tasks.icr_projection import ICRProjection as ICRProjection
    from mmbench.tasks.kuhn_poker import KuhnPoker as KuhnPoker
    from mmbench.tasks.lagrangian import Lagrangian as Lagrangian
    from mmbench.tasks.matrix_game import MatrixGame as MatrixGame
    from mmbench.tasks.mnist01 import MNIST01 as MNIST01
    from mmbench.tasks.mnist_icr import MNISTICR as MNISTICR
    from mmbench.tasks.nonstationary_minimax import (
        NonstationaryMinimax as NonstationaryMinimax,
    )
    from mmbench.tasks.polar import Polar as Polar
    from mmbench.tasks.quadratic import Quadratic as Quadratic
    from mmbench.tasks.random_quadratic import RandomQuadratic as RandomQuadratic
    from mmbench.tasks.ratio_game import RatioGame as RatioGame
    from mmbench.tasks.robust_least_squares import (
        RobustLeastSquares as RobustLeastSquares,
    )
    from mmbench.tasks.robust_regression import RobustRegression as RobustRegression
    from mmbench.tasks.worst_for_both import WorstForBoth as WorstForBoth

_HERE = "mmbench.tasks"

LOSSES: Registry["Loss"] = Registry(
    kind="loss",
    base=f"{_HERE}._gan_losses:Loss",
    members={
        "lsgan": f"{_HERE}._gan_losses:LSGAN",
        "hinge": f"{_HERE}._gan_losses:Hinge",
        "fgan": f"{_HERE}._gan_losses:FGAN",
        "mmd": f"{_HERE}._gan_losses:MMD",
        "sliced": f"{_HERE}._gan_losses:Sliced",
    },
)

REGULARISERS: Registry["Regulariser"] = Registry(
    kind="regulariser",
    base=f"{_HERE}._regularisers:Regulariser",
    members={
        "l2": f"{_HERE}._regularisers:L2",
        "gp": f"{_HERE}._regularisers:GP",
        "r1": f"{_HERE}._regularisers:R1",
        "r2": f"{_HERE}._regularisers:R2",
        "spectral": f"{_HERE}._regularisers:Spectral",
        "clip": f"{_HERE}._regularisers:Clip",
        "noise": f"{_HERE}._regularisers:Noise",
    },
)

TASKS: Registry["Task"] = Registry(
    kind="task",
    base=f"{_HERE}.base:Task",
    group=_HERE,
    nested=(LOSSES, REGULARISERS),
    members={
        "bilinear": f"{_HERE}.bilinear:Bilinear",
        "quadratic": f"{_HERE}.quadratic:Quadratic",
        "random_quadratic": f"{_HERE}.random_quadratic:RandomQuadratic",
        "lagrangian": f"{_HERE}.lagrangian:Lagrangian",
        "robust_least_squares": f"{_HERE}.robust_least_squares:RobustLeastSquares",
        "robust_regression": f"{_HERE}.robust_regression:RobustRegression",
        "g3": f"{_HERE}.g3:G3",
        "escaping_saddles": f"{_HERE}.escaping_saddles:EscapingSaddles",
        "forsaken": f"{_HERE}.forsaken:Forsaken",
        "global_forsaken": f"{_HERE}.global_forsaken:GlobalForsaken",
        "polar": f"{_HERE}.polar:Polar",
        "almost_bilinear": f"{_HERE}.almost_bilinear:AlmostBilinear",
        "worst_for_both": f"{_HERE}.worst_for_both:WorstForBoth",
        "nonstationary_minimax": (
            f"{_HERE}.nonstationary_minimax:NonstationaryMinimax"
        ),
        "dirac_gan": f"{_HERE}.dirac_gan:DiracGAN",
        "covariance_gan": f"{_HERE}.covariance_gan:CovarianceGAN",
        "finite_sum_bilinear": f"{_HERE}.finite_sum_bilinear:FiniteSumBilinear",
        "icr_projection": f"{_HERE}.icr_projection:ICRProjection",
        "matrix_game": f"{_HERE}.matrix_game:MatrixGame",
        "ratio_game": f"{_HERE}.ratio_game:RatioGame",
        "kuhn_poker": f"{_HERE}.kuhn_poker:KuhnPoker",
        "adversarial_training": f"{_HERE}.adversarial_training:AdversarialTraining",
        "four_gaussians": f"{_HERE}.four_gaussians:FourGaussians",
        "gaussian_mixture": f"{_HERE}.gaussian_mixture:GaussianMixture",
        "digits01": f"{_HERE}.digits01:Digits01",
        "conditional_digits": f"{_HERE}.conditional_digits:ConditionalDigits",
        "mnist01": f"{_HERE}.mnist01:MNIST01",
        "mnist_icr": f"{_HERE}.mnist_icr:MNISTICR",
        "cifar10": f"{_HERE}.cifar10:CIFAR10",
    },
)

_NAMES = (
    *LOSSES.members.values(),
    *REGULARISERS.members.values(),
    *TASKS.members.values(),
    f"{_HERE}.base:Task",
    f"{_HERE}.base:Target",
    f"{_HERE}._gan_losses:Loss",
    f"{_HERE}._regularisers:Regulariser",
)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)

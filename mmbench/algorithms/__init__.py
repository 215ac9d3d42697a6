"""The registry of algorithms, in the order that reports use, and their classes.

A class is imported when it is first used: `from mmbench.algorithms import CGD`.
"""

from typing import TYPE_CHECKING

from mmbench.core.lazy import lazy_names
from mmbench.core.registry import Registry

# For type checkers and editors; nothing is imported before it is used.
if TYPE_CHECKING:
    from mmbench.algorithms._acceptance import Acceptance as Acceptance
    from mmbench.algorithms._acceptance import Annealed as Annealed
    from mmbench.algorithms._acceptance import Constant as Constant
    from mmbench.algorithms._acceptance import Every as Every
    from mmbench.algorithms._directions import Adam as Adam
    from mmbench.algorithms._directions import Direction as Direction
    from mmbench.algorithms._directions import Momentum as Momentum
    from mmbench.algorithms._directions import Plain as Plain
    from mmbench.algorithms._directions import RMSProp as RMSProp
    from mmbench.algorithms._schedules import Cosine as Cosine
    from mmbench.algorithms._schedules import Power as Power
    from mmbench.algorithms._schedules import Rsqrt as Rsqrt
    from mmbench.algorithms._schedules import Schedule as Schedule
    from mmbench.algorithms.accept_reject import AcceptReject as AcceptReject
    from mmbench.algorithms.accept_reject_search import (
        AcceptRejectSearch as AcceptRejectSearch,
    )
    from mmbench.algorithms.acgd import ACGD as ACGD
    from mmbench.algorithms.alone import Alone as Alone
    from mmbench.algorithms.alternating_gda import AlternatingGDA as AlternatingGDA
    from mmbench.algorithms.averaged import Averaged as Averaged
    from mmbench.algorithms.base import Algorithm as Algorithm
    from mmbench.algorithms.bcseg import BCSEG as BCSEG
    from mmbench.algorithms.cgd import CGD as CGD
    from mmbench.algorithms.consensus import Consensus as Consensus
    from mmbench.algorithms.curvature_eg import CurvatureEG as CurvatureEG
    from mmbench.algorithms.discretisation_drift import (
        DiscretisationDrift as DiscretisationDrift,
    )
    from mmbench.algorithms.eag import EAG as EAG
    from mmbench.algorithms.extragradient import Extragradient as Extragradient
    from mmbench.algorithms.feg import FEG as FEG
    from mmbench.algorithms.follow_the_ridge import FollowTheRidge as FollowTheRidge
    from mmbench.algorithms.gda import GDA as GDA
    from mmbench.algorithms.gradient_regularised import (
        GradientRegularised as GradientRegularised,
    )
    from mmbench.algorithms.halpern import Halpern as Halpern
    from mmbench.algorithms.hamiltonian import Hamiltonian as Hamiltonian
    from mmbench.algorithms.lola import LOLA as LOLA
    from mmbench.algorithms.lookahead import Lookahead as Lookahead
    from mmbench.algorithms.lss import LSS as LSS
    from mmbench.algorithms.mirror_descent import MirrorDescent as MirrorDescent
    from mmbench.algorithms.mirror_prox import MirrorProx as MirrorProx
    from mmbench.algorithms.omd import OMD as OMD
    from mmbench.algorithms.one_sided_cgd import OneSidedCGD as OneSidedCGD
    from mmbench.algorithms.past_extragradient import (
        PastExtragradient as PastExtragradient,
    )
    from mmbench.algorithms.proximal_point import ProximalPoint as ProximalPoint
    from mmbench.algorithms.reflected_gradient import (
        ReflectedGradient as ReflectedGradient,
    )
    from mmbench.algorithms.runge_kutta import RungeKutta as RungeKutta
    from mmbench.algorithms.scheduled import Scheduled as Scheduled
    from mmbench.algorithms.sga import SGA as SGA
    from mmbench.algorithms.smoothed_gda import SmoothedGDA as SmoothedGDA
    from mmbench.algorithms.stackelberg import Stackelberg as Stackelberg
    from mmbench.algorithms.svre import SVRE as SVRE
    from mmbench.algorithms.unrolled import Unrolled as Unrolled

_HERE = "mmbench.algorithms"

DIRECTIONS: Registry["Direction"] = Registry(
    kind="direction",
    base=f"{_HERE}._directions:Direction",
    members={
        "plain": f"{_HERE}._directions:Plain",
        "adam": f"{_HERE}._directions:Adam",
        "rmsprop": f"{_HERE}._directions:RMSProp",
        "momentum": f"{_HERE}._directions:Momentum",
    },
)

ACCEPTANCES: Registry["Acceptance"] = Registry(
    kind="acceptance law",
    base=f"{_HERE}._acceptance:Acceptance",
    members={
        "constant": f"{_HERE}._acceptance:Constant",
        "every": f"{_HERE}._acceptance:Every",
        "annealed": f"{_HERE}._acceptance:Annealed",
    },
)

SCHEDULES: Registry["Schedule"] = Registry(
    kind="schedule",
    base=f"{_HERE}._schedules:Schedule",
    members={
        "rsqrt": f"{_HERE}._schedules:Rsqrt",
        "cosine": f"{_HERE}._schedules:Cosine",
        "power": f"{_HERE}._schedules:Power",
    },
)

ALGORITHMS: Registry["Algorithm"] = Registry(
    kind="algorithm",
    base=f"{_HERE}.base:Algorithm",
    group=_HERE,
    nested=(DIRECTIONS, ACCEPTANCES, SCHEDULES),
    members={
        "gda": f"{_HERE}.gda:GDA",
        "alternating_gda": f"{_HERE}.alternating_gda:AlternatingGDA",
        "omd": f"{_HERE}.omd:OMD",
        "extragradient": f"{_HERE}.extragradient:Extragradient",
        "past_extragradient": f"{_HERE}.past_extragradient:PastExtragradient",
        "unrolled": f"{_HERE}.unrolled:Unrolled",
        "cgd": f"{_HERE}.cgd:CGD",
        "acgd": f"{_HERE}.acgd:ACGD",
        "accept_reject": f"{_HERE}.accept_reject:AcceptReject",
        "accept_reject_search": f"{_HERE}.accept_reject_search:AcceptRejectSearch",
        "alone": f"{_HERE}.alone:Alone",
        "one_sided_cgd": f"{_HERE}.one_sided_cgd:OneSidedCGD",
        "consensus": f"{_HERE}.consensus:Consensus",
        "hamiltonian": f"{_HERE}.hamiltonian:Hamiltonian",
        "gradient_regularised": f"{_HERE}.gradient_regularised:GradientRegularised",
        "sga": f"{_HERE}.sga:SGA",
        "lola": f"{_HERE}.lola:LOLA",
        "discretisation_drift": f"{_HERE}.discretisation_drift:DiscretisationDrift",
        "lss": f"{_HERE}.lss:LSS",
        "stackelberg": f"{_HERE}.stackelberg:Stackelberg",
        "follow_the_ridge": f"{_HERE}.follow_the_ridge:FollowTheRidge",
        "runge_kutta": f"{_HERE}.runge_kutta:RungeKutta",
        "svre": f"{_HERE}.svre:SVRE",
        "reflected_gradient": f"{_HERE}.reflected_gradient:ReflectedGradient",
        "proximal_point": f"{_HERE}.proximal_point:ProximalPoint",
        "eag": f"{_HERE}.eag:EAG",
        "feg": f"{_HERE}.feg:FEG",
        "smoothed_gda": f"{_HERE}.smoothed_gda:SmoothedGDA",
        "curvature_eg": f"{_HERE}.curvature_eg:CurvatureEG",
        "bcseg": f"{_HERE}.bcseg:BCSEG",
        "mirror_descent": f"{_HERE}.mirror_descent:MirrorDescent",
        "mirror_prox": f"{_HERE}.mirror_prox:MirrorProx",
        "lookahead": f"{_HERE}.lookahead:Lookahead",
        "averaged": f"{_HERE}.averaged:Averaged",
        "scheduled": f"{_HERE}.scheduled:Scheduled",
        "halpern": f"{_HERE}.halpern:Halpern",
    },
)

_NAMES = (
    *DIRECTIONS.members.values(),
    *ACCEPTANCES.members.values(),
    *SCHEDULES.members.values(),
    *ALGORITHMS.members.values(),
    f"{_HERE}.base:Algorithm",
    f"{_HERE}._directions:Direction",
    f"{_HERE}._acceptance:Acceptance",
    f"{_HERE}._schedules:Schedule",
)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)

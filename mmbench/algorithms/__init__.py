"""The registry of algorithms, in the order reports show them."""

from mmbench.core.registry import Registry

_HERE = "mmbench.algorithms"

DIRECTIONS = Registry(
    kind="direction",
    base=f"{_HERE}._directions:Direction",
    members={
        "plain": f"{_HERE}._directions:Plain",
        "adam": f"{_HERE}._directions:Adam",
        "rmsprop": f"{_HERE}._directions:RMSProp",
    },
)

ACCEPTANCES = Registry(
    kind="acceptance law",
    base=f"{_HERE}._acceptance:Acceptance",
    members={
        "constant": f"{_HERE}._acceptance:Constant",
        "every": f"{_HERE}._acceptance:Every",
        "annealed": f"{_HERE}._acceptance:Annealed",
    },
)

ALGORITHMS = Registry(
    kind="algorithm",
    base=f"{_HERE}.base:Algorithm",
    nested=(DIRECTIONS, ACCEPTANCES),
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
    },
)

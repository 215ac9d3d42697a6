"""The register of claims: the explicit list, and the numbers that were frozen with it.

A claim is registered before its first run. `frozen.json` holds the digest of all that
decides it (`rule_digest` in `mmbench/analysis/verdicts.py`), which tests hold it
against, and which results carry.
"""

import json
from pathlib import Path

from mmbench.studies.base import LOOKS, PAPER_LEVEL, Claim
from mmbench.studies.icr_blog import ICR_BLOG
from mmbench.studies.icr_paper import ICR_PAPER
from mmbench.studies.icr_projection import PROJECTION
from mmbench.studies.mangoubi_blog import DECISIVE, FURTHER
from mmbench.studies.rosca_lecture import ROSCA_LECTURE

_TUPLES = (DECISIVE, PROJECTION, ICR_PAPER, ICR_BLOG, FURTHER, ROSCA_LECTURE)
CLAIMS: dict[str, Claim] = {one.name: one for part in _TUPLES for one in part}

# The most claims on random runs that each document may have, by which their levels are
# divided; frozen, so that a later claim changes no earlier verdict.
MOST_RANDOM = {"mangoubi-blog": 18, "icr": 12, "icr-blog": 4, "rosca-lecture": 4}

FROZEN: dict[str, str] = json.loads(
    Path(__file__).with_name("frozen.json").read_text("utf-8")
)


def level_of_look(claim: Claim) -> float:
    """Return the error allowed to one look at a claim's runs, 0 where nothing errs."""
    if not claim.is_random:
        return 0.0
    return PAPER_LEVEL / MOST_RANDOM[claim.paper] / len(LOOKS)

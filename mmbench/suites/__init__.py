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
    },
)

"""Domains of fields: annotations that a description checks when it is made.

A field annotated `StepSize` or `Annotated[int, Domain(low=1)]` states its domain once;
the check, its message, `mmbench show` and the methods page all read it from there.

    Finite          a finite number
    Positive        a number above 0
    NonNegative     a number of at least 0
    Coordinate      a number with an absolute value of at most 1e6, as an entry of z
    Bound           a number from 0 to 1e6, which bounds entries of z
    Scale           a number above 0, up to 1e6, which multiplies entries of z
    Fraction        a number from 0 to 1
    Decay           a number from 0 to below 1, such as the weight of an average
    Count           a whole number of at least 1
    Natural         a whole number of at least 0
    Seed, Runs, Records, Steps, Budget    whole numbers of a cell, with their limits
    StepSize        a positive number, or a pair of them for x and y
"""

import math
import sys
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Domain:
    """An interval of finite numbers; `str` of it completes "a number ...".

    Args:
        low: lower bound.
        high: upper bound.
        open_low: whether the lower bound itself is refused.
        open_high: whether the upper bound itself is refused.
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        # A whole number may be beyond all floats; a NaN is within no bound.
        return abs(value) <= sys.float_info.max and above and below

    def __str__(self) -> str:
        low = f"{'above' if self.open_low else 'at least'} {self.low:g}"
        high = f"{'below' if self.open_high else 'at most'} {self.high:g}"
        match math.isinf(self.low), math.isinf(self.high):
            case True, True:
                return "that is finite"
            case False, True:
                return low
            case True, False:
                return high
        return f"{low} and {high}"


Finite = Annotated[float, Domain()]
Positive = Annotated[float, Domain(low=0, open_low=True)]
NonNegative = Annotated[float, Domain(low=0)]
# Beyond 1e6 a run has diverged (`Task.limit`), and float32 overflows before float64.
Coordinate = Annotated[float, Domain(low=-1e6, high=1e6)]
Bound = Annotated[float, Domain(low=0, high=1e6)]
Scale = Annotated[float, Domain(low=0, high=1e6, open_low=True)]
Fraction = Annotated[float, Domain(low=0, high=1)]
Decay = Annotated[float, Domain(low=0, high=1, open_high=True)]
Count = Annotated[int, Domain(low=1)]
Natural = Annotated[int, Domain(low=0)]
Seed = Annotated[int, Domain(low=0, high=2**53)]  # floats are exact so far
# A cell's description lists its seeds, and its table has a row for each record.
Runs = Annotated[int, Domain(low=1, high=10**6)]
Records = Annotated[int, Domain(low=1, high=10**6)]
Steps = Annotated[int, Domain(low=1, high=2**53)]
Budget = Annotated[int, Domain(low=0, high=2**53)]

# A number for both players, or a pair (x, y).
StepSize = Positive | tuple[Positive, Positive]

"""Operations: numbers of a run in C, and torch's operations on them one by one."""

import math
from dataclasses import dataclass
from typing import Any

import torch

aten = torch.ops.aten


class UnsupportedError(Exception):
    """A step is no formula of each run's own numbers; the message says where."""


@dataclass(frozen=True)
class Value:
    """A number of a run in C.

    Args:
        code: its name, or a literal.
        kind: "real", "whole" or "truth"; "none" where it may not be used.
    """

    code: str
    kind: str

    @property
    def type(self) -> str:
        """In C."""
        return "real" if self.kind == "real" else "whole"

    def as_(self, kind: str) -> str:
        """The same as another kind.

        Raises:
            UnsupportedError: when it may not be used.
        """
        if self.kind == "none":
            raise UnsupportedError(f"{self.code} is used")
        if self.kind == kind:
            return self.code
        if kind == "truth":
            return f"TRUTH({self.code} != 0)"
        if (self.kind, kind) == ("real", "whole"):
            raise UnsupportedError("a number is cut off to a whole one")
        code = f"({self.code} & 1)" if self.kind == "truth" else self.code
        return code if kind == "whole" else f"((real){code})"


def kind_of(dtype: torch.dtype) -> str:
    """What numbers of a tensor are in C."""
    if dtype == torch.bool:
        return "truth"
    return "real" if dtype.is_floating_point else "whole"


# Words that formulas use, for numbers of types `real` and `whole`, which are as wide. A
# truth has all bits set or none, and choices are made bit by bit: with branches it is
# the compiler's luck whether a loop becomes operations on vectors.
WORDS = """\
#define TRUTH(condition) (-(whole)(condition))

static inline real pick(whole on, real a, real b) {
  whole bits_a, bits_b;
  memcpy(&bits_a, &a, sizeof a);
  memcpy(&bits_b, &b, sizeof b);
  bits_a = (on & bits_a) | (~on & bits_b);
  memcpy(&a, &bits_a, sizeof a);
  return a;
}
static inline real most(real a, real b) {
  return pick(TRUTH(a > b) | TRUTH(a != a), a, b);
}
static inline real least(real a, real b) {
  return pick(TRUTH(a < b) | TRUTH(a != a), a, b);
}
"""

# Whose results are real numbers.
REAL: dict[Any, str] = {
    aten.abs.default: "F(fabs)({0})",
    aten.add.Scalar: "{0} + {1}",
    aten.add.Tensor: "{0} + {1}",
    aten.clamp_max.default: "least({0}, {1})",
    aten.clamp_min.default: "most({0}, {1})",
    aten.cos.default: "F(cos)({0})",
    aten.div.Scalar: "{0} / {1}",
    aten.div.Tensor: "{0} / {1}",
    aten.exp.default: "F(exp)({0})",
    aten.expm1.default: "F(expm1)({0})",
    aten.log.default: "F(log)({0})",
    aten.log1p.default: "F(log1p)({0})",
    aten.maximum.default: "most({0}, {1})",
    aten.minimum.default: "least({0}, {1})",
    aten.mul.Scalar: "{0} * {1}",
    aten.mul.Tensor: "{0} * {1}",
    aten.neg.default: "-{0}",
    aten.reciprocal.default: "1 / {0}",
    aten.rsqrt.default: "1 / F(sqrt)({0})",
    aten.sigmoid.default: "1 / (1 + F(exp)(-{0}))",
    aten.sign.default: "(real)(({0} > 0) - ({0} < 0))",
    aten.sin.default: "F(sin)({0})",
    aten.sqrt.default: "F(sqrt)({0})",
    aten.sub.Scalar: "{0} - {1}",
    aten.sub.Tensor: "{0} - {1}",
    aten.tanh.default: "F(tanh)({0})",
}
# Whole numbers, which count. What cuts, wraps or bounds them is not known.
WHOLE: dict[Any, str] = {
    target: REAL[target]
    for name in ("add", "mul", "sub")
    for target in (getattr(aten, name).Scalar, getattr(aten, name).Tensor)
}
IN_PLACE: dict[Any, Any] = {
    aten.add_.Tensor: aten.add.Tensor,
    aten.div_.Tensor: aten.div.Tensor,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.sub_.Tensor: aten.sub.Tensor,
}
# In the kind of what is compared.
COMPARED: dict[Any, str] = {
    getattr(getattr(aten, name), side): f"TRUTH({{0}} {sign} {{1}})"
    for name, sign in (
        *(("eq", "=="), ("ne", "!="), ("gt", ">"), ("ge", ">="), ("lt", "<")),
        ("le", "<="),
    )
    for side in ("Scalar", "Tensor")
}
# Truths.
TRUTH: dict[Any, str] = {
    aten.bitwise_and.Tensor: "{0} & {1}",
    aten.bitwise_not.default: "~{0}",
    aten.bitwise_or.Tensor: "{0} | {1}",
    aten.logical_and.default: "{0} & {1}",
    aten.logical_not.default: "~{0}",
    aten.logical_or.default: "{0} | {1}",
    aten.mul.Tensor: "{0} & {1}",
}
# By the kind of the result.
ENTRYWISE = {"real": REAL, "whole": WHOLE, "truth": TRUTH}


def literal(number: float) -> Value:
    """A number that is known when the program is written."""
    if isinstance(number, bool):
        return Value("(-1)" if number else "0", "truth")
    if isinstance(number, int):
        if abs(number) >= 2**31:
            raise UnsupportedError(f"{number} is too large for a whole number")
        return Value(f"({number})", "whole")
    known = {math.inf: "INFINITY", -math.inf: "(-INFINITY)"}
    code = "NAN" if math.isnan(number) else known.get(number, repr(number))
    return Value(f"((real){code})", "real")

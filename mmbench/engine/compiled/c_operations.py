"""C expressions for the numbers of one run, and torch's operations in terms of them."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

aten = torch.ops.aten

Kind = Literal["real", "integer", "mask", "unusable"]


class UnsupportedError(Exception):
    """A step cannot become a loop over independent runs; the message says why."""


@dataclass(frozen=True)
class Expression:
    """A C expression for one number of one run.

    Args:
        code: the name of a variable, or a literal.
        kind: "real"; "integer"; "mask", whose bits are all set (true) or all zero
            (false); or "unusable", for what a loop over runs cannot compute: a step may
            ask for its shape, but not for its value.
    """

    code: str
    kind: Kind

    @property
    def c_type(self) -> str:
        """The C type of a variable that holds the number."""
        return "real" if self.kind == "real" else "integer"

    def convert_to(self, kind: Kind) -> str:
        """Return the C code of the number, converted to another kind.

        Raises:
            UnsupportedError: when the number is unusable, or would be truncated.
        """
        if self.kind == "unusable":
            raise UnsupportedError(f"a step uses {self.code}")
        if self.kind == kind:
            return self.code
        if kind == "mask":
            return f"MASK({self.code} != 0)"
        if (self.kind, kind) == ("real", "integer"):
            raise UnsupportedError("a real number is truncated to an integer")
        code = f"({self.code} & 1)" if self.kind == "mask" else self.code
        return code if kind == "integer" else f"((real){code})"


def literal(number: float) -> Expression:
    """Return the literal of a number that is known when the program is written.

    Raises:
        UnsupportedError: for an integer of more than 32 bits.
    """
    if isinstance(number, bool):
        return Expression("(-1)" if number else "0", "mask")
    if isinstance(number, int):
        if abs(number) >= 2**31:
            raise UnsupportedError(f"the integer {number} needs more than 32 bits")
        return Expression(f"({number})", "integer")
    special = {math.inf: "INFINITY", -math.inf: "(-INFINITY)"}
    code = "NAN" if math.isnan(number) else special.get(number, repr(number))
    return Expression(f"((real){code})", "real")


def kind_of(dtype: torch.dtype) -> Kind:
    """Return the kind of the numbers of a tensor."""
    if dtype == torch.bool:
        return "mask"
    return "real" if dtype.is_floating_point else "integer"


# Definitions that the formulas below use. `real` and `integer` are equally wide, and
# choices are made bit by bit: whether a compiler turns branches into operations on
# vectors cannot be relied on.
DEFINITIONS = """\
#define MASK(condition) (-(integer)(condition))
#define LARGEST ((integer)(~(uint64_t)0 >> (65 - 8 * sizeof(integer))))

static inline integer bits_of(real a) {
  integer bits;
  memcpy(&bits, &a, sizeof a);
  return bits;
}
static inline real real_of(integer bits) {
  real a;
  memcpy(&a, &bits, sizeof a);
  return a;
}
static inline real choose(integer on, real a, real b) {
  return real_of((on & bits_of(a)) | (~on & bits_of(b)));
}
static inline real maximum(real a, real b) {
  return choose(MASK(a > b) | MASK(a != a), a, b);
}
static inline real minimum(real a, real b) {
  return choose(MASK(a < b) | MASK(a != a), a, b);
}
"""


def formula_of_choice(kind: Kind) -> str:
    """Return the formula of one number where a mask holds, of another elsewhere."""
    if kind == "real":
        return "choose({0}, {1}, {2})"
    return "({0} & {1}) | (~{0} & {2})"


def formula_of_power(exponent: float) -> str:
    """Return the formula of a power; squares and roots do without the general one."""
    special = {2: "{0} * {0}", 0.5: "F(sqrt)({0})", 1: "{0}", -1: "1 / {0}"}
    general = f"F(pow)({{0}}, {literal(exponent).convert_to('real')})"
    return special.get(exponent, general)


# Operations entry by entry, as formulas in C, by the kind of their results.
REAL_FORMULAS: dict[Any, str] = {
    aten.abs.default: "F(fabs)({0})",
    aten.add.Scalar: "{0} + {1}",
    aten.add.Tensor: "{0} + {1}",
    aten.clamp_max.default: "minimum({0}, {1})",
    aten.clamp_min.default: "maximum({0}, {1})",
    aten.cos.default: "F(cos)({0})",
    aten.div.Scalar: "{0} / {1}",
    aten.div.Tensor: "{0} / {1}",
    aten.exp.default: "F(exp)({0})",
    aten.expm1.default: "F(expm1)({0})",
    aten.log.default: "F(log)({0})",
    aten.log1p.default: "F(log1p)({0})",
    aten.maximum.default: "maximum({0}, {1})",
    aten.minimum.default: "minimum({0}, {1})",
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
# Integers only count: operations that truncate, wrap around or bound are unsupported.
INTEGER_FORMULAS: dict[Any, str] = {
    operation: REAL_FORMULAS[operation]
    for name in ("add", "mul", "sub")
    for operation in (getattr(aten, name).Scalar, getattr(aten, name).Tensor)
} | {aten.remainder.Scalar: "({0} % {1} + {1}) % {1}"}
MASK_FORMULAS: dict[Any, str] = {
    aten.bitwise_and.Tensor: "{0} & {1}",
    aten.bitwise_not.default: "~{0}",
    aten.bitwise_or.Tensor: "{0} | {1}",
    aten.logical_and.default: "{0} & {1}",
    aten.logical_not.default: "~{0}",
    aten.logical_or.default: "{0} | {1}",
    aten.mul.Tensor: "{0} & {1}",
}
FORMULAS: dict[Kind, dict[Any, str]] = {
    "real": REAL_FORMULAS,
    "integer": INTEGER_FORMULAS,
    "mask": MASK_FORMULAS,
}
# Comparisons give masks; their operands are converted to one kind.
COMPARISONS: dict[Any, str] = {
    getattr(getattr(aten, name), overload): f"MASK({{0}} {sign} {{1}})"
    for name, sign in (
        *(("eq", "=="), ("ne", "!="), ("gt", ">"), ("ge", ">="), ("lt", "<")),
        ("le", "<="),
    )
    for overload in ("Scalar", "Tensor")
}
# Operations that write their result into their first operand.
IN_PLACE: dict[Any, Any] = {
    aten.add_.Tensor: aten.add.Tensor,
    aten.div_.Tensor: aten.div.Tensor,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.sub_.Tensor: aten.sub.Tensor,
}

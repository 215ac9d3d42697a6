"""Translation of a traced step into C statements for the numbers of one run.

A tensor is represented by an array of `Expression`, one for each number that a single
run has in it: a tensor (runs, n) by an array (1, n), and a tensor without a runs axis,
which all runs share, by an array of its own shape. An operation on tensors becomes one
statement for each entry of its result; an operation that only moves numbers (a view, a
slice, a concatenation) becomes no statement at all. Operations that would let runs
depend on each other are refused.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import Target

from mmbench.engine.compiled.c_operations import (
    COMPARISONS,
    FORMULAS,
    IN_PLACE,
    REAL_FORMULAS,
    Expression,
    Kind,
    UnsupportedError,
    formula_of_choice,
    formula_of_power,
    kind_of,
    literal,
)

aten = torch.ops.aten

MAX_ENTRIES = 64  # entries of a tensor for each run; torch is faster beyond

Expressions = np.ndarray  # of Expression; the runs axis, if there is one, has length 1


class Translator(Interpreter):
    """A translator of a graph: run on expressions, it writes the graph's statements.

    Args:
        graph: a traced step.
        runs: the number of runs that it was traced with; no other axis is as long.
        real: the dtype of its floats.

    Attributes:
        statements: C statements, in order; each assigns a new variable.
    """

    def __init__(self, graph: GraphModule, runs: int, real: torch.dtype) -> None:
        super().__init__(graph)
        self.statements: list[str] = []
        self._runs, self._real = runs, real
        self._variables: dict[Expression, Expression] = {}  # by what they were assigned
        self._kind: Kind = "real"  # kind of the result that is being translated

    # ---- one operation after the other ----

    def run_node(self, n: Node) -> Any:
        """Translate one operation of the graph.

        Raises:
            UnsupportedError: when the loop cannot compute it for each run by itself.
        """
        if n.op != "call_function":
            return super().run_node(n)
        result_meta = n.meta["val"]
        if not isinstance(result_meta, Tensor):
            raise UnsupportedError(f"{n.target} returns several tensors")
        self._kind = self._supported_kind(n, result_meta.dtype)
        try:
            result = np.asarray(super().run_node(n), dtype=object)
        except (IndexError, TypeError, ValueError) as error:  # of numpy
            raise UnsupportedError(f"{n.target}: {error}") from None
        self._check_independent(n, result_meta.shape, result)
        if result.size > MAX_ENTRIES:
            raise UnsupportedError(f"{n.target} returns {result.size} numbers a run")
        return result

    def get_attr(self, target: Target, args: tuple, kwargs: dict) -> Expressions:
        """Return the literals of a constant tensor of the game or the method."""
        constant: Tensor = super().get_attr(target, args, kwargs)
        if constant.numel() > MAX_ENTRIES or self._runs in constant.shape:
            raise UnsupportedError(f"a constant has the shape {tuple(constant.shape)}")
        return _to_expressions(constant.tolist())

    def call_function(self, target: Target, args: tuple, kwargs: dict) -> Expressions:
        """Return the result of an operation."""
        formulas = FORMULAS[self._kind]
        if target in formulas:
            factor = kwargs.get("alpha", 1)
            if factor != 1:
                args = args[0], self._apply("{0} * {1}", self._kind, args[1], factor)
            return self._apply(formulas[target], self._kind, *args)
        if target in COMPARISONS:
            operands = [_to_expressions(operand) for operand in args]
            entries = [entry for operand in operands for entry in operand.flat]
            is_real = any(entry.kind == "real" for entry in entries)
            kind: Kind = "real" if is_real else "integer"
            return self._apply(COMPARISONS[target], kind, *operands)
        if target in IN_PLACE:
            result = self.call_function(IN_PLACE[target], args, kwargs)
            return _write(args[0], self.convert(result))
        if target in REAL_OPERATIONS and self._kind == "real":
            return REAL_OPERATIONS[target](self, *args, **kwargs)
        if target in OTHER_OPERATIONS:
            return OTHER_OPERATIONS[target](self, *args, **kwargs)
        raise UnsupportedError(f"{target} has no formula in C")

    def one_run(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return a shape with one run in the place of all."""
        return tuple(1 if size == self._runs else size for size in shape)

    # ---- what is refused ----

    def _supported_kind(self, node: Node, dtype: torch.dtype) -> Kind:
        """Return the kind of an operation's result, if the loop has such numbers."""
        kind = kind_of(dtype)
        if kind == "real" and dtype != self._real:
            raise UnsupportedError(f"{node.target} returns {dtype}")
        if kind == "integer" and dtype not in (torch.int32, torch.int64):
            raise UnsupportedError(f"{node.target} returns {dtype}")
        is_product = node.target in (aten.mul.Tensor, aten.mul.Scalar)
        if is_product and dtype == torch.int64 and self._real == torch.float32:
            # In C integers are as wide as floats. Counters fit; products may not.
            raise UnsupportedError(f"{node.target} may return large whole numbers")
        return kind

    def _check_independent(
        self, node: Node, shape: torch.Size, result: Expressions
    ) -> None:
        """Refuse an operation whose result is not computed run by run."""
        inputs = [one.meta["val"] for one in node.all_input_nodes]
        shapes = [one.shape for one in inputs if isinstance(one, Tensor)]
        with_runs = [one for one in shapes if self._runs in one]
        is_by_run = (
            shape.count(self._runs) == 1 if with_runs else self._runs not in shape
        )
        is_unusable = any(entry.kind == "unusable" for entry in result.flat)
        if node.target in NEW_TENSORS or is_unusable:
            is_by_run = shape.count(self._runs) < 2
        if node.target is aten.view.default and with_runs and is_by_run:
            # A view must not move entries across the runs axis.
            before, after = (self._entries_before(one) for one in (*with_runs, shape))
            is_by_run = before == after
        if not is_by_run or result.shape != self.one_run(shape):
            raise UnsupportedError(f"{node.target} does not treat each run by itself")

    def _entries_before(self, shape: Sequence[int]) -> int:
        """Return the product of the lengths of all axes before the runs axis."""
        return math.prod(shape[: list(shape).index(self._runs)])

    # ---- operations that are more than one formula ----

    def where(self, on: Expressions, new: Any, old: Any) -> Expressions:
        """Return new numbers where a mask holds, old ones where it does not."""
        formula = formula_of_choice(self._kind)

        def choose(on: Expression, new: Expression, old: Expression) -> Expression:
            sides = new.convert_to(self._kind), old.convert_to(self._kind)
            return self._assign(formula.format(on.convert_to("mask"), *sides))

        return _map_entries(choose, on, new, old)

    def convert(self, operand: Any, **_: Any) -> Expressions:
        """Return numbers converted to the kind of the operation's result."""
        kind = self._kind
        return _map_entries(lambda x: Expression(x.convert_to(kind), kind), operand)

    def clamp(
        self, operand: Expressions, low: Any = None, high: Any = None
    ) -> Expressions:
        """Return numbers within bounds."""
        if low is not None:
            formula = REAL_FORMULAS[aten.clamp_min.default]
            operand = self._apply(formula, "real", operand, low)
        if high is not None:
            formula = REAL_FORMULAS[aten.clamp_max.default]
            operand = self._apply(formula, "real", operand, high)
        return operand

    def power(self, operand: Expressions, exponent: float) -> Expressions:
        """Return powers."""
        return self._apply(formula_of_power(exponent), "real", operand)

    def sum(
        self, operand: Expressions, dims: Sequence[int], keepdim: bool = False, **_: Any
    ) -> Expressions:
        """Return sums along axes of each run; a sum over all runs is unusable."""
        if not dims:
            return np.array(Expression("a sum over runs", "unusable"), dtype=object)
        return self._reduce("{0} + {1}", operand, dims, keepdim)

    def amax(
        self, operand: Expressions, dims: Sequence[int], keepdim: bool = False
    ) -> Expressions:
        """Return the largest numbers along axes of each run."""
        formula = REAL_FORMULAS[aten.maximum.default]
        return self._reduce(formula, operand, dims, keepdim)

    def norm(
        self,
        operand: Expressions,
        order: float = 2,
        dims: Sequence[int] | None = None,
        keepdim: bool = False,
        **_: Any,
    ) -> Expressions:
        """Return Euclidean norms along axes of each run."""
        if not dims or order != 2:
            raise UnsupportedError(f"a norm of order {order} along {dims}")
        squares = self._apply("{0} * {0}", "real", operand)
        sums = self._reduce("{0} + {1}", squares, dims, keepdim)
        return self._apply("F(sqrt)({0})", "real", sums)

    def _reduce(
        self, formula: str, operand: Expressions, dims: Sequence[int], keepdim: bool
    ) -> Expressions:
        """Combine the numbers along axes with a formula of two numbers.

        A reduction over the runs axis, here of length 1, passes; `_check_independent`
        refuses it afterwards.
        """
        for dim in sorted((dim % operand.ndim for dim in dims), reverse=True):
            first, *slices = np.split(operand, operand.shape[dim], axis=dim)
            operand = first
            for entries in slices:
                operand = self._apply(formula, self._kind, operand, entries)
            operand = operand if keepdim else operand.squeeze(dim)
        return operand.copy()  # writing into a sum must not write into its terms

    # ---- statements ----

    def _apply(self, formula: str, kind: Kind, *operands: Any) -> Expressions:
        """Apply a formula entry by entry to operands converted to one kind."""

        def write(*entries: Expression) -> Expression:
            codes = (entry.convert_to(kind) for entry in entries)
            return self._assign(formula.format(*codes))

        return _map_entries(write, *operands)

    def _assign(self, code: str) -> Expression:
        """Return the variable that holds the value of some C code, computed once."""
        computed = Expression(code, self._kind)
        if computed not in self._variables:
            variable = Expression(f"t{len(self._variables)}", self._kind)
            self.statements.append(f"const {variable.c_type} {variable.code} = {code};")
            self._variables[computed] = variable
        return self._variables[computed]


def _map_entries(function: Callable[..., Expression], *operands: Any) -> Expressions:
    """Apply a function entry by entry, with numpy's broadcasting."""
    arrays = map(_to_expressions, operands)
    return np.asarray(np.frompyfunc(function, len(operands), 1)(*arrays), dtype=object)


def _to_expressions(operand: Any) -> Expressions:
    """Return expressions as they are, and nested lists of numbers as literals."""
    if isinstance(operand, np.ndarray):
        return operand
    shape = np.shape(operand)
    literals = np.empty(shape, dtype=object)
    for position in np.ndindex(shape):
        entry = operand
        for index in position:
            entry = entry[index]
        literals[position] = literal(entry)
    return literals


def _full(shape: Sequence[int], number: float) -> Expressions:
    """Return an array that holds one number everywhere."""
    array = np.empty(shape, dtype=object)
    array.fill(literal(number))
    return array


def _slice(
    operand: Expressions,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Expressions:
    """Return a slice along an axis, as a view."""
    before = (slice(None),) * (dim % operand.ndim)
    return operand[(*before, slice(start, end, step))]


def _select(operand: Expressions, dim: int, index: int) -> Expressions:
    """Return one index along an axis, as a view, for it may be written into."""
    return operand[(slice(None),) * (dim % operand.ndim) + (index, ...)]


def _write(target: Expressions, values: Any) -> Expressions:
    """Write values into an array, and so into all that it is a view of."""
    target[...] = values
    return target


def _expand(operand: Expressions, shape: Sequence[int]) -> Expressions:
    """Broadcast an array to a shape, in which -1 keeps an axis as it is."""
    own_shape = (1,) * (len(shape) - operand.ndim) + operand.shape
    full_shape = [
        own if size == -1 else size for size, own in zip(shape, own_shape, strict=True)
    ]
    return np.broadcast_to(operand, full_shape)


# Operations whose result may have a runs axis although no operand has one.
NEW_TENSORS = {aten.full.default, aten.full_like.default, aten.expand.default}

# Operations that are more than one formula of each entry, called with the translator
# and their arguments. The first table holds for results that are real numbers only.
REAL_OPERATIONS: dict[Any, Callable[..., Expressions]] = {
    aten.amax.default: Translator.amax,
    aten.clamp.default: Translator.clamp,
    aten.linalg_vector_norm.default: Translator.norm,
    aten.pow.Tensor_Scalar: Translator.power,
    aten.sum.dim_IntList: Translator.sum,
}
OTHER_OPERATIONS: dict[Any, Callable[..., Expressions]] = {
    aten._to_copy.default: Translator.convert,  # noqa: SLF001  # torch's name for it
    aten.arange.start_step: lambda _, start, end, step=1, **__: _to_expressions(
        list(range(start, end, step))
    ),
    aten.cat.default: lambda _, operands, dim=0: np.concatenate(operands, axis=dim),
    aten.clone.default: lambda _, operand, **__: operand.copy(),
    aten.copy.default: lambda translator, target, values: _expand(
        translator.convert(values), target.shape
    ),
    aten.copy_.default: lambda translator, target, values: _write(
        target, translator.convert(values)
    ),
    aten.expand.default: lambda translator, operand, shape: _expand(
        operand, translator.one_run(shape)
    ),
    aten.fill_.Scalar: lambda translator, target, number: _write(
        target, translator.convert(number)
    ),
    aten.full.default: lambda translator, shape, number, **_: translator.convert(
        _full(translator.one_run(shape), number)
    ),
    aten.full_like.default: lambda translator, like, number, **_: translator.convert(
        _full(like.shape, number)
    ),
    aten.scalar_tensor.default: Translator.convert,
    aten.select.int: lambda _, operand, dim, index: _select(operand, dim, index),
    aten.slice.Tensor: lambda _, *args: _slice(*args),
    aten.squeeze.dims: lambda _, operand, dims: operand.squeeze(tuple(dims)),
    aten.unsqueeze.default: lambda _, operand, dim: np.expand_dims(operand, dim),
    aten.view.default: lambda translator, operand, shape: operand.reshape(
        translator.one_run(shape)
    ),
    aten.where.self: Translator.where,
    **dict.fromkeys(
        (aten.alias.default, aten.detach.default, aten.lift_fresh_copy.default),
        lambda _, operand, **__: operand,
    ),
}

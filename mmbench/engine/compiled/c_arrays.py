"""Arrays of a few runs in C: where they lie, what computes them, and loops over them.

An array is `Stored` in a buffer, or computed where it is used: a `Formula` of other
arrays, entry by entry, or arrays that are `Joined`. The first axis of an array that
differs from run to run is the runs axis.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from mmbench.engine.compiled.c_operations import Expression, Kind, UnsupportedError

Shape = tuple[int, ...]

SUM = "{0} + {1}"  # the formula of two numbers
PARTIAL_SUMS = 16  # of a sum along neighbouring numbers, so that it fills registers


@dataclass(eq=False)
class Buffer:
    """A place in memory.

    Args:
        name: of the C pointer to it.
        size: its length, in numbers.
        c_type: C type of its numbers.
        kind: kind of its numbers.
    """

    name: str
    size: int
    c_type: str
    kind: Kind


@dataclass(frozen=True, eq=False)
class Stored:
    """An array in a buffer, or one number at every place.

    Args:
        shape: its shape.
        kind: kind of its numbers.
        buffer: where it lies; None for a number that is the same everywhere.
        strides: distance of neighbours along each axis, in numbers.
        offset: place of its first number.
        code: C code of the number that is the same everywhere.
    """

    shape: Shape
    kind: Kind
    buffer: Buffer | None = None
    strides: Shape = ()
    offset: int = 0
    code: str = ""

    @classmethod
    def everywhere(cls, shape: Shape, number: Expression) -> "Stored":
        """Return an array that holds one number everywhere."""
        return cls(shape, number.kind, None, (0,) * len(shape), 0, number.code)

    @classmethod
    def whole(cls, buffer: Buffer, shape: Shape) -> "Stored":
        """Return all of a buffer as an array."""
        return cls(shape, buffer.kind, buffer, contiguous(shape))

    @classmethod
    def beside(cls, buffer: Buffer, shape: Shape) -> "Stored":
        """Return all of a buffer as an array with its first axis innermost."""
        strides = (1, *(stride * shape[0] for stride in contiguous(shape[1:])))
        return cls(shape, buffer.kind, buffer, strides)

    @property
    def place(self) -> Buffer:
        """The buffer in which it lies."""
        assert self.buffer is not None
        return self.buffer

    @property
    def pointer(self) -> str:
        """C code of the address of its first number."""
        return f"{self.place.name} + {self.offset}"

    @property
    def is_contiguous(self) -> bool:
        """Whether the numbers lie one after the other."""
        return all(
            size == 1 or stride == expected
            for size, stride, expected in zip(
                self.shape, self.strides, contiguous(self.shape), strict=True
            )
        )

    def broadcast(self, shape: Shape) -> "Stored":
        """Return the array repeated along new axes and axes of length 1."""
        missing = len(shape) - len(self.shape)
        strides = (0,) * missing + tuple(
            0 if size == 1 else stride
            for size, stride in zip(self.shape, self.strides, strict=True)
        )
        return replace(self, shape=shape, strides=strides)

    def select(self, axis: int, index: int) -> "Stored":
        """Return one index along an axis, without the axis."""
        return replace(
            self,
            shape=self.shape[:axis] + self.shape[axis + 1 :],
            strides=self.strides[:axis] + self.strides[axis + 1 :],
            offset=self.offset + index * self.strides[axis],
        )

    def slice(self, axis: int, start: int, end: int, step: int = 1) -> "Stored":
        """Return a slice along an axis."""
        size = self.shape[axis]
        start, end = (min(i + size if i < 0 else i, size) for i in (start, end))
        length = max(0, -(-(end - start) // step))
        return replace(
            self,
            shape=(*self.shape[:axis], length, *self.shape[axis + 1 :]),
            strides=(
                *self.strides[:axis],
                self.strides[axis] * step,
                *self.strides[axis + 1 :],
            ),
            offset=self.offset + start * self.strides[axis],
        )

    def permute(self, axes: Sequence[int]) -> "Stored":
        """Return the array with its axes in another order."""
        return replace(
            self,
            shape=tuple(self.shape[axis] for axis in axes),
            strides=tuple(self.strides[axis] for axis in axes),
        )

    def insert_axis(self, axis: int) -> "Stored":
        """Return the array with a new axis of length 1."""
        return replace(
            self,
            shape=(*self.shape[:axis], 1, *self.shape[axis:]),
            strides=(*self.strides[:axis], 0, *self.strides[axis:]),
        )

    def view(self, shape: Shape) -> "Stored | None":
        """Return the array in another shape; None where it must be copied for that."""
        if self.buffer is None:
            return replace(self, shape=shape, strides=(0,) * len(shape))
        if self.is_contiguous:
            return replace(self, shape=shape, strides=contiguous(shape))
        kept = [
            (size, stride)
            for size, stride in zip(self.shape, self.strides, strict=True)
            if size != 1
        ]
        if [size for size, _ in kept] != [size for size in shape if size != 1]:
            return self._split_or_merge(shape)
        strides = iter(stride for _, stride in kept)
        return replace(
            self,
            shape=shape,
            strides=tuple(0 if size == 1 else next(strides) for size in shape),
        )

    def _split_or_merge(self, shape: Shape) -> "Stored | None":
        """Return a view whose first axis stays and whose others go on as one."""
        sizes = self.shape[1:]
        rest = list(zip(sizes, self.strides[1:], contiguous(sizes), strict=True))
        distance = next((one[1] for one in reversed(rest) if one[0] != 1), 1)
        if shape[:1] != self.shape[:1] or any(
            size != 1 and stride != distance * expected
            for size, stride, expected in rest
        ):
            return None
        strides = (distance * stride for stride in contiguous(shape[1:]))
        return replace(self, shape=shape, strides=(self.strides[0], *strides))


@dataclass(eq=False)
class Formula:
    """An array that is computed entry by entry where it is used.

    Args:
        shape: its shape.
        kind: kind of its numbers.
        operands: arrays of the same shape.
        write: from the C expressions of an entry of each operand to the C code of the
            entry.
        depth: formulas within formulas.
    """

    shape: Shape
    kind: Kind
    operands: "tuple[Array, ...]"
    write: Callable[..., str]
    depth: int = field(default=1)


@dataclass(eq=False)
class Joined:
    """Arrays joined along an axis, of which each is computed where it is used.

    Args:
        shape: its shape.
        kind: kind of its numbers.
        parts: the arrays.
        axis: the axis.
        depth: formulas within formulas.
    """

    shape: Shape
    kind: Kind
    parts: "tuple[Array, ...]"
    axis: int
    depth: int = field(default=1)


Array = Stored | Formula | Joined


def contiguous(shape: Shape) -> Shape:
    """Return the strides of an array whose numbers lie one after the other."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def leaves(array: Array) -> Iterator[Stored]:
    """Yield the stored arrays that an array is computed from."""
    if isinstance(array, Stored):
        yield array
    else:
        for one in array.operands if isinstance(array, Formula) else array.parts:
            yield from leaves(one)


def pieces(array: Array, target: Stored) -> list[tuple[Array, Stored]]:
    """Return pieces of an array, in none of which anything is joined.

    Args:
        array: the array; all that is joined in it is cut at the same places.
        target: another array of the same shape.

    Returns:
        Each piece with that of the target. An array in which nothing is joined is one
        piece.
    """
    joined = joined_in(array)
    if joined is None:
        return [(array, target)]
    found, first, axis = [], 0, joined.axis
    for part in joined.parts:
        end = first + part.shape[axis]
        cut = _piece(array, axis, first, end), target.slice(axis, first, end)
        found.append(cut)
        first = end
    return found


def joined_in(array: Array) -> Joined | None:
    """Return what is joined in an array; None where nothing is."""
    if isinstance(array, Joined):
        return array
    operands = array.operands if isinstance(array, Formula) else ()
    return next(filter(None, map(joined_in, operands)), None)


def _piece(array: Array, axis: int, first: int, end: int) -> Array:
    """Return the indices along an axis of an array that is cut there."""
    if isinstance(array, Stored):
        return array.slice(axis, first, end)
    if isinstance(array, Formula):
        operands = tuple(_piece(one, axis, first, end) for one in array.operands)
        shape = operands[0].shape
        return replace(array, shape=shape, operands=operands)
    ends = accumulate(part.shape[axis] for part in array.parts)
    return array.parts[list(ends).index(end)]


def reads(array: Array) -> list[Buffer]:
    """Return the buffers that an array is computed from."""
    return [leaf.buffer for leaf in leaves(array) if leaf.buffer is not None]


# ---- loops ----


class _Entry:
    """The C code of the entry of an array at loop variables; temporaries are shared."""

    def __init__(self, variables: dict[int, str]) -> None:
        self.statements: list[str] = []
        self._variables = variables  # by axis
        self._known: dict[int, Expression] = {}

    def code(self, array: Array) -> Expression:
        """Return the expression of an entry, after the statements that it needs."""
        if isinstance(array, Stored):
            return _element(array, self._variables)
        assert isinstance(array, Formula)  # what is joined is cut before
        if id(array) not in self._known:
            operands = [self.code(operand) for operand in array.operands]
            name = f"t{len(self._known)}"
            found = Expression(name, array.kind)
            code = array.write(*operands)
            self.statements.append(f"const {found.c_type} {name} = {code};")
            self._known[id(array)] = found
        return self._known[id(array)]


def _element(array: Stored, variables: dict[int, str]) -> Expression:
    """Return the C expression of the entry of a stored array."""
    if array.buffer is None:
        return Expression(array.code, array.kind)
    code = element(array, variables)
    if array.buffer.c_type in ("real", "integer"):
        return Expression(code, array.kind)
    if array.kind == "mask":
        return Expression(f"MASK({code})", "mask")
    return Expression(f"(integer){code}", "integer")


def element(array: Stored, variables: dict[int, str]) -> str:
    """Return the C code of the place of an entry of a stored array."""
    terms = [str(array.offset)] if array.offset else []
    for axis, name in variables.items():
        if stride := array.strides[axis]:
            terms.append(name if stride == 1 else f"{name} * {stride}")
    return f"{array.place.name}[{' + '.join(terms) or '0'}]"


def store_loop(source: Array, target: Stored) -> str:
    """Return C code that computes an array into a place of the same shape."""
    sizes = _merge_axes(source, target)
    variables = {axis: f"i{axis}" for axis, _ in sizes}
    entry = _Entry(variables)
    found = entry.code(source)
    place = element(target, variables)
    code = found.convert_to(target.kind)
    if target.kind == "mask" and target.place.c_type == "uint8_t":
        code = f"{code} & 1"
    body = [*entry.statements, f"{place} = {code};"]
    return _nest(sizes, body)


def reduce_loop(
    source: Array,
    target: Stored,
    over: Sequence[int],
    formula: str,
    start: str,
    *,
    is_first_inner: bool,
) -> str:
    """Return C code that combines the numbers of an array along axes.

    The order in which they are combined does not depend on where they lie.

    Args:
        source: the array.
        target: where the results go; of the shape of the array, with strides of zero
            along the axes that are reduced.
        over: these axes.
        formula: of the combination of two numbers.
        start: C code of what nothing is combined to.
        is_first_inner: whether the first axis, which is not among these, is that of the
            innermost loop.
    """
    axes = [axis for axis, size in enumerate(source.shape) if size != 1]
    variables = {axis: f"i{axis}" for axis in axes}
    entry = _Entry(variables)
    code = entry.code(source).convert_to(target.kind)
    place = element(target, {i: name for i, name in variables.items() if i not in over})
    inmost, axes = (axes[:1], axes[1:]) if is_first_inner else ([], axes)
    lengths = [(axis, source.shape[axis]) for axis in inmost]
    sizes = [(axis, source.shape[axis]) for axis in axes]
    kept = [one for one in sizes if one[0] not in over]
    lines = _nest([*kept, *lengths], [f"{place} = {start};"])
    if not axes or axes[-1] not in over:
        body = [*entry.statements, f"{place} = {formula.format(place, code)};"]
        return lines + "\n" + _nest([*sizes, *lengths], body)
    *outer, (last, size) = sizes
    c_type = "real" if target.kind == "real" else "integer"
    if lengths:
        ((axis, length),) = lengths
        part = f"part[i{last} % {PARTIAL_SUMS}][i{axis}]"
        step = f"{part} = {formula.format(part, code)};"
        join = f"{place} = {formula.format(place, f'part[lane][i{axis}]')};"
        parts = [
            f"{c_type} part[{PARTIAL_SUMS}][{length}];",
            f"for (int lane = 0; lane < {PARTIAL_SUMS}; ++lane)",
            _nest(lengths, [f"part[lane][i{axis}] = {start};"]),
            _nest([(last, size), *lengths], [*entry.statements, step]),
            f"for (int lane = 0; lane < {PARTIAL_SUMS}; ++lane)",
            _nest(lengths, [join]),
        ]
        return lines + "\n" + _nest(outer, parts, is_vector=False)
    whole = size // PARTIAL_SUMS * PARTIAL_SUMS
    step = formula.format("part[lane]", code)
    name = variables[last]
    inner = [
        "{",
        f"{c_type} part[{PARTIAL_SUMS}];",
        f"for (int lane = 0; lane < {PARTIAL_SUMS}; ++lane) part[lane] = {start};",
        f"for (int first = 0; first < {whole}; first += {PARTIAL_SUMS}) {{",
        "#pragma omp simd",
        f"for (int lane = 0; lane < {PARTIAL_SUMS}; ++lane) {{",
        f"const int {name} = first + lane;",
        *entry.statements,
        f"part[lane] = {step};",
        "}",
        "}",
        f"for (int lane = 0; lane < {size - whole}; ++lane) {{",
        f"const int {name} = {whole} + lane;",
        *entry.statements,
        f"part[lane] = {step};",
        "}",
        *_joined_lanes(place, formula),
        "}",
    ]
    return lines + "\n" + _nest(outer, inner, is_vector=False)


def largest_loop(
    source: Array,
    target: Stored,
    over: Sequence[int],
    *,
    is_first_inner: bool,
    kept_in: Stored | None = None,
    is_more: bool = False,
) -> str:
    """Return C code of the largest numbers of an array that has no negative ones.

    The bits of such numbers are integers of the same order, NaN above the others. The
    sign of NaN is cleared, for the compiler leaves out `fabs` where it knows better.

    Args:
        source: the array.
        target: as `reduce_loop` takes it.
        over: the last axis, which is longer than 1.
        is_first_inner: as `reduce_loop` takes it.
        kept_in: a place for the array itself, whose signs are then left out here.
        is_more: whether the target holds the largest numbers of what came before.
    """
    (axis,) = over
    kept = [i for i, size in enumerate(source.shape) if size != 1 and i != axis]
    variables = {i: f"i{i}" for i in (*kept, axis)}
    entry = _Entry(variables)
    code = entry.code(source).convert_to("real")
    place = element(target, {i: variables[i] for i in kept})
    size = source.shape[axis]
    if is_first_inner:
        first, *kept = kept
        lengths, most = [(first, source.shape[first])], f"most[i{first}]"
        step = [
            f"const integer bits = bits_of({code}) & LARGEST;",
            f"{most} = bits > {most} ? bits : {most};",
        ]
        if kept_in:
            step.append(f"{element(kept_in, variables)} = {code};")
        start = f"bits_of({place})" if is_more else "0"
        inner = [
            f"integer most[{source.shape[first]}];",
            _nest(lengths, [f"{most} = {start};"]),
            _nest([(axis, size), *lengths], [*entry.statements, *step]),
            _nest(lengths, [f"{place} = real_of({most});"]),
        ]
    else:
        inner = [
            "{",
            "integer most = 0;",
            "#pragma omp simd reduction(max: most)",
            f"for (int i{axis} = 0; i{axis} < {size}; ++i{axis}) {{",
            *entry.statements,
            f"const integer bits = bits_of({code}) & LARGEST;",
            "most = bits > most ? bits : most;",
            "}",
            f"{place} = real_of(most);",
            "}",
        ]
    sizes = [(i, source.shape[i]) for i in kept]
    return _nest(sizes, inner, is_vector=False)


def _joined_lanes(place: str, formula: str) -> Iterable[str]:
    """Yield C code that combines all lanes of `part` into a place.

    Sums are added one after the other. The order of anything else, as of the largest
    number, has no effect, and halves are combined as vectors.
    """
    lanes = PARTIAL_SUMS
    while formula != SUM and lanes > 1:
        lanes //= 2
        yield "#pragma omp simd"
        yield f"for (int lane = 0; lane < {lanes}; ++lane)"
        yield f"part[lane] = {formula.format('part[lane]', f'part[lane + {lanes}]')};"
    yield f"for (int lane = 0; lane < {lanes}; ++lane)"
    yield f"{place} = {formula.format(place, 'part[lane]')};"


def _nest(
    sizes: Sequence[tuple[int, int]], body: Iterable[str], *, is_vector: bool = True
) -> str:
    """Return a loop nest over axes, the innermost one turned into vector operations."""
    lines = ["{"]
    for number, (axis, size) in enumerate(sizes):
        if is_vector and number == len(sizes) - 1:
            lines.append("#pragma omp simd")
        lines.append(f"for (int i{axis} = 0; i{axis} < {size}; ++i{axis}) {{")
    lines += [*body, "}" * len(sizes), "}"]
    return "\n".join(lines)


def _merge_axes(source: Array, target: Stored) -> list[tuple[int, int]]:
    """Merge neighbouring axes along which all arrays go on as one; drop those of one.

    Returns:
        The axes that are left, each with its length, by the last of the merged ones, in
        the order in which the target lies.
    """
    shape = target.shape
    found = [leaf for leaf in (*leaves(source), target) if leaf.buffer is not None]
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    axes.sort(key=lambda axis: -target.strides[axis])
    sizes = list(shape)
    merged: list[int] = []
    for axis in axes:
        if merged and all(
            leaf.strides[merged[-1]] == leaf.strides[axis] * shape[axis]
            for leaf in found
        ):
            sizes[axis] *= sizes[merged[-1]]
            merged[-1] = axis
        else:
            merged.append(axis)
    return [(axis, sizes[axis]) for axis in merged]


def check_size(shape: Shape, most: int) -> None:
    """Refuse arrays that are too large to lie in cache.

    Raises:
        UnsupportedError: when an array of a run is larger.
    """
    if math.prod(shape) > most:
        raise UnsupportedError(f"a run has an array of {math.prod(shape)} numbers")

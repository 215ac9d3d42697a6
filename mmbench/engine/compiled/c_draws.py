"""Random numbers of torch's generators, drawn in C: the same bits in less time.

On a CPU torch makes random numbers one after the other. Here a generator's words are
renewed, and made numbers, many at once. The generator is left as torch leaves it, so
that both may draw from one generator in turn. What torch computes is found in no
document, down to the rounding: each process compares some draws with those of torch,
and draws as torch does where one bit differs.

Source: Matsumoto & Nishimura 1998 (the generator); Box & Muller 1958 (normal numbers);
the library Cephes by Moshier (polynomials of the logarithm, the sine and the cosine).
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from subprocess import CalledProcessError
from typing import Any

import torch
from torch import Tensor

from mmbench.engine.compiled.c_compiler import FASTEST, compile_functions
from mmbench.engine.compiled.c_operations import DEFINITIONS
from mmbench.engine.compiled.replaced_functions import ReplacedFunctions, is_watched

LEAST = 2**11  # numbers of a call from which drawing them in C is faster
# Numbers drawn at once for a run from which the context saves time: it costs a
# microsecond for each call of torch.
WORTH = 2**14

STATE_BYTES = 5056  # of a generator, of which `generator` below is the beginning
WORDS_BEGIN, WORDS_END = 24, 24 + 8 * 624  # the bytes of its words

# Products and sums are fused where torch's compiler has fused them.
SOURCE = (
    """\
#include <math.h>
#include <stdint.h>
#include <string.h>
#define FMA __builtin_fmaf
typedef float real;
typedef int32_t integer;

"""
    + DEFINITIONS
    + """\

enum { WORDS = 624, SHIFT = 397, BLOCK = 16, PAIRS = BLOCK / 2 };

typedef struct {
  uint64_t seed;
  int32_t left, is_seeded;
  uint64_t next, words[WORDS];
} generator;

static inline uint32_t twisted(uint32_t one, uint32_t next) {
  const uint32_t joined = (one & 0x80000000u) | (next & 0x7fffffffu);
  return (joined >> 1) ^ (-(next & 1u) & 0x9908b0dfu);
}

/* A word is made of some that are not renewed yet, and of one 227 words before it: many
   are renewed at once. */
static void renew(uint32_t *words) {
  enum { FIRST = WORDS - SHIFT, LAST = WORDS - 1 };
  for (int i = 0; i < FIRST; ++i)
    words[i] = words[i + SHIFT] ^ twisted(words[i], words[i + 1]);
  for (int i = FIRST; i < LAST; ++i)
    words[i] = words[i - FIRST] ^ twisted(words[i], words[i + 1]);
  words[LAST] = words[LAST - FIRST] ^ twisted(words[LAST], words[0]);
}

/* Uniform numbers of 24 bits in [0, 1). */
static void make_uniform(const uint32_t *restrict words, float *restrict out,
                         int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t word = words[i];
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c5680u;
    word ^= (word << 15) & 0xefc60000u;
    word ^= word >> 18;
    out[i] = (float)(int32_t)(word & 0xffffffu) * 0x1p-24f;
  }
}

/* The logarithm of 2^e m, with m in [sqrt(1/2), sqrt(2)): a polynomial in m - 1. */
static inline float logarithm(float number) {
  int32_t bits;
  memcpy(&bits, &number, sizeof bits);
  const float exponent = (float)((bits >> 23) - 126);
  bits = (bits & 0x7fffff) | 0x3f000000;
  float m;
  memcpy(&m, &bits, sizeof m);
  const integer is_small = MASK(m < 0.707106781186547524f);
  const float e = choose(is_small, exponent - 1, exponent);
  const float x = (m - 1) + choose(is_small, m, 0);
  const float square = x * x;
  float y = 7.0376836292e-2f;
  y = FMA(y, x, -1.1514610310e-1f);
  y = FMA(y, x, 1.1676998740e-1f);
  y = FMA(y, x, -1.2420140846e-1f);
  y = FMA(y, x, 1.4249322787e-1f);
  y = FMA(y, x, -1.6668057665e-1f);
  y = FMA(y, x, 2.0000714765e-1f);
  y = FMA(y, x, -2.4999993993e-1f);
  y = FMA(y, x, 3.3333331174e-1f);
  y = FMA(y * x, square, e * -2.12194440e-4f);
  y = FMA(square, -0.5f, y);
  return FMA(e, 0.693359375f, x + y);
}

/* A polynomial for the distance from the nearest multiple of pi / 2. */
static inline void find_sine_and_cosine(float angle, float *sine, float *cosine) {
  const int32_t octant = ((int32_t)(angle * 1.27323954473516f) + 1) & ~1;
  const float turned = (float)octant;
  float x = FMA(turned, -0.78515625f, angle);
  x = FMA(turned, -2.4187564849853515625e-4f, x);
  x = FMA(turned, -3.77489497744594108e-8f, x);
  const float square = x * x;
  float c = 2.443315711809948e-5f;
  c = FMA(c, square, -1.388731625493765e-3f);
  c = FMA(c, square, 4.166664568298827e-2f);
  c = FMA(c * square, square, -0.5f * square) + 1;
  float s = -1.9515295891e-4f;
  s = FMA(s, square, 8.3321608736e-3f);
  s = FMA(s, square, -1.6666654611e-1f);
  s = FMA(s * square, x, x);
  const integer is_swapped = MASK((octant & 2) != 0);
  const float across = choose(is_swapped, s, c), along = choose(is_swapped, c, s);
  *cosine = choose(MASK(((octant + 2) & 4) != 0), -across, across);
  *sine = choose(MASK((octant & 4) != 0), -along, along);
}

/* Make blocks of uniform numbers normal: number j of a block with number j + 8. */
static void make_normal(float *numbers, int64_t blocks) {
  _Alignas(64) float first[WORDS], second[WORDS];
  for (int64_t i = 0; i < blocks; ++i) {
    memcpy(first + PAIRS * i, numbers + BLOCK * i, PAIRS * sizeof *first);
    memcpy(second + PAIRS * i, numbers + BLOCK * i + PAIRS, PAIRS * sizeof *first);
  }
  for (int64_t i = 0; i < PAIRS * blocks; ++i) {
    const float radius = sqrtf(-2 * logarithm(1 - first[i]));
    float sine, cosine;
    find_sine_and_cosine(6.283185307179586f * second[i], &sine, &cosine);
    first[i] = radius * cosine + 0; /* no -0 */
    second[i] = radius * sine + 0;
  }
  for (int64_t i = 0; i < blocks; ++i) {
    memcpy(numbers + BLOCK * i, first + PAIRS * i, PAIRS * sizeof *first);
    memcpy(numbers + BLOCK * i + PAIRS, second + PAIRS * i, PAIRS * sizeof *first);
  }
}

/* Fill an array with random numbers; where they are normal, there are at least 16. */
void draw(void *state, float *out, int64_t count, int64_t is_normal) {
  generator *const given = state;
  uint32_t words[WORDS];
  for (int i = 0; i < WORDS; ++i) words[i] = (uint32_t)given->words[i];
  int64_t next = given->next, left = given->left - 1, uniform = 0, normal = 0;
  /* The last 16 numbers are drawn again where they are not a block. */
  int64_t again = is_normal && count % BLOCK;
  while (uniform < count) {
    if (!left) {
      renew(words);
      next = 0;
      left = WORDS;
    }
    const int64_t part = count - uniform < left ? count - uniform : left;
    make_uniform(words + next, out + uniform, part);
    next += part;
    left -= part;
    uniform += part;
    if (is_normal) {
      int64_t blocks = (uniform - normal) / BLOCK;
      if (uniform < count) blocks -= blocks % 2; /* whole registers */
      make_normal(out + normal, blocks);
      normal += blocks * BLOCK;
    }
    if (uniform == count && again) {
      again = 0;
      uniform = normal = count - BLOCK;
    }
  }
  for (int i = 0; i < WORDS; ++i) given->words[i] = words[i];
  given->next = next;
  given->left = left + 1;
}
"""
)

# Fills memory: pointers to a generator's state, which is moved on, and to the numbers;
# how many there are, and whether they are normal.
Draw = Callable[[int, int, int, bool], None]

# What is drawn in C, and whether it is normal.
FUNCTIONS: dict[Callable[..., Tensor], bool] = {torch.rand: False, torch.randn: True}

# Sizes that are compared with torch, and how many numbers torch draws before each.
COMPARED = (16, 17, 31, 32, 1000, 3 * 624 + 5, 2**21)
BEFORE = (0, 1, 3)


class FastDraws(ReplacedFunctions):
    """A context in which large float32 draws from a CPU generator are made in C.

    These are `torch.randn` and `torch.rand` of at least `LEAST` numbers with a
    `generator`, which no other thread may use meanwhile. Other calls are torch's own,
    and so are those within transforms, modes and traces of torch.

    Args:
        draw: the compiled function.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self._draw = draw

    def compute(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Tensor | None:
        """Return what is drawn in C; None where torch must draw it."""
        if func not in FUNCTIONS:
            return None
        options = dict(kwargs)
        source = options.pop("generator", None)
        is_plain = options.keys() <= {"dtype", "device"} and not is_watched()
        if source is None or not is_plain:
            return None
        out = torch.empty(*args, **options)
        if (
            out.numel() < LEAST
            or (out.dtype, out.device.type) != (torch.float32, "cpu")
            or type(out) is not Tensor
            or source.device.type != "cpu"
        ):
            return None
        fill(self._draw, source, out, is_normal=FUNCTIONS[func])
        return out


def fast_draws(numbers: int) -> AbstractContextManager[object]:
    """Return the context in which a game's minibatches are drawn.

    Args:
        numbers: random numbers that are drawn at once for a run.

    Returns:
        One in which nothing is drawn in C, where that would save no time, or where
        there is no compiled function that gives torch's bits.
    """
    draw = compiled_draw() if numbers >= WORTH else None
    return FastDraws(draw) if draw else nullcontext()


def fill(draw: Draw, source: torch.Generator, out: Tensor, *, is_normal: bool) -> None:
    """Fill a contiguous tensor of float32 with random numbers.

    Args:
        draw: the compiled function.
        source: random generator, on the CPU.
        out: the tensor, of at least 16 numbers.
        is_normal: whether they are normal; else they are uniform.
    """
    state = source.get_state()
    draw(state.data_ptr(), out.data_ptr(), out.numel(), is_normal)
    source.set_state(state)


@cache
def compiled_draw() -> Draw | None:
    """Return the compiled function, or None where it does not give torch's bits."""
    try:
        draw = compile_functions(SOURCE, FASTEST).draw
    except (OSError, CalledProcessError):
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    draw.argtypes, draw.restype = [pointer, pointer, integer, integer], None
    return draw if draws_as_torch(draw) else None


def draws_as_torch(draw: Draw) -> bool:
    """Return whether a function gives the bits of torch, and leaves its generator so.

    Args:
        draw: the function.
    """
    expected, found = (torch.Generator().manual_seed(0) for _ in range(2))
    state = expected.get_state()
    if state.numel() != STATE_BYTES:
        return False
    for count in COMPARED:
        for before in BEFORE:
            for function, is_normal in FUNCTIONS.items():
                for source in (expected, found):
                    torch.randn(before, generator=source)
                if not _draws_as(function, draw, expected, found, count, is_normal):
                    return False
    state[WORDS_BEGIN:WORDS_END] = 0
    for source in (expected, found):  # where logarithms are 0
        source.set_state(state)
    return _draws_as(torch.randn, draw, expected, found, 16, is_normal=True)


def _draws_as(
    function: Callable[..., Tensor],
    draw: Draw,
    expected: torch.Generator,
    found: torch.Generator,
    count: int,
    is_normal: bool,
) -> bool:
    """Return whether the next numbers are those of a function of torch.

    Args:
        function: the function of torch.
        draw: the compiled function.
        expected: the generator that torch draws from.
        found: another one, equal to it.
        count: how many numbers are drawn.
        is_normal: whether they are normal.
    """
    options: Any = {"dtype": torch.float32, "device": "cpu"}
    numbers = function(count, generator=expected, **options)
    out = torch.empty(count, **options)
    fill(draw, found, out, is_normal=is_normal)
    # As integers, which tell -0 from 0.
    return torch.equal(
        out.view(torch.int32), numbers.view(torch.int32)
    ) and torch.equal(found.get_state(), expected.get_state())

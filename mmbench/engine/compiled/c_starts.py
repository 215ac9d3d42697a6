"""What many runs draw for their starts, in C: the same bits as torch's in less time.

A run has a generator of its own, of which a start takes a few numbers. Torch makes,
seeds and renews one after the other, which takes six microseconds each; here those of
a few runs are made at once, and only as many words as are drawn. What torch computes is
found in no document: each process compares some draws with those of torch, and lets
torch draw where one bit differs.

Source: as in `c_draws`; FIPS 180-4 (SHA-256, by which `streams` makes seeds).
"""

import ctypes
import struct
from collections.abc import Callable, Sequence
from functools import cache
from subprocess import CalledProcessError
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from mmbench.core.streams import generator
from mmbench.engine.compiled.c_compiler import compile_functions
from mmbench.tasks.base import Numbers

WORTH = 2**14  # starts of a process that torch draws in the time of compiling
UNROLLED = ("-O2",)  # loops of vectors, without a search for further ones
MOST = 296  # numbers of a run: with 16 that are drawn again, they take 624 words

SOURCE = """\
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16, GROUPS = 4, RUNS = LANES * GROUPS, WORDS = 624, SHIFT = 397 };
enum { BLOCK = 16, PAIRS = BLOCK / 2 };

/* A word of the generators of some runs. Words of several groups of runs are computed
   side by side, since each waits for the one before it. */
typedef uint32_t Word __attribute__((vector_size(4 * LANES)));

static inline Word rotated(Word word, int by) {
  return word >> by | word << (32 - by);
}

/* The first 32 bits of the fraction of a number. */
static inline uint32_t fraction(double number) {
  return (uint32_t)((number - floor(number)) * 0x1p32);
}

/* Constants of SHA-256: of roots of the first primes, 8 and then 64. */
void find_constants(uint32_t *out) {
  for (int found = 0, number = 2; found < 64; ++number) {
    int is_prime = 1;
    for (int by = 2; by * by <= number; ++by) is_prime &= number % by != 0;
    if (!is_prime) continue;
    if (found < 8) out[found] = fraction(sqrt(number));
    out[8 + found++] = fraction(cbrt(number));
  }
}

/* Write the text "SEED/start" as SHA-256 takes it into a lane of zeros. */
static void write_text(uint64_t seed, int lane, Word *words) {
  uint8_t text[32] = {0}, digits[20];
  int count = 0, length = 0;
  do digits[count++] = (uint8_t)('0' + seed % 10); while (seed /= 10);
  while (count) text[length++] = digits[--count];
  memcpy(text + length, "/start\\x80", 7);
  for (int i = 0; i < 8; ++i)
    words[i][lane] = (uint32_t)text[4 * i] << 24 | (uint32_t)text[4 * i + 1] << 16 |
                     (uint32_t)text[4 * i + 2] << 8 | text[4 * i + 3];
  words[15][lane] = (uint32_t)(8 * (length + 6));
}

/* Bytes 3 to 6 of SHA-256 of the text "SEED/start", which seed torch's generator. */
static Word find_word(const uint64_t *seeds, const uint32_t *constants) {
  const uint32_t *const first = constants, *const added = constants + 8;
  Word words[16] = {0}, v[8];
  for (int lane = 0; lane < LANES; ++lane) write_text(seeds[lane], lane, words);
  for (int i = 0; i < 8; ++i) v[i] = (Word){0} + first[i];
  #pragma GCC unroll 16
  for (int i = 0; i < 64; ++i) {
    Word *const word = words + i % 16;
    if (i >= 16) {
      const Word far = words[(i + 1) % 16], near = words[(i + 14) % 16];
      *word += words[(i + 9) % 16] + (rotated(far, 7) ^ rotated(far, 18) ^ (far >> 3)) +
               (rotated(near, 17) ^ rotated(near, 19) ^ (near >> 10));
    }
    const Word a = v[0], b = v[1], c = v[2], e = v[4];
    const Word one = v[7] + added[i] + *word +
                     (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                     ((e & v[5]) ^ (~e & v[6]));
    const Word other = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                       ((a & b) ^ (a & c) ^ (b & c));
    v[7] = v[6];
    v[6] = v[5];
    v[5] = e;
    v[4] = v[3] + one;
    v[3] = c;
    v[2] = b;
    v[1] = a;
    v[0] = one + other;
  }
  return (v[0] + first[0]) << 24 | (v[1] + first[1]) >> 8;
}

static inline Word twisted(Word one, Word next) {
  const Word joined = (one & 0x80000000u) | (next & 0x7fffffffu);
  return (joined >> 1) ^ (-(next & 1u) & 0x9908b0dfu);
}

/* Seed each generator by its first word, and make its first words. */
static void make_words(Word (*words)[GROUPS], int count) {
  const int needed = count + SHIFT < WORDS ? count + SHIFT : WORDS;
  Word last[GROUPS];
  for (int group = 0; group < GROUPS; ++group) last[group] = words[0][group];
  for (int i = 1; i < needed; ++i) {
    #pragma GCC unroll 4
    for (int group = 0; group < GROUPS; ++group) {
      const Word mixed = last[group] ^ (last[group] >> 30);
      last[group] = 1812433253u * mixed + (uint32_t)i;
    }
    if (i > count && i < SHIFT) continue; /* it is not read again */
    #pragma GCC unroll 4
    for (int group = 0; group < GROUPS; ++group) words[i][group] = last[group];
  }
  for (int i = 0; i < count; ++i)
    for (int group = 0; group < GROUPS; ++group)
      words[i][group] = words[(i + SHIFT) % WORDS][group] ^
                        twisted(words[i][group], words[(i + 1) % WORDS][group]);
  for (int i = 0; i < count; ++i)
    for (int group = 0; group < GROUPS; ++group) {
      Word word = words[i][group];
      word ^= word >> 11;
      word ^= (word << 7) & 0x9d2c5680u;
      word ^= (word << 15) & 0xefc60000u;
      words[i][group] = word ^ (word >> 18);
    }
}

/* Uniform number of a run, of 53 bits in [0, 1). */
static inline double uniform(const Word (*words)[GROUPS], int run, int64_t number) {
  const uint64_t high = words[2 * number][run / LANES][run % LANES];
  const uint64_t low = words[2 * number + 1][run / LANES][run % LANES];
  return (double)((high << 32 | low) & 0x1fffffffffffffu) * 0x1p-53;
}

static const double TURN = 2 * 3.14159265358979323846;

/* Fewer numbers than a block are made two by two. */
static void make_few(const Word (*words)[GROUPS], int run, int64_t count,
                     double *out) {
  for (int64_t i = 0; i < count; i += 2) {
    const double radius = sqrt(-2 * log1p(-uniform(words, run, i + 1)));
    const double angle = TURN * uniform(words, run, i);
    out[i] = radius * cos(angle) + 0; /* no -0 */
    if (i + 1 < count) out[i + 1] = radius * sin(angle) + 0;
  }
}

/* Others in blocks, number j of a block with number j + 8. The last 16 numbers are
   drawn again where they are not a block. */
static void make_many(const Word (*words)[GROUPS], int run, int64_t count,
                      double *out) {
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t at = first + BLOCK <= count ? first : count - BLOCK;
    const int64_t from = first + BLOCK <= count ? first : count;
    for (int64_t i = 0; i < PAIRS; ++i) {
      const double radius = sqrt(-2 * log(1 - uniform(words, run, from + i)));
      const double angle = TURN * uniform(words, run, from + i + PAIRS);
      out[at + i] = radius * cos(angle) + 0;
      out[at + i + PAIRS] = radius * sin(angle) + 0;
    }
  }
}

/* The first numbers of the generator of each run's start, (runs, count). */
void draw_first(const uint64_t *seeds, int64_t runs, int64_t count, int64_t is_normal,
                const uint32_t *constants, double *out) {
  Word words[WORDS][GROUPS];
  const int64_t again = is_normal && count > BLOCK && count % BLOCK ? BLOCK : 0;
  const int64_t numbers = count + again + (is_normal && count < BLOCK && count % 2);
  for (int64_t first = 0; first < runs; first += RUNS) {
    const int64_t here = runs - first < RUNS ? runs - first : RUNS;
    uint64_t given[RUNS];
    for (int64_t run = 0; run < RUNS; ++run)
      given[run] = seeds[first + (run < here ? run : here - 1)];
    for (int group = 0; group < GROUPS; ++group)
      words[0][group] = find_word(given + group * LANES, constants);
    make_words(words, (int)(2 * numbers));
    for (int run = 0; run < here; ++run) {
      double *const row = out + (first + run) * count;
      if (!is_normal)
        for (int64_t i = 0; i < count; ++i) row[i] = uniform(words, run, i);
      else if (count < BLOCK)
        make_few(words, run, count, row);
      else
        make_many(words, run, count, row);
    }
  }
}
"""

# The first numbers of the generators of some runs' starts, by the seeds and what is
# drawn; shape (seeds, amount).
Draw = Callable[[Sequence[int], Numbers], Float64[Tensor, "seeds amount"]]

# Counts that are compared with torch, and seeds.
COMPARED = (1, 2, 3, 15, 16, 17, 31, 32, 200, MOST)
COMPARED_SEEDS = (*range(25), *(10**power for power in range(2, 20)), 2**64 - 1)


class _Worth:
    """Tells whether compiling saves time in this process, by the starts drawn in it."""

    def __init__(self) -> None:
        self._runs = 0

    def with_further(self, runs: int) -> bool:
        """Return whether compiling saves time, from these starts on."""
        self._runs += runs
        return self._runs > WORTH


_WORTH_COMPILING = _Worth()


def draw_starts(
    seeds: Sequence[int], numbers: Numbers, compiled: bool | None
) -> Float64[Tensor, "seeds amount"] | None:
    """Return what runs draw for their starts; None where torch must draw it.

    Args:
        seeds: seed of each run.
        numbers: what a run draws.
        compiled: whether the function is compiled; None compiles it once the process
            has had so many starts that it saves time.
    """
    is_wanted = _WORTH_COMPILING.with_further(len(seeds)) or compiled
    if compiled is False or not is_wanted or not 0 < numbers.amount <= MOST:
        return None
    draw = compiled_draw()
    try:
        return draw(seeds, numbers) if draw else None
    except struct.error:  # a seed is no whole number of 64 bits
        return None


@cache
def compiled_draw() -> Draw | None:
    """Return the compiled function, or None where it does not give torch's bits."""
    try:
        functions = compile_functions(SOURCE, UNROLLED)
    except (OSError, CalledProcessError):
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    function = functions.draw_first
    function.argtypes = [pointer, integer, integer, integer, pointer, pointer]
    function.restype = None
    constants = (ctypes.c_uint32 * (8 + 64))()
    functions.find_constants(constants)

    def draw(seeds: Sequence[int], numbers: Numbers) -> Tensor:
        count = len(seeds)
        given = struct.pack(f"{count}Q", *seeds)
        out = torch.empty(count, numbers.amount, dtype=torch.float64, device="cpu")
        function(given, count, *numbers, constants, out.data_ptr())
        return out

    return draw if draws_as_torch(draw) else None


def draws_as_torch(draw: Draw) -> bool:
    """Return whether a function gives the bits of torch.

    Args:
        draw: the function.
    """
    options: Any = {"dtype": torch.float64, "device": "cpu"}
    for count in COMPARED:
        for function, is_normal in ((torch.rand, False), (torch.randn, True)):
            sources = [generator(seed, "start") for seed in COMPARED_SEEDS]
            rows = [function(count, generator=one, **options) for one in sources]
            found = draw(COMPARED_SEEDS, Numbers(count, is_normal))
            # As integers, which tell -0 from 0.
            expected = torch.stack(rows).view(torch.int64)
            if not torch.equal(found.view(torch.int64), expected):
                return False
    return True

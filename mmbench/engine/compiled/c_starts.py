"""What many runs draw for their starts, in C: the same bits as torch's in less time.

A run has a generator of its own, of which a start takes a few numbers. Torch makes,
seeds and renews one after the other, which takes six microseconds each; here those of
a few runs are made at once, and only as many words as are drawn. What torch computes is
found in no document: each process compares some draws with those of torch, and lets
torch draw where one bit differs.

Source: as in `c_draws`; FIPS 180-4 (SHA-256, by which `streams` makes seeds).
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from subprocess import CalledProcessError
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from mmbench.core.streams import generator
from mmbench.engine.compiled.c_compiler import QUICK, compile_functions
from mmbench.tasks.base import Numbers

WORTH = 2**14  # starts of a process that torch draws in the time of compiling
MOST = 296  # numbers of a run: with 16 that are drawn again, they take 624 words

SOURCE = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { LANES = 16, WORDS = 624, SHIFT = 397, BLOCK = 16, PAIRS = BLOCK / 2 };

static inline uint32_t rotated(uint32_t word, int by) {
  return word >> by | word << (32 - by);
}

/* The first 32 bits of the fraction of a number. */
static inline uint32_t fraction(double number) {
  return (uint32_t)((number - floor(number)) * 0x1p32);
}

/* Constants of SHA-256: of roots of the first primes. */
static void find_constants(uint32_t *first, uint32_t *added) {
  for (int found = 0, number = 2; found < 64; ++number) {
    int is_prime = 1;
    for (int by = 2; by * by <= number; ++by) is_prime &= number % by != 0;
    if (!is_prime) continue;
    if (found < 8) first[found] = fraction(sqrt(number));
    added[found++] = fraction(cbrt(number));
  }
}

/* Bytes 3 to 6 of SHA-256 of the text "SEED/start", which seed torch's generator. */
static void find_words(const int64_t *seeds, const uint32_t *first,
                       const uint32_t *added, uint32_t *out) {
  uint32_t words[64][LANES] = {0}, v[8][LANES];
  for (int lane = 0; lane < LANES; ++lane) {
    char text[64];
    const int length = sprintf(text, "%lld/start", (long long)seeds[lane]);
    text[length] = (char)0x80;
    for (int i = 0; i <= length; ++i)
      words[i / 4][lane] |= (uint32_t)(uint8_t)text[i] << (24 - i % 4 * 8);
    words[15][lane] = (uint32_t)(8 * length);
    for (int i = 0; i < 8; ++i) v[i][lane] = first[i];
  }
  for (int i = 16; i < 64; ++i)
    for (int lane = 0; lane < LANES; ++lane) {
      const uint32_t far = words[i - 15][lane], near = words[i - 2][lane];
      words[i][lane] = words[i - 16][lane] + words[i - 7][lane] +
                       (rotated(far, 7) ^ rotated(far, 18) ^ (far >> 3)) +
                       (rotated(near, 17) ^ rotated(near, 19) ^ (near >> 10));
    }
  for (int i = 0; i < 64; ++i)
    for (int lane = 0; lane < LANES; ++lane) {
      const uint32_t a = v[0][lane], b = v[1][lane], c = v[2][lane], e = v[4][lane];
      const uint32_t one = v[7][lane] + added[i] + words[i][lane] +
                           (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
                           ((e & v[5][lane]) ^ (~e & v[6][lane]));
      const uint32_t other = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
                             ((a & b) ^ (a & c) ^ (b & c));
      v[7][lane] = v[6][lane];
      v[6][lane] = v[5][lane];
      v[5][lane] = e;
      v[4][lane] = v[3][lane] + one;
      v[3][lane] = c;
      v[2][lane] = b;
      v[1][lane] = a;
      v[0][lane] = one + other;
    }
  for (int lane = 0; lane < LANES; ++lane)
    out[lane] = (v[0][lane] + first[0]) << 24 | (v[1][lane] + first[1]) >> 8;
}

static inline uint32_t twisted(uint32_t one, uint32_t next) {
  const uint32_t joined = (one & 0x80000000u) | (next & 0x7fffffffu);
  return (joined >> 1) ^ (-(next & 1u) & 0x9908b0dfu);
}

/* Seed a generator for each lane, and make its first words. */
static void make_words(const uint32_t *seeds, uint32_t (*words)[LANES], int count) {
  const int needed = count + SHIFT < WORDS ? count + SHIFT : WORDS;
  for (int lane = 0; lane < LANES; ++lane) words[0][lane] = seeds[lane];
  for (int i = 1; i < needed; ++i)
    for (int lane = 0; lane < LANES; ++lane) {
      const uint32_t last = words[i - 1][lane];
      words[i][lane] = 1812433253u * (last ^ (last >> 30)) + (uint32_t)i;
    }
  for (int i = 0; i < count; ++i) {
    const int next = (i + 1) % WORDS, far = (i + SHIFT) % WORDS;
    for (int lane = 0; lane < LANES; ++lane)
      words[i][lane] = words[far][lane] ^ twisted(words[i][lane], words[next][lane]);
  }
  for (int i = 0; i < count; ++i)
    for (int lane = 0; lane < LANES; ++lane) {
      uint32_t word = words[i][lane];
      word ^= word >> 11;
      word ^= (word << 7) & 0x9d2c5680u;
      word ^= (word << 15) & 0xefc60000u;
      words[i][lane] = word ^ (word >> 18);
    }
}

/* Uniform number of a lane, of 53 bits in [0, 1). */
static inline double uniform(uint32_t (*words)[LANES], int lane, int64_t number) {
  const uint64_t high = words[2 * number][lane], low = words[2 * number + 1][lane];
  return (double)((high << 32 | low) & 0x1fffffffffffffu) * 0x1p-53;
}

static const double TURN = 2 * 3.14159265358979323846;

/* Fewer numbers than a block are made two by two. */
static void make_few(uint32_t (*words)[LANES], int lane, int64_t count, double *out) {
  for (int64_t i = 0; i < count; i += 2) {
    const double radius = sqrt(-2 * log1p(-uniform(words, lane, i + 1)));
    const double angle = TURN * uniform(words, lane, i);
    out[i] = radius * cos(angle) + 0; /* no -0 */
    if (i + 1 < count) out[i + 1] = radius * sin(angle) + 0;
  }
}

/* Others in blocks, number j of a block with number j + 8. The last 16 numbers are
   drawn again where they are not a block. */
static void make_many(uint32_t (*words)[LANES], int lane, int64_t count, double *out) {
  for (int64_t first = 0; first < count; first += BLOCK) {
    const int64_t at = first + BLOCK <= count ? first : count - BLOCK;
    const int64_t from = first + BLOCK <= count ? first : count;
    for (int64_t i = 0; i < PAIRS; ++i) {
      const double radius = sqrt(-2 * log(1 - uniform(words, lane, from + i)));
      const double angle = TURN * uniform(words, lane, from + i + PAIRS);
      out[at + i] = radius * cos(angle) + 0;
      out[at + i + PAIRS] = radius * sin(angle) + 0;
    }
  }
}

/* The first numbers of the generator of each run's start, (runs, count). */
void draw_first(const int64_t *seeds, int64_t runs, int64_t count, int64_t is_normal,
                double *out) {
  uint32_t words[WORDS][LANES], found[LANES], constants[8 + 64];
  int64_t given[LANES];
  find_constants(constants, constants + 8);
  const int64_t again = is_normal && count > BLOCK && count % BLOCK ? BLOCK : 0;
  const int64_t numbers = count + again + (is_normal && count < BLOCK && count % 2);
  for (int64_t first = 0; first < runs; first += LANES) {
    const int64_t here = runs - first < LANES ? runs - first : LANES;
    for (int64_t lane = 0; lane < LANES; ++lane)
      given[lane] = seeds[first + (lane < here ? lane : here - 1)];
    find_words(given, constants, constants + 8, found);
    make_words(found, words, (int)(2 * numbers));
    for (int lane = 0; lane < here; ++lane) {
      double *const row = out + (first + lane) * count;
      if (!is_normal)
        for (int64_t i = 0; i < count; ++i) row[i] = uniform(words, lane, i);
      else if (count < BLOCK)
        make_few(words, lane, count, row);
      else
        make_many(words, lane, count, row);
    }
  }
}
"""

# The first numbers of the generators of some runs' starts, by the seeds and what is
# drawn; shape (seeds, amount).
Draw = Callable[[np.ndarray, Numbers], Float64[Tensor, "seeds amount"]]

# Counts that are compared with torch, and seeds.
COMPARED = (1, 2, 3, 15, 16, 17, 31, 32, 200, MOST)
COMPARED_SEEDS = (*range(25), *(10**power for power in range(2, 19)), 2**63 - 1)


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
    if draw is None or not all(0 <= seed < 2**63 for seed in seeds):
        return None
    return draw(np.array(seeds, dtype=np.int64), numbers)


@cache
def compiled_draw() -> Draw | None:
    """Return the compiled function, or None where it does not give torch's bits."""
    try:
        function = compile_functions(SOURCE, QUICK).draw_first
    except (OSError, CalledProcessError):
        return None
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [pointer, integer, integer, integer, pointer]
    function.restype = None

    def draw(seeds: np.ndarray, numbers: Numbers) -> Tensor:
        out = torch.empty(len(seeds), numbers.amount, dtype=torch.float64, device="cpu")
        address = seeds.ctypes.data
        function(address, len(seeds), *numbers, out.data_ptr())
        return out

    return draw if draws_as_torch(draw) else None


def draws_as_torch(draw: Draw) -> bool:
    """Return whether a function gives the bits of torch.

    Args:
        draw: the function.
    """
    options: Any = {"dtype": torch.float64, "device": "cpu"}
    seeds = np.array(COMPARED_SEEDS, dtype=np.int64)
    for count in COMPARED:
        for function, is_normal in ((torch.rand, False), (torch.randn, True)):
            sources = [generator(seed, "start") for seed in COMPARED_SEEDS]
            rows = [function(count, generator=one, **options) for one in sources]
            found = draw(seeds, Numbers(count, is_normal))
            # As integers, which tell -0 from 0.
            expected = torch.stack(rows).view(torch.int64)
            if not torch.equal(found.view(torch.int64), expected):
                return False
    return True

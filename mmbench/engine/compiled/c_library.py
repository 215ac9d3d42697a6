"""The library of compiled steps of networks, as a text in C.

It is the same for all programs. This module imports no torch, so that a command can
have the library compiled while it loads torch.
"""

from string import Template

# What every program begins with: the types of its numbers, and the functions of C.
PREAMBLE = """\
/* With this macro, glibc offers functions of whole vectors that are right to 4 units in
   the last place. No other rounding depends on it. */
#ifndef __FAST_MATH__
#define __FAST_MATH__ 1
#include <math.h>
#undef __FAST_MATH__
#endif
#include <stdint.h>
#include <string.h>
typedef $real real;
typedef $integer integer;
#define F(name) $function
"""

# Makes the steps of some runs after the others. A call has the arrays of a kernel; a
# repetition has the mask of the runs that go on, and repeats the calls up to its end.
INTERPRETER = """\
typedef struct {
  void (*kernel)(void **arrays, integer k);
  int64_t first, turns, end;
} call;
typedef struct {
  int64_t argument, offset, row, step, stop;
} place;
typedef struct {
  const call *calls;
  const place *places;
  int64_t group, bytes, first_array, array_count, load_count, step_end, call_count;
} program;

static int any_goes_on(const integer *on, int64_t group) {
  for (int64_t run = 0; run < group; ++run)
    if (on[run]) return 1;
  return 0;
}

static void make_calls(const program *given, int64_t begin, int64_t end, void **arrays,
                       integer k) {
  for (int64_t at = begin; at < end; ++at) {
    const call *const one = given->calls + at;
    if (one->kernel) {
      one->kernel(arrays + one->first, k);
    } else if (one->turns) {
      for (int64_t turn = 0; turn < one->turns; ++turn) {
        if (!any_goes_on(arrays[one->first], given->group)) break;
        make_calls(given, at + 1, one->end, arrays, k);
      }
      at = one->end;
    }
  }
}

/* Memory that stays for the next call: the system clears what it gives anew. */
static char *kept_memory(int64_t bytes) {
  static _Thread_local char *memory;
  static _Thread_local int64_t kept;
  if (kept < bytes) {
    free(memory);
    memory = aligned_alloc(64, bytes);
    kept = bytes;
  }
  return memory;
}

/* The arrays of a call lie further on after a step, and after a stop. */
static void move_arrays(const program *one, void **arrays, int64_t runs, int is_stop) {
  for (int64_t number = 0; number < one->array_count; ++number) {
    const place at = one->places[number];
    arrays[number] = (char *)arrays[number] + runs * (is_stop ? at.stop : at.step);
  }
}

/* The programs take turns, and have their states at the same places. What these are at
   each stop, a number of steps made, is written to the arguments. */
__attribute__((visibility("default"))) void run_programs(
    const program *programs, int64_t period, int64_t turn, void **arguments,
    const int64_t *stops, int64_t runs, int64_t stop_count) {
  const program *const end = programs + period, *const ours = programs + turn;
  const int64_t width = programs->group;
  int64_t bytes = 0;
  for (const program *one = programs; one < end; ++one)
    if (one->bytes > bytes) bytes = one->bytes;
  char *const memory = kept_memory(bytes);
  const int64_t array_count = end[-1].first_array + end[-1].array_count;
  void **const arrays = malloc((array_count + 1) * sizeof *arrays);
  for (int64_t group = 0; group < runs; group += width) {
    const int64_t first = group + width < runs ? group : runs - width;
    for (const program *one = programs; one < end; ++one)
      for (int64_t number = 0; number < one->array_count; ++number) {
        const place at = one->places[number];
        char *const base = at.argument < 0 ? memory : arguments[at.argument];
        arrays[one->first_array + number] = base + at.offset + first * at.row;
      }
    void **const our_arrays = arrays + ours->first_array;
    make_calls(ours, 0, ours->load_count, our_arrays, 0);
    for (int64_t stop = 0, step = 0; stop < stop_count; ++stop) {
      for (; step < stops[stop]; ++step) {
        const program *one = programs + (turn + step) % period;
        make_calls(one, one->load_count, one->step_end, arrays + one->first_array,
                   (integer)step);
        for (one = programs; one < end; ++one)
          move_arrays(one, arrays + one->first_array, runs, 0);
      }
      make_calls(ours, ours->step_end, ours->call_count, our_arrays, 0);
      for (const program *one = programs; one < end; ++one)
        move_arrays(one, arrays + one->first_array, runs, 1);
    }
  }
  free(arrays);
}
"""

# Products of matrices, in a library that is the same for all programs. Every number of
# a result is one sum in the order of the inner axis, or eight such sums, so that it
# does not depend on the rest of the matrices.
LIBRARY = Template(
    PREAMBLE
    + """\
#include <stdlib.h>

/* The sums of ROWS by VECTORS vectors fill the registers. */
#ifdef __AVX512F__
enum { VECTOR_BYTES = 64, VECTORS = 4 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32, VECTORS = 2 };
#else
enum { VECTOR_BYTES = 16, VECTORS = 2 };
#endif
enum { LENGTH = VECTOR_BYTES / sizeof(real), PANEL = VECTORS * LENGTH, ROWS = 6 };
enum { TURNED = 2 * LENGTH /* rows that are computed at once */ };

/* c (rows, columns) = bias + a (rows, inner) b (inner, columns), of at most TURNED rows
   of a, which are turned: each number is one sum that begins with the bias, and whose
   products are rounded. */
static __attribute__((noinline)) void sum_columns(
    int64_t rows, int64_t columns, int64_t inner, const real *restrict turned,
    const real *b, const real *bias, real *restrict c) {
  for (int64_t j = 0; j < columns; ++j) {
    real sums[TURNED];
    for (int64_t r = 0; r < TURNED; ++r) sums[r] = bias[j];
    for (int64_t k = 0; k < inner; ++k) {
      const real entry = b[k * columns + j];
      for (int64_t r = 0; r < TURNED; ++r) sums[r] += turned[k * PANEL + r] * entry;
    }
    for (int64_t r = 0; r < rows; ++r) c[r * columns + j] = sums[r];
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O3", "fp-contract=fast", "no-version-loops-for-strides")
#endif
typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef typeof((vector){0} < (vector){0}) places;
typedef real loaded
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

#define BLOCK_OF(rows, vectors) \\
  static void block_of_##rows##_##vectors( \\
      int64_t inner, const real *a, int64_t a_row, int64_t a_inner, const real *b, \\
      int64_t b_inner, real *c, int64_t c_row) { \\
    vector sums[rows][vectors]; \\
    for (int r = 0; r < rows; ++r) \\
      for (int v = 0; v < vectors; ++v) sums[r][v] = (vector){0}; \\
    for (int64_t k = 0; k < inner; ++k) { \\
      const real *const column = a + k * a_inner; \\
      const loaded *const row = (const loaded *)(b + k * b_inner); \\
      for (int r = 0; r < rows; ++r) { \\
        const real entry = column[r * a_row]; \\
        for (int v = 0; v < vectors; ++v) sums[r][v] += entry * row[v]; \\
      } \\
    } \\
    for (int r = 0; r < rows; ++r) \\
      for (int v = 0; v < vectors; ++v) ((loaded *)(c + r * c_row))[v] = sums[r][v]; \\
  }
#define CASE_OF(rows, vectors) \\
  case rows: \\
    block_of_##rows##_##vectors(inner, a, a_row, a_inner, b, b_inner, c, c_row); \\
    break;
#define BLOCKS_OF(vectors) \\
  BLOCK_OF(1, vectors) BLOCK_OF(2, vectors) BLOCK_OF(3, vectors) \\
  BLOCK_OF(4, vectors) BLOCK_OF(5, vectors) BLOCK_OF(6, vectors) \\
  static void block_##vectors( \\
      int64_t rows, int64_t inner, const real *a, int64_t a_row, int64_t a_inner, \\
      const real *b, int64_t b_inner, real *c, int64_t c_row) { \\
    switch (rows) { \\
      CASE_OF(1, vectors) CASE_OF(2, vectors) CASE_OF(3, vectors) \\
      CASE_OF(4, vectors) CASE_OF(5, vectors) CASE_OF(6, vectors) \\
    } \\
  }
BLOCKS_OF(1)
BLOCKS_OF(2)
#ifdef __AVX512F__
BLOCKS_OF(3)
BLOCKS_OF(4)
#endif
#define COLUMNS_OF(vectors) \\
  case vectors: \\
    block_##vectors(rows, inner, a, a_row, a_inner, b, b_inner, c, c_row); \\
    break;
static void block(int64_t rows, int64_t vectors, int64_t inner, const real *a,
                  int64_t a_row, int64_t a_inner, const real *b, int64_t b_inner,
                  real *c, int64_t c_row) {
  switch (vectors) {
    COLUMNS_OF(1)
    COLUMNS_OF(2)
#ifdef __AVX512F__
    COLUMNS_OF(3)
    COLUMNS_OF(4)
#endif
  }
}

/* A square of numbers is turned by interleaving its halves, as often as its length can
   be halved. */
static void turn(const real *from, int64_t from_row, real *to, int64_t to_row) {
#if defined(__GNUC__) && !defined(__clang__)
  vector here[LENGTH], there[LENGTH];
  places low, high;
  for (int i = 0; i < LENGTH; ++i) {
    low[i] = i / 2 + i % 2 * LENGTH;
    high[i] = low[i] + LENGTH / 2;
  }
  for (int r = 0; r < LENGTH; ++r) here[r] = *(const loaded *)(from + r * from_row);
  for (int length = 1; length < LENGTH; length *= 2) {
    for (int r = 0; r < LENGTH / 2; ++r) {
      there[2 * r] = __builtin_shuffle(here[r], here[r + LENGTH / 2], low);
      there[2 * r + 1] = __builtin_shuffle(here[r], here[r + LENGTH / 2], high);
    }
    for (int r = 0; r < LENGTH; ++r) here[r] = there[r];
  }
  for (int r = 0; r < LENGTH; ++r) *(loaded *)(to + r * to_row) = here[r];
#else
  for (int r = 0; r < LENGTH; ++r)
    for (int k = 0; k < LENGTH; ++k) to[k * to_row + r] = from[r * from_row + k];
#endif
}

/* to (columns, rows) = the transpose of from (rows, columns). */
__attribute__((noinline)) void turned_copy(int64_t rows, int64_t columns,
                                           const real *from, int64_t from_row,
                                           real *restrict to, int64_t to_row) {
  const int64_t whole = rows / LENGTH * LENGTH, turned = columns / LENGTH * LENGTH;
  for (int64_t r = 0; r < whole; r += LENGTH)
    for (int64_t k = 0; k < turned; k += LENGTH)
      turn(from + r * from_row + k, from_row, to + k * to_row + r, to_row);
  for (int64_t k = 0; k < columns; ++k)
    for (int64_t r = k < turned ? whole : 0; r < rows; ++r)
      to[k * to_row + r] = from[r * from_row + k];
}

/* packed (inner, PANEL) = b (inner, width), and zeros up to whole vectors. */
static void pack(int64_t inner, int64_t width, const real *b, int64_t b_inner,
                 int64_t b_column, real *restrict packed) {
  const int64_t end = (width + LENGTH - 1) / LENGTH * LENGTH, is_turned = b_inner == 1;
  if (is_turned) turned_copy(width, inner, b, b_column, packed, PANEL);
  for (int64_t k = 0; k < inner; ++k) {
    for (int64_t w = is_turned ? width : 0; w < width; ++w)
      packed[k * PANEL + w] = b[k * b_inner + w * b_column];
    for (int64_t w = width; w < end; ++w) packed[k * PANEL + w] = 0;
  }
}

/* c (rows, columns) = a (rows, inner) b (inner, columns); c lies row by row. */
__attribute__((noinline)) void wide_product(
    int64_t rows, int64_t columns, int64_t inner, const real *a, int64_t a_row,
    int64_t a_inner, const real *b, int64_t b_inner, int64_t b_column, real *restrict c,
    real *restrict packed) {
  real tile[ROWS * LENGTH];
  const int64_t blocks = (rows + ROWS - 1) / ROWS;
  const int is_narrow = columns < LENGTH;
  for (int64_t begin = 0, end; begin < columns; begin = end) {
    int64_t vectors = (columns - begin + LENGTH - 1) / LENGTH;
    if (vectors > VECTORS) vectors = VECTORS;
    if (vectors > 1 && vectors * LENGTH > columns) --vectors;
    end = begin + vectors * LENGTH;
    if (end > columns) end = columns;
    /* The last vectors begin with columns of those before; their sums are the same. */
    const int64_t j = is_narrow ? 0 : end - vectors * LENGTH;
    const real *panel = b + j;
    int64_t panel_inner = b_inner;
    /* Rows that lie far apart share few places of the cache. */
    const int is_sparse = rows > 4 * ROWS && b_inner > 8 * LENGTH;
    if (b_column != 1 || is_narrow || is_sparse) {
      pack(inner, end - j, b + j * b_column, b_inner, b_column, packed);
      panel = packed;
      panel_inner = PANEL;
    }
    for (int64_t number = 0, i = 0, height; number < blocks; ++number, i += height) {
      height = (rows - i) / (blocks - number);
      real *const to = is_narrow ? tile : c + i * columns + j;
      block(height, vectors, inner, a + i * a_row, a_row, a_inner, panel, panel_inner,
            to, is_narrow ? LENGTH : columns);
      for (int64_t r = 0; is_narrow && r < height; ++r)
        for (int64_t w = 0; w < columns; ++w)
          c[(i + r) * columns + w] = tile[r * LENGTH + w];
    }
  }
}

/* The same for few columns, where rows of a lie one after the other. */
void narrow_product(int64_t rows, int64_t columns, int64_t inner, const real *a,
                    int64_t a_row, const real *b, int64_t b_inner, int64_t b_column,
                    real *restrict c, real *restrict packed) {
  enum { SUMS = 8 };
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t k = 0; k < inner; ++k)
      packed[j * inner + k] = b[k * b_inner + j * b_column];
  const int64_t whole = inner / SUMS * SUMS;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      const real *const x = a + i * a_row, *const y = packed + j * inner;
      real sums[SUMS] = {0};
      for (int64_t k = 0; k < whole; k += SUMS)
        for (int s = 0; s < SUMS; ++s) sums[s] += x[k + s] * y[k + s];
      for (int64_t k = whole; k < inner; ++k) sums[k - whole] += x[k] * y[k];
      c[i * columns + j] = ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
                           ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    }
}

/* A slope that is no number stands for no rectifier. */
static void rectify(int64_t size, real slope, real *restrict c) {
  if (slope == 0)
    for (int64_t i = 0; i < size; ++i) c[i] = c[i] < 0 ? 0 : c[i];
  else if (slope == slope)
    for (int64_t i = 0; i < size; ++i) c[i] = c[i] > 0 ? c[i] : c[i] * slope;
}

/* Linear layers one after the other, a block of rows at a time: from inputs, of shape
   (runs, rows, widths[0]), to outputs (runs, rows, widths[count]). The parameters of a
   layer are its weight and its bias, and strides their numbers between two runs. Where
   there is no memory for it, nothing is computed, and 0 returned. */
__attribute__((visibility("default"))) int linear_layers(
    int64_t runs, int64_t rows, int64_t count, const int64_t *widths,
    const real *slopes, const real *const *parameters, const int64_t *strides,
    const real *inputs, real *outputs) {
  enum { BLOCK = 16 * ROWS, FEW = 16 /* columns whose sums torch does not fuse */ };
  int64_t most = 0;
  for (int64_t i = 0; i <= count; ++i) most = widths[i] > most ? widths[i] : most;
  const int64_t size = BLOCK * most;
  real *const memory = malloc((2 * size + most * PANEL) * sizeof *memory);
  if (!memory) return 0;
  real *const packed = memory + 2 * size;
  for (int64_t i = 0; i < most * PANEL; ++i) packed[i] = 0;
  for (int64_t run = 0; run < runs; ++run)
    for (int64_t row = 0; row < rows; row += BLOCK) {
      const int64_t height = rows - row < BLOCK ? rows - row : BLOCK;
      const int64_t first = run * rows + row;
      const real *from = inputs + first * widths[0];
      for (int64_t i = 0; i < count; ++i) {
        const int64_t inner = widths[i], columns = widths[i + 1];
        real *const to =
            i < count - 1 ? memory + i % 2 * size : outputs + first * columns;
        const real *const weight = parameters[2 * i] + run * strides[2 * i];
        const real *const bias = parameters[2 * i + 1] + run * strides[2 * i + 1];
        if (columns < FEW) {
          for (int64_t r = 0; r < height; r += TURNED) {
            const int64_t width = height - r < TURNED ? height - r : TURNED;
            pack(inner, width, from + r * inner, 1, inner, packed);
            sum_columns(width, columns, inner, packed, weight, bias, to + r * columns);
          }
        } else {
          wide_product(height, columns, inner, from, inner, 1, weight, columns, 1, to,
                       packed);
          for (int64_t r = 0; r < height; ++r)
            for (int64_t j = 0; j < columns; ++j) to[r * columns + j] += bias[j];
        }
        rectify(height * columns, slopes[i], to);
        from = to;
      }
    }
  free(memory);
  return 1;
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

"""
    + INTERPRETER
)


def words_of_preamble(*, is_single: bool) -> dict[str, str]:
    """Return what `PREAMBLE` names, for floats of single or of double precision."""
    return {
        "real": "float" if is_single else "double",
        # Integers are as wide as floats, so that both fill registers alike.
        "integer": "int32_t" if is_single else "int64_t",
        "function": "name##f" if is_single else "name",
    }


def library_text(*, is_single: bool) -> str:
    """Return the text of the library, for floats of single or of double precision."""
    return LIBRARY.substitute(words_of_preamble(is_single=is_single))

// The order in which sums are taken, shared by the eager kernels and the emitter, so that both give the same bits.
#pragma once
#include <cstdint>

namespace sinter {

// A reduction is brought to steps [outer, R, inner] over the LOGICAL shape: dimensions of size 1 are dropped, neighbours
// that are both kept or both reduced are merged; where two or more reduced groups remain, the innermost is reduced first,
// its result (in the compute type) is the input of the next. Strides play no part.
//
// One step, R elements v[0..R):
//   inner == 1 (row):    16 virtual lanes, v[r] goes to lane r % 16. Each lane sums into acc0; after every
//                        reduce_block_steps(R) visits of a lane, acc1 += acc0 and acc0 = 0 (all lanes together, counted in
//                        groups of 16 elements). When R <= 16 * block, acc1 is not used: the result is acc0. Else, at the
//                        end, acc1 += acc0. Then the tree: for s in 8, 4, 2, 1: lane[l] += lane[l + s] for l < s.
//   inner > 1 (column):  one lane per column, the same two levels with block counted in elements (R <= block: acc0 only).
// acc0 and acc1 start at 0. A lane without an element in the last group is left as it is.
// Maximum and minimum (NaN wins) start at -inf / +inf (integers: lowest / highest), same lanes and tree, no second level.
// Their step, with a the running value (in the tree: lane l) and b the new one (lane l + s), is
//   max: a != a ? a : (b > a || b != b) ? b : a        min: a != a ? a : (b < a || b != b) ? b : a
// so the first NaN stays, and of equal values (also -0 and +0) the earlier one of each lane.
// Where no reduced group remains (every reduced dimension has size 1) the result is the element itself, -0 included.
// R == 0 gives the start value (0 for sums).
// mean = sum / n, n converted to the compute type. var: d = x - mean, then sum(d * d) / max(n - correction, 0).

inline constexpr int kReduceLanes = 16;

/// Visits of one lane before acc0 is folded into acc1: the power of two next to sqrt(visits), at least 64, which bounds
/// the error by about 2 * sqrt(visits) roundings. `visits` = ceil(R / 16) for rows, R for columns.
[[gnu::always_inline]] constexpr int64_t reduce_block_steps_of(int64_t visits) {
  int64_t b = 64;
  while (b * b < visits) b *= 2;
  return b;
}

}  // namespace sinter

// The order in which products are summed, shared by the eager kernels and the emitted ones, so that both give the same bits.
#pragma once
#include <cstdint>

namespace sinter {

// c[i][j] = sum over k of a[i][k] * b[k][j]. The order depends on sizes and strides alone, never on threads, alignment, tiles
// or (with fused multiply-add, which AVX2 and AVX-512 have) the instruction set.
//
// Chain: blocks of kGemmBlock steps along k. A block starts at +0 and adds its products in order, each by one fused
// multiply-add. The sums of the blocks are added in order. A pure chain would lose accuracy with long k; blocks bound the
// error by about (kGemmBlock + k / kGemmBlock) roundings.
//
// Lanes, where both operands lie densely along k and the smaller side has at most kDotRows elements (is_dot_product):
// kDotBytes / sizeof(T) virtual lanes start at +0, product k is added to lane k % lanes by a fused multiply-add. Then the tree:
// for s in lanes / 2, ..., 2, 1: lane[l] += lane[l + s] for l < s. Reading both along k needs no transposed copy.
//
// Afterwards, rounding each time: alpha * sum (when alpha is not 1), + bias (or + beta * bias when beta is not 1).
// k == 0 gives +0. On CPUs without fused multiply-add (level v2) products are rounded before they are added.

inline constexpr int64_t kGemmBlock = 512;
inline constexpr int64_t kDotRows = 8;
inline constexpr int kDotBytes = 64;

/// Strides along k in elements.
constexpr bool is_dot_product(int64_t m, int64_t n, int64_t k, int64_t a_k, int64_t b_k) {
  return (a_k == 1 || k == 1) && (b_k == 1 || k == 1) && (m <= kDotRows || n <= kDotRows);
}

}  // namespace sinter

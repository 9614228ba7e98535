// The order in which attention is computed, shared by every kernel of it, so that all give the same bits.
#pragma once
#include <cstdint>

namespace sinter {

// For each leading index and query row i, with n keys:
//   s[j] = sum over e of q[i][e] * k[j][e]     a chain (gemm_order.h): fused multiply-adds in order from +0, in blocks of
//                                              kAttentionBlock whose sums are added in order
//   s[j] = s[j] * scale                        or / scale
//   s[j] = s[j] + mask[j]                      a boolean mask stands for 0 where true, -inf where false
//   w[j] = softmax of s                        as runtime/kernels/softmax.h; a row of -inf alone gives 0 (kAttentionPlain: NaN)
//   w[j] = w[j] * (kept ? 1 / (1 - p) : 0)     dropout: u < 1 - p of element (leading index, i, j) of a bernoulli call
//                                              (runtime/random.h); p = 1 keeps none
//   o[c] = sum over j of w[j] * v[j][c]        a chain
// each step rounded once, in the operands' type. So attention gives the bits of the same steps written with matmul, mul, add,
// softmax and matmul, where those products are chains.
//
// Causal: queries are taken in blocks of kCausalRows; of a block that ends before row r, n = min(S, r) keys are read, and s[j] is
// -inf for j > i. Keys and values behind are not read, whatever they hold.
// Without causal n = S. Nothing depends on tiles, threads, alignment or (AVX2 and AVX-512) the instruction set.

inline constexpr int64_t kAttentionBlock = 512;
inline constexpr int64_t kCausalRows = 32;

}  // namespace sinter

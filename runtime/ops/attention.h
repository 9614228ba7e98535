// How a call of scaled_dot_product_attention is written down.
#pragma once
#include <cstdint>

namespace sinter {

// Operands query [*, L, E], key [*, S, E], value [*, S, V] and, where there is one, a mask that broadcasts to [*, L, S]; leading
// dimensions are equal. Scalars: scale; then of dropout p, Philox counter, seed; or of kAttentionFills the fill value.
// ints: empty, or the leading dimensions that the mask broadcasts to, whose product is the operands' only leading one.

/// Bits of attr.
enum AttentionFlag : uint64_t {
  kAttentionCausal = 1,   // query i sees keys j <= i
  kAttentionDropout = 2,  // weights are dropped with probability p
  // Set by passes alone, for attention that was written with primitive operators:
  kAttentionDivides = 4,  // scores are divided by the scale
  kAttentionPlain = 8,    // a row in which every score is -inf is NaN, as of softmax
  kAttentionFills = 16,   // where the mask (bool) is true the score is the fill value
};

}  // namespace sinter

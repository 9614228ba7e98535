// exp, log and rsqrt on this level's vectors: the expressions of runtime/ops/pointwise.h, so that softmax and norms give
// the bits of the pointwise operators. Included only by files of this folder.
#pragma once
// GCC 12 takes the undefined operand inside AVX-512 intrinsics for a variable of ours (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include "../../math/native_builder.h"
#include "../../ops/pointwise.h"
#include "lanes.h"

namespace sinter::SINTER_LEVEL::lanes {

#define SINTER_LANE_FUNCTION(name)                                        \
  [[gnu::always_inline]] inline Vec<float> name##_lanes(Vec<float> x) {   \
    Native b;                                                             \
    return Ops<ScalarType::Float>::name(b, 0, x);                         \
  }                                                                       \
  [[gnu::always_inline]] inline Vec<double> name##_lanes(Vec<double> x) { \
    Native b;                                                             \
    return Ops<ScalarType::Double>::name(b, 0, x);                        \
  }
SINTER_LANE_FUNCTION(exp)
SINTER_LANE_FUNCTION(log)
SINTER_LANE_FUNCTION(rsqrt)
#undef SINTER_LANE_FUNCTION

}  // namespace sinter::SINTER_LEVEL::lanes

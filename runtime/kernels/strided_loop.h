// Walks several operands of one shape together.
#pragma once
#include <algorithm>
#include "../sizes.h"

namespace sinter {

/// Calls body(o) for every index of `sizes` in row-major order, o[j] being the offset by strides[j] (one array of
/// sizes.size() strides per operand). Rank 0: once, with zeros.
template <int N, class Body>
void strided_loop(IntArrayRef sizes, const int64_t* const (&strides)[N], Body body) {
  const int rank = static_cast<int>(sizes.size());
  for (const int64_t n : sizes)
    if (n == 0) return;
  int64_t at[kMaxRank], offset[N] = {};
  std::fill_n(at, rank, 0);
  const int last = rank - 1;
  const int64_t inner = rank ? sizes[static_cast<size_t>(last)] : 1;
  for (;;) {
    int64_t o[N];
    for (int j = 0; j < N; ++j) o[j] = offset[j];
    for (int64_t i = 0; i < inner; ++i) {
      body(o);
      if (rank)
        for (int j = 0; j < N; ++j) o[j] += strides[j][last];
    }
    int d = last - 1;
    for (; d >= 0; --d) {
      for (int j = 0; j < N; ++j) offset[j] += strides[j][d];
      if (++at[d] < sizes[static_cast<size_t>(d)]) break;
      for (int j = 0; j < N; ++j) offset[j] -= strides[j][d] * sizes[static_cast<size_t>(d)];
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

}  // namespace sinter

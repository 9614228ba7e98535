// The loop nest of an elementwise kernel: dimensions in the order of the result's memory, merged where possible.
#pragma once
#include "../mutants.h"
#include "kernel.h"

namespace sinter {

/// Operand 0 is the result. Strides in elements, 0 where an operand broadcasts. Dimension 0 is the innermost.
template <int kOperands>
struct Nest {
  int rank = 0;
  bool empty = false;
  int64_t size[kMaxRank];
  int64_t stride[kOperands][kMaxRank];

  /// `views[0]` gives the sizes; the others broadcast against them.
  void build(const TensorView* const* views, int n) {
    const IntArrayRef sizes = views[0]->sizes;
    for (int d = static_cast<int>(sizes.size()) - 1; d >= 0; --d) {
      if (sizes[d] == 1) continue;
      if (sizes[d] == 0) {
        empty = true;
        return;
      }
      int64_t s[kOperands];
      for (int k = 0; k < n; ++k) s[k] = stride_of(*views[k], d, static_cast<int>(sizes.size()));
      insert(sizes[d], s, n);
    }
    merge(n);
    if (rank == 0) {
      rank = 1;
      size[0] = 1;
      for (int k = 0; k < n; ++k) stride[k][0] = 0;
    }
  }

  /// Calls run(offsets) for each innermost run; offsets in elements, one per operand.
  template <class F>
  void for_each_run(int n, F&& run) const {
    int64_t offset[kOperands] = {};
    if (rank == 1) return run(offset);
    int64_t index[kMaxRank] = {};
    for (;;) {
      run(offset);
      int d = 1;
      for (; d < rank; ++d) {
        for (int k = 0; k < n; ++k) offset[k] += stride[k][d];
        if (++index[d] < size[d]) break;
        index[d] = 0;
        for (int k = 0; k < n; ++k) offset[k] -= stride[k][d] * size[d];
      }
      if (d == rank) return;
    }
  }

 private:
  static int64_t stride_of(const TensorView& v, int d, int rank) {
    const int own = d - (rank - static_cast<int>(v.sizes.size()));
    return own < 0 || (v.sizes[own] == 1 && !SINTER_MUTANT(eager_broadcast_keeps_stride)) ? 0 : v.strides[own];
  }
  /// Keeps the dimensions sorted by the result's stride; equal ones stay in logical order.
  void insert(int64_t length, const int64_t* s, int n) {
    int at = rank++;
    for (; at > 0 && stride[0][at - 1] > s[0]; --at) {
      size[at] = size[at - 1];
      for (int k = 0; k < n; ++k) stride[k][at] = stride[k][at - 1];
    }
    size[at] = length;
    for (int k = 0; k < n; ++k) stride[k][at] = s[k];
  }
  void merge(int n) {
    int last = 0;
    for (int d = 1; d < rank; ++d) {
      bool fits = true;
      for (int k = 0; k < (SINTER_MUTANT(eager_dims_merged_by_result) ? 1 : n); ++k)
        fits &= stride[k][d] == stride[k][last] * size[last];
      if (fits) {
        size[last] *= size[d];
        continue;
      }
      ++last;
      size[last] = size[d];
      for (int k = 0; k < n; ++k) stride[k][last] = stride[k][d];
    }
    if (rank > 0) rank = last + 1;
  }
};

}  // namespace sinter

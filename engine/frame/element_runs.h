// The elements of a tensor as runs of consecutive bytes: what belongs to it, and nothing between.
#pragma once
#include <algorithm>
#include <vector>
#include "../../runtime/tensor_impl.h"

namespace sinter {

/// From the first to behind the last byte that an element of the tensor has.
struct ByteSpan {
  char *lo, *hi;
};
inline ByteSpan byte_span(const TensorImpl& t) {
  char* lo = t.address();
  if (t.numel == 0) return {lo, lo};
  int64_t last = 0;
  for (size_t d = 0; d < t.sizes.size(); ++d) last += (t.sizes[d] - 1) * t.strides[d];
  return {lo, lo + (last + 1) * static_cast<int64_t>(element_size(t.dtype()))};
}

/// Calls f(byte offset from the first element, index) for every element in logical order. Slow: for reports.
template <class F>
void for_each_element(const TensorImpl& t, F f) {
  const auto element = static_cast<int64_t>(element_size(t.dtype()));
  std::vector<int64_t> index(t.sizes.size(), 0);
  for (int64_t n = 0; n < t.numel; ++n) {
    int64_t at = 0;
    for (size_t k = 0; k < index.size(); ++k) at += index[k] * t.strides[k];
    f(at * element, index);
    for (size_t k = index.size(); k-- > 0;) {
      if (++index[k] < t.sizes[k]) break;
      index[k] = 0;
    }
  }
}

/// Calls f(byte offset from the first element, bytes) until every element of `t` was covered.
template <class F>
void for_each_run(const TensorImpl& t, F f) {
  if (t.numel == 0) return;
  struct Dim {
    int64_t bytes, size, at = 0;
  };
  const auto element = static_cast<int64_t>(element_size(t.dtype()));
  std::vector<Dim> dims;
  for (size_t d = 0; d < t.sizes.size(); ++d)  // an expanded dimension is the same elements again
    if (t.sizes[d] != 1 && t.strides[d] != 0) dims.push_back({t.strides[d] * element, t.sizes[d]});
  std::sort(dims.begin(), dims.end(), [](const Dim& a, const Dim& b) { return a.bytes < b.bytes; });
  int64_t run = element;
  size_t inner = 0;
  while (inner < dims.size() && dims[inner].bytes == run) run *= dims[inner++].size;
  int64_t offset = 0;
  while (true) {
    f(offset, run);
    size_t d = inner;
    for (; d < dims.size(); ++d) {
      offset += dims[d].bytes;
      if (++dims[d].at < dims[d].size) break;
      offset -= dims[d].bytes * dims[d].size;
      dims[d].at = 0;
    }
    if (d == dims.size()) return;
  }
}

}  // namespace sinter

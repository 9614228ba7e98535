// The elements of a tensor as runs of consecutive bytes: what belongs to it, and nothing between.
#pragma once
#include <algorithm>
#include <vector>
#include "../../runtime/tensor_impl.h"

namespace sinter {

/// Address of the first element, pending or not.
inline char* first_element(const TensorImpl& t) {
  return static_cast<char*>(t.storage->data) + t.offset * static_cast<int64_t>(element_size(t.dtype()));
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

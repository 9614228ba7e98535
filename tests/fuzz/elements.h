// Elements of a tensor in logical order, comparable: every NaN is the same.
#pragma once
#include <cmath>
#include <cstring>
#include <string>
#include <vector>
#include "runtime/dtype.h"
#include "runtime/sizes.h"

namespace sinter::test {

inline std::string elements(ScalarType dtype, IntArrayRef sizes, IntArrayRef strides, const void* first) {
  const size_t size = element_size(dtype);
  const auto* p = static_cast<const char*>(first);
  std::string out;
  std::vector<int64_t> index(sizes.size(), 0);
  for (int64_t n = numel_of(sizes); n > 0; --n) {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d) at += index[d] * strides[d];
    const char* e = p + at * static_cast<int64_t>(size);
    float f = 0;
    double g = 0;
    if (dtype == ScalarType::Float) std::memcpy(&f, e, sizeof f);
    if (dtype == ScalarType::Double) std::memcpy(&g, e, sizeof g);
    if (std::isnan(f) || std::isnan(g)) out.append(size, '\x7f');
    else out.append(e, size);
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < sizes[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

}  // namespace sinter::test

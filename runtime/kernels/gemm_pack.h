// Copies of operands of matrix products in the order in which tiles read them.
#pragma once
#include <cstdint>

namespace sinter {

/// Elements (of 4 or 8 bytes) by strides in bytes.
struct PackSource {
  const char* data;
  int64_t k_stride, v_stride;
  int32_t element;
};

/// to[k][width] = from(k, v) for v < columns, then zeros.
void pack_panel(const PackSource& from, int64_t k, int64_t columns, int64_t width, void* to);

}  // namespace sinter

// Tensors compared bit for bit.
#pragma once
#include <string>
#include "engine/functions.h"
#include "runtime/sizes.h"

namespace sinter::test {

/// Contents in logical order, as raw bytes: equal exactly when dtype, shape and every bit agree.
inline std::string bits(const Tensor& t) {
  const Tensor c = t.detach().contiguous();
  std::string out = std::string(dtype_name(c.dtype())) + to_string(c.sizes()) + ":";
  const auto n = static_cast<size_t>(c.numel()) * c.element_size();
  if (n == 0) return out;
  const void* p = c.dtype() == kBool    ? static_cast<const void*>(c.const_data_ptr<bool>())
                  : c.dtype() == kLong  ? static_cast<const void*>(c.const_data_ptr<int64_t>())
                  : c.dtype() == kFloat ? static_cast<const void*>(c.const_data_ptr<float>())
                                        : static_cast<const void*>(c.const_data_ptr<double>());
  out.append(static_cast<const char*>(p), n);
  return out;
}

inline bool same_bits(const Tensor& a, const Tensor& b) { return bits(a) == bits(b); }

}  // namespace sinter::test

// A scalar as kernels take it: converted to their type, in the low bytes of 64 bits.
#pragma once
#include <bit>
#include <cstdint>
#include "../../runtime/scalar.h"

namespace sinter {

[[gnu::always_inline]] inline uint64_t scalar_bits(const Scalar& s, ScalarType t) {
  switch (t) {
    case ScalarType::Float:
      return std::bit_cast<uint32_t>(static_cast<float>(s.to_double()));
    case ScalarType::Double:
      return std::bit_cast<uint64_t>(s.to_double());
    case ScalarType::Bool:
      return s.to_bool();
    default:
      return static_cast<uint64_t>(s.to_int64());
  }
}

}  // namespace sinter

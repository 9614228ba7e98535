// An integer argument as an expression of input sizes: what explains it in two calls of different sizes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "../../runtime/tensor_impl.h"

namespace sinter {

/// A dimension of an input that differed between the call a branch was recorded with and the call that left it.
struct VaryingDim {
  int32_t slot = 0, dim = 0;
  int64_t before = 0, now = 0;
};

/// d + c, d * c, d / c or d * e, over sizes d, e of inputs. Guessing one is safe: each replay compares it with the real integer.
struct SizeExpr {
  enum class Kind : uint8_t { None, Plus, Times, Over, Product } kind = Kind::None;
  int32_t slot = 0, dim = 0, slot2 = 0, dim2 = 0;
  int64_t c = 0;
  friend bool operator==(const SizeExpr&, const SizeExpr&) = default;

  int64_t value(TensorImpl* const* slots) const;
  std::string str() const;
  /// The first expression that gives `before` and `now`; Kind::None when there is none.
  static SizeExpr explain(int64_t before, int64_t now, const std::vector<VaryingDim>& dims);
};

}  // namespace sinter

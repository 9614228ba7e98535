// The operator vocabulary as data; rows are in ops.def.
#pragma once
#include <cstdint>
#include <string_view>

namespace sinter {

enum class Op : uint16_t {
#define OP(name, ...) name,
#include "ops.def"
#undef OP
  kCount
};
inline constexpr int kOpCount = static_cast<int>(Op::kCount);

enum class OpKind : uint8_t {
  Pointwise,
  Cast,
  Fill,
  Reduce,
  Softmax,
  Norm,
  Gemm,
  Attention,
  View,
  Copy,
  Index,
  Loss,
  Random,
  Creation
};
enum class Promotion : uint8_t { Promote, Float, Compare, Logical, Same, Where, Special };

struct OpInfo {
  const char* name;
  OpKind kind;
  uint8_t min_in;
  uint16_t max_in;
  uint8_t max_scalars;
  Promotion promotion;
  bool differentiable, checked;
};

const OpInfo& op_info(Op op);
/// Finds a row by its ATen name; Op::kCount when there is none.
Op op_by_name(std::string_view name);
inline bool is_view(Op op) { return op_info(op).kind == OpKind::View; }

/// Flags of one call, part of its identity.
enum CallFlag : uint8_t {
  kInplace = 1,        // the result is operand 0
  kScalarRhs = 2,      // binary: the second operand is scalars[0]
  kScalarLhs = 4,      // binary: the first operand is scalars[0], operand 0 is the second
  kHasAlpha = 8,       // add, sub: the last scalar multiplies the second operand
  kAttrExponent = 16,  // pow: attr holds the bits of a double exponent
};

/// Reductions: dims is a mask over dimensions (0 = all), dtype the result type asked for or Undefined.
constexpr uint64_t reduce_attr(uint32_t dims, bool keepdim, uint8_t dtype) {
  return dims | (static_cast<uint64_t>(keepdim) << 32) | (static_cast<uint64_t>(dtype) << 40);
}
constexpr uint32_t reduce_dims(uint64_t attr) { return static_cast<uint32_t>(attr); }
constexpr bool reduce_keepdim(uint64_t attr) { return (attr >> 32) & 1; }
constexpr uint8_t reduce_dtype(uint64_t attr) { return static_cast<uint8_t>(attr >> 40); }

/// Losses: reduction 0 none, 1 mean, 2 sum (PyTorch's numbers); ignore_index is kept in 32 bits.
constexpr uint64_t loss_attr(int reduction, int64_t ignore_index) {
  return static_cast<uint64_t>(reduction) |
         (static_cast<uint64_t>(static_cast<uint32_t>(static_cast<int32_t>(ignore_index))) << 32);
}
constexpr int loss_reduction(uint64_t attr) { return static_cast<int>(attr & 3); }
constexpr int64_t loss_ignore_index(uint64_t attr) { return static_cast<int32_t>(attr >> 32); }

}  // namespace sinter

// What the loop emitter is asked for: a fused loop nest as a DAG of expressions over one iteration space.
#pragma once
#include <algorithm>
#include <string>
#include <vector>
#include "../../runtime/dtype.h"
#include "../../runtime/ops/ops.h"
#include "../../runtime/sizes.h"

namespace sinter::codegen {

/// Pointwise: every node is computed for every index.
/// Row:       the last dimension is reduced by the Reduce nodes; what depends on a Reduce runs in a later sweep over the
///            same row (softmax: max | exp, sum | scale). A Reduce's value is one number per row, broadcast where used.
/// Column:    the second last dimension is reduced, vectorised over the last; nodes after the Reduce see [.., 1, last].
enum class LoopMode : uint8_t { Pointwise, Row, Column };
enum class ReduceKind : uint8_t { Sum, Max, Min };  // Max and Min: NaN wins
enum class LoopKind : uint8_t { Load, Scalar, Constant, Iota, Compute, Cast, Reduce };

/// One tensor argument of the kernel. Strides in elements, one per dimension of the space; 0 = broadcast.
struct LoopOperand {
  ScalarType dtype = ScalarType::Undefined;
  bool output = false;
  SizeVec strides;
  friend bool operator==(const LoopOperand&, const LoopOperand&) = default;
};

/// SSA value; inputs come before their users.
struct LoopNode {
  LoopKind kind = LoopKind::Constant;
  ScalarType dtype = ScalarType::Undefined;  // of the value; Cast converts in[0] to it
  Op op = Op::kCount;                        // Compute: a pointwise operator; operands are already of the compute type
  ReduceKind reduce = ReduceKind::Sum;
  int32_t index = -1;  // Load: operand; Scalar: number of the scalar; Iota: dimension
  uint64_t bits = 0;   // Constant: bits in `dtype`; Compute pow with one operand: bits of the double exponent
  int8_t n_in = 0;
  int32_t in[4] = {-1, -1, -1, -1};  // add, sub: a, b[, alpha]; addcmul, addcdiv: self, t1, t2, value
  friend bool operator==(const LoopNode&, const LoopNode&) = default;
};

/// Writes a node to an output operand; Row: a Reduce-only value is written once per row, Column: once per column.
struct LoopStore {
  int32_t node, operand;
  friend bool operator==(const LoopStore&, const LoopStore&) = default;
};

/// As a size: the kernel takes any extent of that dimension. As a stride: any, also of the last dimension (kAnyStride stands for
/// no broadcast: 0 and, along the last dimension, 1 are worth being told). Both are read from the slots after the scalars, in the
/// order of size_arguments().
inline constexpr int64_t kAnySize = -1;
inline constexpr int64_t kAnyStride = INT64_MIN;

/// Largest stride along the last dimension, in elements: keeps byte offsets of all copies in 32 bits. A kernel that takes it as
/// an argument relies on it.
inline constexpr int64_t kMaxLaneStride = 1 << 20;

struct LoopSpec {
  LoopMode mode = LoopMode::Pointwise;
  SizeVec sizes;  // outermost first, at least one dimension, collapsed by the caller where it could
  std::vector<LoopOperand> operands;
  std::vector<ScalarType> scalars;
  std::vector<LoopNode> nodes;
  std::vector<LoopStore> stores;
  /// The dimension of which a call does a range (not the reduced one), or -1: calls for parts of it can run at one time.
  int32_t split = -1;
  friend bool operator==(const LoopSpec&, const LoopSpec&) = default;
};

/// One number (int64) that a kernel reads after its scalars. Extent: of `dim`. Fold: of the reduced dimension `dim`, the mask of
/// its index whose zero says that sums are folded (fold_mask). Stride: of `operand` along `dim`, in bytes.
struct SizeArgument {
  enum Kind : uint8_t { Extent, Fold, Stride } kind;
  int32_t dim, operand;
};
std::vector<SizeArgument> size_arguments(const LoopSpec& spec);
/// Of a reduced dimension of `extent` elements, in rows or columns: runtime/kernels/reduce_order.h.
int64_t fold_mask(LoopMode mode, int64_t extent);
/// What a kernel of `spec`, which differs from the concrete `sizes` and `operands` in kAnySize and kAnyStride alone, is to be
/// given.
std::vector<int64_t> size_values(const LoopSpec& spec, IntArrayRef sizes, const std::vector<LoopOperand>& operands);

inline bool has_any(IntArrayRef values, int64_t any) { return std::find(values.begin(), values.end(), any) != values.end(); }
/// Some of the extents or strides are arguments.
bool is_sized_at_run_time(const LoopSpec& spec);
/// The spec as one of kAnySize in its only dimension: Pointwise over floating operands, each contiguous or one element. False
/// when it is another.
bool make_sized_at_run_time(const LoopSpec& spec, LoopSpec& any);
/// Readable listing for logs and dumps.
std::string to_string(const LoopSpec& spec);
/// Short name made of the operators, e.g. "sin_cos_add"; unique names are the program's business.
std::string kernel_name(const LoopSpec& spec);
/// Whether the emitter takes this pointwise operator in this compute type.
bool can_emit(Op op, ScalarType compute);

}  // namespace sinter::codegen

// One operator call as every level sees it, and the shape of its result.
#pragma once
#include <span>
#include <string>
#include "../loc.h"
#include "../scalar.h"
#include "../tensor_impl.h"
#include "ops.h"

namespace sinter {

inline constexpr int kMaxScalars = 4;

/// An operator with its operands. Lives on the caller's stack; everything is borrowed.
struct OpCall {
  Op op;
  uint8_t flags = 0;  // CallFlag
  uint8_t n_scalars = 0;
  uint16_t n_in = 0;
  TensorImpl* const* in = nullptr;   // an entry may be null: undefined (no bias)
  uint64_t attr = 0;                 // structural, compared by bits
  IntArrayRef ints = {};             // structural: sizes, dims, bounds
  Scalar scalars[kMaxScalars] = {};  // values: compared by type only
  Loc loc = {};

  bool has(CallFlag f) const { return flags & f; }
  std::span<TensorImpl* const> operands() const { return {in, n_in}; }
};

/// True when the call writes operand 0 and returns it: the in-place twins, and copy_ and fill_ always.
inline bool is_inplace(const OpCall& c) { return c.has(kInplace) || c.op == Op::copy_ || c.op == Op::fill_; }

/// Type and geometry of a result. For views `offset` is absolute within operand 0's storage.
struct TensorMeta {
  ScalarType dtype = ScalarType::Undefined;
  SizeVec sizes, strides;
  int64_t offset = 0;
  friend bool operator==(const TensorMeta&, const TensorMeta&) = default;
};

/// Checks a call and computes its result's metadata; reads only metadata of the operands, never bytes.
/// In-place calls return operand 0's metadata (or throw if the result would not fit it).
/// @throws ShapeError, DtypeError, IndexError, ValueError with the operator, shapes and dtypes in the text.
/// `default_dtype` is what integers become in floating operators.
TensorMeta infer(const OpCall& call, ScalarType default_dtype);

/// The type in which a pointwise call computes (its operands are converted to it first).
ScalarType compute_dtype(const OpCall& call, ScalarType default_dtype);

/// "add(float[2, 3], float[3])" for messages.
std::string describe(const OpCall& call);

/// Strides of a pointwise result: follows the operands' dimension order, as TensorIterator does.
SizeVec pointwise_strides(IntArrayRef sizes, std::span<TensorImpl* const> operands);
/// Common shape after broadcasting; throws ShapeError naming `op`.
SizeVec broadcast_sizes(std::span<TensorImpl* const> operands, const char* op);

}  // namespace sinter

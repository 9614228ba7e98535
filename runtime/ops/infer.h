// Parts of infer, one per family, and the checks that functions share with them.
#pragma once
#include <fmt/format.h>
#include <optional>
#include "../error.h"
#include "op_call.h"

namespace sinter {

TensorMeta infer_pointwise(const OpCall& call, ScalarType default_dtype);  // also Cast and Fill
TensorMeta infer_reduce(const OpCall& call);                               // Reduce
TensorMeta infer_norm(const OpCall& call);                                 // Softmax, Norm
TensorMeta infer_gemm(const OpCall& call);
TensorMeta infer_attention(const OpCall& call);
TensorMeta infer_view(const OpCall& call);
TensorMeta infer_copy(const OpCall& call);
TensorMeta infer_index(const OpCall& call);
TensorMeta infer_loss(const OpCall& call);
TensorMeta infer_creation(const OpCall& call);  // Random, Creation

/// Throws E with the call in front of the text: "mm(float[2, 3], float[4, 5]): mat1 and mat2 ...".
template <class E, class... Args>
[[noreturn]] __attribute__((noinline, cold)) void fail(const OpCall& call, fmt::format_string<Args...> text, Args&&... args) {
  memory_gate([&] { throw E(describe(call) + ": " + fmt::format(text, std::forward<Args>(args)...)); });
  __builtin_unreachable();
}

/// Strides of a view of (sizes, strides) with `new_sizes`, nothing when memory would have to move. Each run of dimensions
/// that lies densely in memory may be regrouped; the products of the sizes must be equal.
std::optional<SizeVec> view_strides(IntArrayRef sizes, IntArrayRef strides, IntArrayRef new_sizes);

/// Maps [-rank, rank) to [0, rank); a rank of 0 counts as 1. Throws IndexError.
int64_t wrap_dim(int64_t dim, int64_t rank, const OpCall& call);

/// Metadata of a new row-major tensor; checks that its bytes are less than 2^63.
TensorMeta contiguous_meta(const OpCall& call, ScalarType dtype, IntArrayRef sizes);
TensorMeta meta_of(const TensorImpl* t);

/// Throws unless bytes of one tensor of this type and size can be counted in 63 bits.
void check_bytes(const OpCall& call, ScalarType dtype, IntArrayRef sizes);
/// Throws if writing operand 0 would write an element twice, or if another operand overlaps it partly; of an operator that
/// does not write each element from the same element of the others also when it overlaps fully.
void check_inplace_overlap(const OpCall& call, bool elementwise = true);
/// Throws DtypeError unless a result of type `from` may be stored in operand 0.
void check_inplace_dtype(const OpCall& call, ScalarType from);

inline std::string shape_x(IntArrayRef sizes) { return fmt::format("{}x{}", sizes[0], sizes[1]); }

}  // namespace sinter

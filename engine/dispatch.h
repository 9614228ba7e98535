// The one gate every operator goes through: frame or eager, then autograd.
#pragma once
#include "../runtime/ops/op_call.h"
#include "ambient.h"
#include "tensor.h"

namespace sinter {

/// Runs an operator: replays or records it when a frame is open, else computes it now. Builds the autograd node when a
/// differentiable operand requires grad and grad mode is on. In-place calls return a handle to operand 0.
Tensor call(const OpCall& call);

// Short forms for the common arities; these are the replay fast path.
Tensor call1(Op op, const Tensor& a, uint64_t attr, Loc loc, uint8_t flags = 0);
Tensor call2(Op op, const Tensor& a, const Tensor& b, uint64_t attr, Loc loc, uint8_t flags = 0);
Tensor call3(Op op, const Tensor& a, const Tensor& b, const Tensor& c, uint64_t attr, Loc loc, uint8_t flags = 0);
/// One tensor and one value scalar (kScalarRhs or kScalarLhs in flags).
Tensor call1s(Op op, const Tensor& a, Scalar s, uint64_t attr, Loc loc, uint8_t flags);

/// An in-place call whose result nobody wants a handle to.
void call_inplace(const OpCall& call);

/// Computes now, never looks at the frame, builds no node; operands must have their bytes (pending ones are brought in).
Tensor run_eager(const OpCall& call);
/// As run_eager, into existing memory: `out` has storage with bytes (used by programs and the interpreter).
void run_eager_into(const OpCall& call, TensorImpl* out);

/// Raises versions and write counters after an in-place operator.
inline void bump_version(TensorImpl* t) {
  t->storage->version.fetch_add(1, std::memory_order_relaxed);
  t->storage->writes.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace sinter

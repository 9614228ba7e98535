// Building calls: what the bodies of functions.h share.
#pragma once
#include "../../runtime/ops/infer.h"
#include "../../runtime/out_of_memory.h"
#include "../creation.h"
#include "../functions.h"

namespace sinter {

/// One tensor with attributes and sizes.
inline Tensor call_ints(Op op, const Tensor& self, IntArrayRef ints, uint64_t attr, Loc loc) {
  TensorImpl* in[] = {self.impl()};
  OpCall c{.op = op};
  c.n_in = 1, c.in = in, c.attr = attr, c.ints = ints, c.loc = loc;
  return call(c);
}

/// A call that is only named in an error.
struct NamedCall {
  TensorImpl* in[1];
  OpCall call;
  NamedCall(Op op, const Tensor& self, IntArrayRef ints = {}) : in{self.impl()}, call{.op = op} {
    call.n_in = 1, call.in = in, call.ints = ints;
  }
};

/// Maps a dimension to [0, rank); IndexError names the operator.
inline int64_t wrap(Op op, const Tensor& self, int64_t dim, int64_t rank) {
  if (dim >= 0 && dim < rank) [[likely]]
    return dim;
  return wrap_dim(dim, rank, NamedCall(op, self).call);
}
inline int64_t wrap(Op op, const Tensor& self, int64_t dim) { return wrap(op, self, dim, self.dim()); }

/// The only or the given dimensions as reduce_attr's mask. Throws IndexError, ValueError for a repeated one.
uint32_t dims_mask(Op op, const Tensor& self, IntArrayRef dims);
inline uint64_t dtype_bits(std::optional<ScalarType> t) { return static_cast<uint64_t>(t.value_or(ScalarType::Undefined)); }

/// An in-place call on one or two tensors, or with one number.
inline void write(Op op, const Tensor& self, uint64_t attr, Loc loc, uint8_t flags = 0) {
  TensorImpl* in[] = {self.impl()};
  call_inplace({.op = op, .flags = static_cast<uint8_t>(flags | kInplace), .n_in = 1, .in = in, .attr = attr, .loc = loc});
}
inline void write(Op op, const Tensor& self, const Tensor& other, uint64_t attr, Loc loc) {
  TensorImpl* in[] = {self.impl(), other.impl()};
  call_inplace({.op = op, .flags = kInplace, .n_in = 2, .in = in, .attr = attr, .loc = loc});
}
inline void write(Op op, const Tensor& self, Scalar other, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {self.impl()};
  OpCall c{.op = op, .flags = static_cast<uint8_t>(flags | kInplace), .n_scalars = 1, .n_in = 1, .in = in};
  c.loc = loc;
  c.scalars[0] = other;
  call_inplace(c);
}

}  // namespace sinter

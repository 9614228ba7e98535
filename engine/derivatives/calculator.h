// Operators as derivative formulas use them: thin calls that carry the source line of the forward call.
#pragma once
#include "../dispatch.h"

namespace sinter::derivatives {

class Calculator {
 public:
  explicit Calculator(Loc l) : loc(l) {}
  Loc loc;

  Tensor unary(Op op, const Tensor& a, uint64_t attr = 0) const { return call1(op, a, attr, loc); }
  Tensor binary(Op op, const Tensor& a, const Tensor& b, uint64_t attr = 0) const { return call2(op, a, b, attr, loc); }
  Tensor scalar_op(Op op, const Tensor& a, Scalar s, uint8_t flags = kScalarRhs) const { return call1s(op, a, s, 0, loc, flags); }
  Tensor with_ints(Op op, const Tensor& a, IntArrayRef ints, uint64_t attr = 0) const;

  Tensor add(const Tensor& a, const Tensor& b) const { return binary(Op::add, a, b); }
  Tensor add(const Tensor& a, Scalar s) const { return scalar_op(Op::add, a, s); }
  Tensor sub(const Tensor& a, const Tensor& b) const { return binary(Op::sub, a, b); }
  Tensor rsub(Scalar s, const Tensor& a) const { return scalar_op(Op::sub, a, s, kScalarLhs); }
  Tensor mul(const Tensor& a, const Tensor& b) const { return binary(Op::mul, a, b); }
  Tensor mul(const Tensor& a, Scalar s) const { return scalar_op(Op::mul, a, s); }
  Tensor div(const Tensor& a, const Tensor& b) const { return binary(Op::div, a, b); }
  Tensor div(const Tensor& a, Scalar s) const { return scalar_op(Op::div, a, s); }
  Tensor neg(const Tensor& a) const { return unary(Op::neg, a); }
  Tensor where(const Tensor& c, const Tensor& a, const Tensor& b) const { return call3(Op::where, c, a, b, 0, loc); }
  /// a^p as users call it: the exponent is part of the call's structure.
  Tensor power(const Tensor& a, double p) const;
  /// c ? a : 0, without 0 * inf.
  Tensor keep_if(const Tensor& c, const Tensor& a) const { return where(c, a, zeros_of({}, a.dtype())); }

  Tensor full(IntArrayRef sizes, Scalar value, ScalarType t) const;
  Tensor zeros_of(IntArrayRef sizes, ScalarType t) const { return full(sizes, Scalar(0.0), t); }
  Tensor zeros_like(const Tensor& a) const { return zeros_of(a.sizes(), a.dtype()); }
  Tensor to(const Tensor& a, ScalarType t) const { return a.dtype() == t ? a : unary(Op::to, a, static_cast<uint64_t>(t)); }

  Tensor mm(const Tensor& a, const Tensor& b) const { return binary(Op::mm, a, b); }
  Tensor t(const Tensor& a) const { return unary(Op::t, a); }
  Tensor transpose(const Tensor& a, int64_t d0, int64_t d1) const {
    return unary(Op::transpose, a, static_cast<uint64_t>(d0 | (d1 << 8)));
  }
  Tensor unsqueeze(const Tensor& a, int64_t dim) const { return unary(Op::unsqueeze, a, static_cast<uint64_t>(dim)); }
  Tensor expand(const Tensor& a, IntArrayRef sizes) const { return a.sizes() == sizes ? a : with_ints(Op::expand, a, sizes); }
  Tensor reshape(const Tensor& a, IntArrayRef sizes) const;
  /// `dims` as in reduce_attr: a mask, 0 = all.
  Tensor sum(const Tensor& a, uint32_t dims, bool keepdim) const;
  Tensor mean(const Tensor& a, uint32_t dims, bool keepdim) const;
  /// Puts the dimensions of size 1 back that a reduction over `dims` of a tensor of `rank` dimensions took away.
  Tensor unreduce(const Tensor& a, uint32_t dims, int64_t rank) const;
  /// Sums away what broadcasting from `sizes` to a's shape added.
  Tensor sum_to_size(const Tensor& a, IntArrayRef sizes) const;
};

/// Number of elements a reduction over `dims` folds into one.
int64_t reduced_count(IntArrayRef sizes, uint32_t dims);
/// True when a tensor of shape `from` broadcasts to `to`.
bool expandable(IntArrayRef from, IntArrayRef to);

}  // namespace sinter::derivatives

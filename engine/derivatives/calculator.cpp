#include "calculator.h"
#include <bit>
#include "../../runtime/mutants.h"

namespace sinter::derivatives {

Tensor Calculator::with_ints(Op op, const Tensor& a, IntArrayRef ints, uint64_t attr) const {
  TensorImpl* in[] = {a.impl()};
  return call({.op = op, .n_in = 1, .in = in, .attr = attr, .ints = ints, .loc = loc});
}

Tensor Calculator::power(const Tensor& a, double p) const {
  return call1(Op::pow, a, std::bit_cast<uint64_t>(p), loc, kAttrExponent);
}

Tensor Calculator::full(IntArrayRef sizes, Scalar value, ScalarType t) const {
  return call({.op = Op::full, .n_scalars = 1, .attr = static_cast<uint64_t>(t), .ints = sizes, .scalars = {value}, .loc = loc});
}

Tensor Calculator::reshape(const Tensor& a, IntArrayRef sizes) const {
  if (a.sizes() == sizes) return a;
  return with_ints(Op::view, a.is_contiguous() ? a : unary(Op::clone, a, 1), sizes);
}

Tensor Calculator::sum(const Tensor& a, uint32_t dims, bool keepdim) const {
  return unary(Op::sum, a, reduce_attr(dims, keepdim, static_cast<uint8_t>(ScalarType::Undefined)));
}

Tensor Calculator::mean(const Tensor& a, uint32_t dims, bool keepdim) const {
  return unary(Op::mean, a, reduce_attr(dims, keepdim, static_cast<uint8_t>(ScalarType::Undefined)));
}

Tensor Calculator::unreduce(const Tensor& a, uint32_t dims, int64_t rank) const {
  if (a.dim() == rank || dims == 0) return a;  // a full reduction's result has rank 0 and broadcasts as it is
  Tensor r = a;
  for (int64_t d = 0; d < rank; ++d)
    if (dims >> d & 1) r = unsqueeze(r, d);
  return r;
}

Tensor Calculator::sum_to_size(const Tensor& a, IntArrayRef sizes) const {
  const int64_t lead = a.dim() - static_cast<int64_t>(sizes.size());
  const uint32_t leading = (1u << lead) - 1;
  uint32_t inner = 0;
  for (int64_t d = lead; d < a.dim(); ++d)
    if (sizes[d - lead] == 1 && a.sizes()[d] != 1 && !SINTER_MUTANT(broadcast_gradient_not_summed)) inner |= 1u << d;
  if ((leading | inner) == 0) return a;
  if (inner == 0) return sum(a, leading, false);
  const Tensor r = sum(a, leading | inner, true);
  return lead == 0 ? r : unary(Op::squeeze, r, leading);
}

int64_t reduced_count(IntArrayRef sizes, uint32_t dims) {
  int64_t n = 1;
  for (size_t d = 0; d < sizes.size(); ++d)
    if (dims == 0 || (dims >> d & 1)) n *= sizes[d];
  return n;
}

bool expandable(IntArrayRef from, IntArrayRef to) {
  if (from.size() > to.size()) return false;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t f = from[from.size() - 1 - i], t = to[to.size() - 1 - i];
    if (f != t && f != 1) return false;
  }
  return true;
}

}  // namespace sinter::derivatives

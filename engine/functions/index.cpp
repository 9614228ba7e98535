// Indexing operators.
#include "common.h"

namespace sinter {

namespace {
uint64_t dim_attr(Op op, const Tensor& self, int64_t dim) { return static_cast<uint64_t>(wrap(op, self, dim)); }
}  // namespace

Tensor gather(const Tensor& self, int64_t dim, const Tensor& index, Loc loc) {
  return call2(Op::gather, self, index, dim_attr(Op::gather, self, dim), loc);
}
Tensor index_select(const Tensor& self, int64_t dim, const Tensor& index, Loc loc) {
  return call2(Op::index_select, self, index, dim_attr(Op::index_select, self, dim), loc);
}
Tensor embedding(const Tensor& weight, const Tensor& indices, int64_t padding_idx, Loc loc) {
  if (padding_idx < -1)
    fail<IndexError>(NamedCall(Op::embedding, weight).call, "padding_idx must be -1 (none) or a row, got {}", padding_idx);
  return call2(Op::embedding, weight, indices, static_cast<uint64_t>(padding_idx) + 1, loc);
}
Tensor scatter_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src, Loc loc) {
  return call3(Op::scatter_add, self, index, src, dim_attr(Op::scatter_add, self, dim), loc);
}
Tensor index_add(const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source, Loc loc) {
  return call3(Op::index_add, self, index, source, dim_attr(Op::index_add, self, dim), loc);
}
Tensor& Tensor::scatter_add_(int64_t dim, const Tensor& index, const Tensor& src, Loc loc) const {
  call3(Op::scatter_add, *this, index, src, dim_attr(Op::scatter_add, *this, dim), loc, kInplace);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::index_add_(int64_t dim, const Tensor& index, const Tensor& source, Loc loc) const {
  call3(Op::index_add, *this, index, source, dim_attr(Op::index_add, *this, dim), loc, kInplace);
  return const_cast<Tensor&>(*this);
}

}  // namespace sinter

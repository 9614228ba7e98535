#include "expand.h"

namespace sinter {

GraphNode Expansion::blank(Op op) const {
  GraphNode n;
  n.op = op;
  n.event = source_.event;
  n.loc = source_.loc;
  return n;
}

ValueId Expansion::pointwise(Op op, std::initializer_list<ValueId> in, std::initializer_list<ScalarRef> scalars, uint8_t flags) {
  GraphNode n = blank(op);
  n.flags = flags;
  n.in.assign(in);
  n.scalars.assign(scalars);
  n.compute = type_;
  n.meta.dtype = type_;
  if (op_info(op).promotion == Promotion::Compare) {
    n.meta.dtype = ScalarType::Bool;
    n.compute = nodes_[*in.begin()].meta.dtype;
  }
  if (op_info(op).promotion == Promotion::Logical) n.meta.dtype = n.compute = ScalarType::Bool;
  size_t rank = 0;
  for (ValueId v : in) rank = std::max(rank, nodes_[v].meta.sizes.size());
  n.meta.sizes.resize(rank);
  std::fill(n.meta.sizes.begin(), n.meta.sizes.end(), 1);
  for (ValueId v : in) {
    const SizeVec& s = nodes_[v].meta.sizes;
    for (size_t d = 0; d < s.size(); ++d)
      if (s[d] != 1) n.meta.sizes[d + rank - s.size()] = s[d];
  }
  n.meta.strides = contiguous_strides(n.meta.sizes);
  return add(std::move(n));
}

ValueId Expansion::reduce(Op op, ValueId a, uint32_t dims, bool keepdim) {
  GraphNode n = blank(op);
  const SizeVec& sizes = nodes_[a].meta.sizes;
  n.in = {a};
  n.attr = reduce_attr(dims, keepdim, static_cast<uint8_t>(op == Op::sum ? type_ : ScalarType::Undefined));
  n.meta.dtype = type_;
  for (size_t d = 0; d < sizes.size(); ++d) {
    const bool reduced = dims == 0 || (dims >> d & 1);
    if (!reduced) n.meta.sizes.push_back(sizes[d]);
    else if (keepdim) n.meta.sizes.push_back(1);
  }
  n.meta.strides = contiguous_strides(n.meta.sizes);
  return add(std::move(n));
}

ValueId Expansion::mean(ValueId a, uint32_t dims) {
  int64_t count = 1;
  const SizeVec sizes = nodes_[a].meta.sizes;
  for (size_t d = 0; d < sizes.size(); ++d)
    if (dims == 0 || (dims >> d & 1)) count *= sizes[d];
  return with_constant(Op::div, reduce(Op::sum, a, dims, true), count);
}

ValueId Expansion::cast(ValueId a, ScalarType to) {
  if (nodes_[a].meta.dtype == to) return a;
  GraphNode n = blank(Op::to);
  n.in = {a};
  n.attr = static_cast<uint64_t>(to);
  n.meta.dtype = to;
  n.meta.sizes = nodes_[a].meta.sizes;
  n.meta.strides = contiguous_strides(n.meta.sizes);
  return add(std::move(n));
}

ValueId Expansion::constant(Scalar s, ScalarType t) {
  GraphNode n = blank(Op::full);
  n.attr = static_cast<uint64_t>(t);
  n.scalars = {{-1, s}};
  n.meta.dtype = t;
  return add(std::move(n));
}

ValueId Expansion::iota(int64_t count) {
  GraphNode n = blank(Op::arange);
  n.attr = static_cast<uint64_t>(ScalarType::Long);
  n.ints = {count};
  n.scalars = {{-1, Scalar(int64_t{0})}, {-1, Scalar(int64_t{1})}};
  n.meta.dtype = ScalarType::Long;
  n.meta.sizes = {count};
  n.meta.strides = {1};
  return add(std::move(n));
}

ValueId Expansion::unsqueeze_last(ValueId a) {
  GraphNode n = blank(Op::unsqueeze);
  n.in = {a};
  n.attr = nodes_[a].meta.sizes.size();
  n.meta = nodes_[a].meta;
  n.meta.offset = 0;
  n.meta.sizes.push_back(1);
  n.meta.strides.push_back(1);
  return add(std::move(n));
}

ValueId Expansion::reshape(ValueId a, IntArrayRef sizes) {
  GraphNode n = blank(Op::view);
  n.in = {a};
  n.ints = sizes.vec();
  n.meta.dtype = nodes_[a].meta.dtype;
  n.meta.sizes = sizes;
  n.meta.strides = contiguous_strides(sizes);
  return add(std::move(n));
}

}  // namespace sinter

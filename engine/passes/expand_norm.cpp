#include "expand.h"

namespace sinter {

namespace {

/// Mask of the last `count` dimensions.
uint32_t trailing(size_t rank, size_t count) {
  uint32_t mask = 0;
  for (size_t d = rank - count; d < rank; ++d) mask |= 1u << d;
  return mask;
}

struct Statistics {
  ValueId d, r, xhat;
};

Statistics statistics(Expansion& x, ValueId in, uint32_t dims, ScalarRef eps) {
  Statistics s;
  s.d = x.binary(Op::sub, in, x.mean(in, dims));
  s.r = x.unary(Op::rsqrt, x.with_scalar(Op::add, x.mean(x.binary(Op::mul, s.d, s.d), dims), eps));
  s.xhat = x.binary(Op::mul, s.d, s.r);
  return s;
}

ValueId operand(const GraphNode& n, size_t i) { return i < n.in.size() ? n.in[i] : -1; }

}  // namespace

// The order of operations is that of runtime/kernels/norm.h.
ValueId expand_norm(Expansion& x, const GraphNode& n) {
  const ValueId in = n.op == Op::layer_norm ? n.in[0] : n.in[1];
  const TensorMeta meta = x.meta(in);
  const size_t rank = meta.sizes.size(), count = static_cast<size_t>(n.attr);
  if (!is_floating(n.meta.dtype) || rank > 32 || count == 0 || count > rank || n.scalars.empty()) return -1;
  for (ValueId v : n.in)
    if (v >= 0 && x.meta(v).dtype != n.meta.dtype) return -1;
  if (numel_of(meta.sizes) == 0) return -1;
  const uint32_t dims = trailing(rank, count);
  const Statistics s = statistics(x, in, dims, n.scalars[0]);
  if (n.op == Op::layer_norm) {
    ValueId y = s.xhat;
    if (const ValueId w = operand(n, 1); w >= 0) y = x.binary(Op::mul, y, w);
    if (const ValueId b = operand(n, 2); b >= 0) y = x.binary(Op::add, y, b);
    return y;
  }
  const ValueId g = n.in[0];
  if (n.op == Op::layer_norm_backward_weight) {
    if (count == rank) return x.binary(Op::mul, g, s.xhat);  // one row: the sum takes the element itself
    return x.reduce(Op::sum, x.binary(Op::mul, g, s.xhat), ((rank == 32 ? 0 : 1u << rank) - 1) & ~dims, false);
  }
  const ValueId w = operand(n, 2);
  const ValueId gw = w >= 0 ? x.binary(Op::mul, g, w) : g;
  const ValueId a = x.mean(gw, dims);
  const ValueId b = x.mean(x.binary(Op::mul, gw, s.xhat), dims);
  return x.binary(Op::mul, x.binary(Op::sub, x.binary(Op::sub, gw, a), x.binary(Op::mul, s.xhat, b)), s.r);
}

}  // namespace sinter

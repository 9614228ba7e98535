#include "expand.h"

namespace sinter {

namespace {

/// True when nothing but dimensions of size 1 follows `dim`: the reduction then runs along rows.
bool innermost(const TensorMeta& x, size_t dim) {
  for (size_t d = dim + 1; d < x.sizes.size(); ++d)
    if (x.sizes[d] != 1) return false;
  return true;
}

}  // namespace

// The order of operations is that of runtime/kernels/softmax.h.
ValueId expand_softmax(Expansion& x, const GraphNode& n) {
  const TensorMeta in = x.meta(n.in[0]);
  const auto dim = static_cast<size_t>(n.attr);
  if (!is_floating(n.meta.dtype) || in.dtype != n.meta.dtype || in.sizes.empty() || !innermost(in, dim)) return -1;
  const uint32_t mask = 1u << dim;
  const ValueId a = n.in[0];
  switch (n.op) {
    case Op::_softmax: {
      const ValueId e = x.unary(Op::exp, x.binary(Op::sub, a, x.reduce(Op::amax, a, mask, true)));
      return x.binary(Op::mul, e, x.unary(Op::reciprocal, x.reduce(Op::sum, e, mask, true)));
    }
    case Op::_log_softmax: {
      const ValueId d = x.binary(Op::sub, a, x.reduce(Op::amax, a, mask, true));
      return x.binary(Op::sub, d, x.unary(Op::log, x.reduce(Op::sum, x.unary(Op::exp, d), mask, true)));
    }
    case Op::_softmax_backward_data: {
      const ValueId y = n.in[1];
      return x.binary(Op::mul, y, x.binary(Op::sub, a, x.reduce(Op::sum, x.binary(Op::mul, a, y), mask, true)));
    }
    case Op::_log_softmax_backward_data: {
      const ValueId s = x.reduce(Op::sum, a, mask, true);
      return x.binary(Op::sub, a, x.binary(Op::mul, x.unary(Op::exp, n.in[1]), s));
    }
    default:
      return -1;
  }
}

}  // namespace sinter

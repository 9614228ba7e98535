// Softmax and layer norm.
#include "../ambient.h"
#include "derivative.h"

namespace sinter::derivatives {
namespace {
/// Along one dimension, kept.
Tensor sum_along(const Derivation& d, const Tensor& a) { return d.sum(a, a.dim() == 0 ? 0 : 1u << d.node.attr, true); }
}  // namespace

void softmax(Derivation& d) { d.out[0] = d.binary(Op::_softmax_backward_data, d.grad, d.result(), d.node.attr); }
void log_softmax(Derivation& d) { d.out[0] = d.binary(Op::_log_softmax_backward_data, d.grad, d.result(), d.node.attr); }

/// y * (g - sum(g * y)), linear in g and symmetric.
void softmax_backward_data(Derivation& d) {
  const Tensor y = d.in(1);
  if (d.needs(0)) d.out[0] = d.binary(Op::_softmax_backward_data, d.grad, y, d.node.attr);
  if (!d.needs(1)) return;
  const Tensor g = d.in(0);
  const Tensor inner = d.sub(g, sum_along(d, d.mul(g, y)));
  d.out[1] = d.sub(d.mul(d.grad, inner), d.mul(g, sum_along(d, d.mul(d.grad, y))));
}

/// g - exp(y) * sum(g)
void log_softmax_backward_data(Derivation& d) {
  const Tensor weighted = d.mul(d.grad, d.unary(Op::exp, d.in(1)));
  if (d.needs(0)) d.out[0] = d.sub(d.grad, sum_along(d, weighted));
  if (d.needs(1)) d.out[1] = d.neg(d.mul(weighted, sum_along(d, d.in(0))));
}

namespace {

/// The last `count` of `rank` dimensions.
uint32_t trailing(int64_t rank, uint64_t count) {
  return static_cast<uint32_t>((1ull << rank) - 1) & ~static_cast<uint32_t>((1ull << (rank - static_cast<int64_t>(count))) - 1);
}

/// In operators that can be differentiated again.
void layer_norm_composed(Derivation& d) {
  const Tensor x = d.in(0);
  const uint32_t dims = trailing(x.dim(), d.node.attr);
  const Tensor centred = d.sub(x, d.mean(x, dims, true));
  const Tensor inverse = d.unary(Op::rsqrt, d.add(d.mean(d.mul(centred, centred), dims, true), d.node.scalars[0]));
  const Tensor normed = d.mul(centred, inverse);
  if (d.needs(1)) d.out[1] = d.mul(d.grad, normed);
  if (d.needs(2)) d.out[2] = d.grad;
  if (!d.needs(0)) return;
  const Tensor weight = d.in(1);
  const Tensor g = weight.defined() ? d.mul(d.grad, weight) : d.grad;
  const Tensor along = d.mul(normed, d.mean(d.mul(g, normed), dims, true));
  d.out[0] = d.mul(d.sub(d.sub(g, d.mean(g, dims, true)), along), inverse);
}

}  // namespace

void layer_norm(Derivation& d) {
  if (grad_mode()) return layer_norm_composed(d);
  const auto backward = [&](Op op, std::initializer_list<TensorImpl*> in) {
    return call({.op = op,
                 .n_scalars = d.node.n_scalars,
                 .n_in = static_cast<uint16_t>(in.size()),
                 .in = in.begin(),
                 .attr = d.node.attr,
                 .scalars = {d.node.scalars[0]},
                 .loc = d.loc});
  };
  if (d.needs(0) || d.needs(1)) {
    const Tensor x = d.in(0);
    if (d.needs(1)) d.out[1] = backward(Op::layer_norm_backward_weight, {d.grad.impl(), x.impl()});
    if (d.needs(0)) {
      const Tensor weight = d.in(1);
      d.out[0] = weight.defined() ? backward(Op::layer_norm_backward_input, {d.grad.impl(), x.impl(), weight.impl()})
                                  : backward(Op::layer_norm_backward_input, {d.grad.impl(), x.impl()});
    }
  }
  if (d.needs(2)) d.out[2] = d.grad;
}

}  // namespace sinter::derivatives

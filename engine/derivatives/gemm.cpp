// Matrix products.
#include "derivative.h"

namespace sinter::derivatives {

void mm(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.mm(d.grad, d.t(d.in(1)));
  if (d.needs(1)) d.out[1] = d.mm(d.t(d.in(0)), d.grad);
}

void bmm(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.binary(Op::bmm, d.grad, d.transpose(d.in(1), 1, 2));
  if (d.needs(1)) d.out[1] = d.binary(Op::bmm, d.transpose(d.in(0), 1, 2), d.grad);
}

/// beta * bias + alpha * a @ b
void addmm(Derivation& d) {
  const Scalar beta = d.node.n_scalars > 0 ? d.node.scalars[0] : Scalar(1),
               alpha = d.node.n_scalars > 1 ? d.node.scalars[1] : Scalar(1);
  const auto times = [&](const Tensor& t, Scalar s) { return s.to_double() == 1 ? t : d.mul(t, s); };
  if (d.needs(0)) d.out[0] = times(d.grad, beta);
  if (d.needs(1)) d.out[1] = times(d.mm(d.grad, d.t(d.in(2))), alpha);
  if (d.needs(2)) d.out[2] = times(d.mm(d.t(d.in(1)), d.grad), alpha);
}

/// x @ weight^T + bias over all leading dimensions of x.
void linear(Derivation& d) {
  if (d.needs(2)) d.out[2] = d.grad;
  if (!d.needs(0) && !d.needs(1)) return;
  const int64_t out_features = d.grad.sizes().back();
  const int64_t rows = numel_of(IntArrayRef(d.grad.sizes().data(), d.grad.sizes().size() - 1));
  const Tensor g = d.reshape(d.grad, {rows, out_features});
  if (d.needs(0)) d.out[0] = d.reshape(d.mm(g, d.in(1)), d.sizes(0));
  if (d.needs(1)) {
    const Tensor x = d.in(0);
    d.out[1] = d.mm(d.t(g), d.reshape(x, {rows, x.sizes().back()}));
  }
}

}  // namespace sinter::derivatives

// Functions of one argument, and the derivative operators of the activations themselves.
#include <numbers>
#include "derivative.h"

namespace sinter::derivatives {

void neg(Derivation& d) { d.out[0] = d.neg(d.grad); }
void abs(Derivation& d) { d.out[0] = d.mul(d.grad, d.unary(Op::sign, d.in(0))); }
void exp(Derivation& d) { d.out[0] = d.mul(d.grad, d.result()); }
void log(Derivation& d) { d.out[0] = d.div(d.grad, d.in(0)); }
void log1p(Derivation& d) { d.out[0] = d.div(d.grad, d.add(d.in(0), Scalar(1.0))); }
void sqrt(Derivation& d) { d.out[0] = d.div(d.grad, d.mul(d.result(), Scalar(2.0))); }
void sin(Derivation& d) { d.out[0] = d.mul(d.grad, d.unary(Op::cos, d.in(0))); }
void cos(Derivation& d) { d.out[0] = d.mul(d.grad, d.neg(d.unary(Op::sin, d.in(0)))); }
void tanh(Derivation& d) { d.out[0] = d.binary(Op::tanh_backward, d.grad, d.result()); }
void sigmoid(Derivation& d) { d.out[0] = d.binary(Op::sigmoid_backward, d.grad, d.result()); }
void relu(Derivation& d) { d.out[0] = d.binary(Op::threshold_backward, d.grad, d.result()); }
void gelu(Derivation& d) { d.out[0] = d.binary(Op::gelu_backward, d.grad, d.in(0)); }

/// grad * s * (1 + x * (1 - s)), s = sigmoid(x)
void silu(Derivation& d) {
  const Tensor x = d.in(0), s = d.unary(Op::sigmoid, x);
  const Tensor slope = d.add(d.mul(x, d.rsub(Scalar(1.0), s)), Scalar(1.0));
  d.out[0] = d.mul(d.grad, d.mul(s, slope));
}

void rsqrt(Derivation& d) {
  const Tensor r = d.result();
  d.out[0] = d.mul(d.mul(d.grad, Scalar(-0.5)), d.mul(d.mul(r, r), r));
}

void reciprocal(Derivation& d) {
  const Tensor r = d.result();
  d.out[0] = d.mul(d.neg(d.grad), d.mul(r, r));
}

void erf(Derivation& d) {
  const Tensor x = d.in(0);
  const Tensor bell = d.unary(Op::exp, d.neg(d.mul(x, x)));
  d.out[0] = d.mul(d.mul(bell, Scalar(2.0 * std::numbers::inv_sqrtpi)), d.grad);
}

/// grad * (1 - y) * y
void sigmoid_backward(Derivation& d) {
  const Tensor y = d.in(1);
  if (d.needs(0)) d.out[0] = d.binary(Op::sigmoid_backward, d.grad, y);
  if (d.needs(1)) d.out[1] = d.mul(d.mul(d.grad, d.in(0)), d.rsub(Scalar(1.0), d.mul(y, Scalar(2.0))));
}

/// grad * (1 - y^2)
void tanh_backward(Derivation& d) {
  const Tensor y = d.in(1);
  if (d.needs(0)) d.out[0] = d.binary(Op::tanh_backward, d.grad, y);
  if (d.needs(1)) d.out[1] = d.mul(d.mul(d.grad, d.in(0)), d.mul(y, Scalar(-2.0)));
}

void threshold_backward(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.binary(Op::threshold_backward, d.grad, d.in(1));
  if (d.needs(1)) d.out[1] = d.zeros_of(d.sizes(1), d.dtype(1));
}

/// gelu'(x) = Phi(x) + x phi(x), so gelu''(x) = (2 - x^2) phi(x), phi the standard normal density.
void gelu_backward(Derivation& d) {
  const Tensor x = d.in(1);
  if (d.needs(0)) d.out[0] = d.binary(Op::gelu_backward, d.grad, x);
  if (!d.needs(1)) return;
  const Tensor square = d.mul(x, x);
  const Tensor density =
      d.mul(d.unary(Op::exp, d.mul(square, Scalar(-0.5))), Scalar(std::numbers::inv_sqrtpi / std::numbers::sqrt2));
  d.out[1] = d.mul(d.mul(d.grad, d.in(0)), d.mul(density, d.rsub(Scalar(2.0), square)));
}

}  // namespace sinter::derivatives

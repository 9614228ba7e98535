// Arithmetic of two arguments, one of which may be a scalar; where, clamp, addcmul, addcdiv.
// Formulas: PyTorch's tools/autograd/derivatives.yaml states the same conventions (halves at ties, zero where a power has no
// gradient).
#include <bit>
#include <cmath>
#include "../../runtime/mutants.h"
#include "derivative.h"

namespace sinter::derivatives {
namespace {

bool scalar_form(const Derivation& d) { return d.has(kScalarRhs) || d.has(kScalarLhs); }

/// alpha of add and sub: the last scalar.
Tensor times_alpha(const Derivation& d, const Tensor& g) {
  return d.has(kHasAlpha) ? d.mul(g, d.node.scalars[d.node.n_scalars - 1]) : g;
}

void add_or_sub(Derivation& d, bool negative) {
  const bool scalar_first = d.has(kScalarLhs);  // then operand 0 is the second argument
  for (size_t i = 0; i < 2; ++i) {
    if (!d.needs(i)) continue;
    if (i == 0 && !scalar_first) {
      d.out[0] = d.grad;
      continue;
    }
    const Tensor g = times_alpha(d, d.grad);
    d.out[i] = negative ? d.neg(g) : g;
  }
}

/// The gradient of min and max: to the chosen argument, halved at ties.
void extremum(Derivation& d, Op loses) {
  for (size_t i = 0; i < 2; ++i) {
    if (!d.needs(i)) continue;
    const Tensor x = d.in(i);
    const bool scalar = scalar_form(d);
    const Tensor other = scalar ? Tensor() : d.in(1 - i);
    const Scalar s = d.node.scalars[0];
    const Tensor tie = scalar ? d.scalar_op(Op::eq, x, s) : d.binary(Op::eq, x, other);
    const Tensor lost = scalar ? d.scalar_op(loses, x, s) : d.binary(loses, x, other);
    const Tensor shared = SINTER_MUTANT(ties_not_halved) ? d.grad : d.where(tie, d.div(d.grad, Scalar(2.0)), d.grad);
    d.out[i] = d.where(lost, d.zeros_of({}, d.grad.dtype()), shared);
  }
}

/// grad * p * x^(p-1); nothing flows when p is 0, also at x = 0.
Tensor power_rule(const Derivation& d, double p) {
  if (p == 0 && !SINTER_MUTANT(power_zero_at_zero)) return d.zeros_like(d.grad);
  if (p == 1) return d.grad;
  const Tensor x = d.in(0);
  return d.mul(d.grad, d.mul(p == 2 ? x : d.power(x, p - 1), Scalar(p)));
}

/// grad * result * log(base), 0 where base is 0 and the exponent is not negative.
Tensor exponent_rule(const Derivation& d) {
  const Tensor result = d.result();
  if (d.has(kScalarLhs)) {
    const double base = d.node.scalars[0].to_double();
    const Tensor g = d.mul(d.grad, d.mul(result, Scalar(std::log(base))));
    if (base != 0) return g;
    return d.where(d.scalar_op(Op::ge, d.in(0), Scalar(0.0)), d.zeros_of({}, g.dtype()), g);
  }
  const Tensor base = d.in(0), exponent = d.in(1);
  const Tensor g = d.mul(d.grad, d.mul(result, d.unary(Op::log, base)));
  const Tensor flat =
      d.binary(Op::logical_and, d.scalar_op(Op::eq, base, Scalar(0.0)), d.scalar_op(Op::ge, exponent, Scalar(0.0)));
  return d.where(flat, d.zeros_of({}, g.dtype()), g);
}

}  // namespace

void add(Derivation& d) { add_or_sub(d, false); }
void sub(Derivation& d) { add_or_sub(d, true); }

void mul(Derivation& d) {
  if (scalar_form(d)) {
    d.out[0] = d.mul(d.grad, d.node.scalars[0]);
    return;
  }
  if (d.needs(0)) d.out[0] = d.mul(d.grad, d.in(1));
  if (d.needs(1)) d.out[1] = d.mul(d.grad, d.in(0));
}

void div(Derivation& d) {
  if (d.has(kScalarRhs)) {
    d.out[0] = d.div(d.grad, d.node.scalars[0]);
    return;
  }
  if (d.has(kScalarLhs)) {
    const Tensor x = d.in(0);
    d.out[0] = d.mul(d.neg(d.grad), d.div(d.scalar_op(Op::div, x, d.node.scalars[0], kScalarLhs), x));
    return;
  }
  const Tensor b = d.in(1);
  if (d.needs(0)) d.out[0] = d.div(d.grad, b);
  if (d.needs(1)) d.out[1] = d.mul(d.neg(d.grad), d.div(d.div(d.in(0), b), b));
}

/// a - b * floor(a / b): floor has no gradient.
void remainder(Derivation& d) {
  if (d.has(kScalarLhs)) {
    d.out[0] = d.mul(d.neg(d.grad), d.scalar_op(Op::floor_divide, d.in(0), d.node.scalars[0], kScalarLhs));
    return;
  }
  if (d.needs(0)) d.out[0] = d.grad;
  if (d.needs(1)) d.out[1] = d.mul(d.neg(d.grad), d.binary(Op::floor_divide, d.in(0), d.in(1)));
}

void zero(Derivation& d) {
  for (size_t i = 0; i < d.node.n_in; ++i)
    if (d.needs(i)) d.out[i] = d.zeros_of(d.sizes(i), d.dtype(i));
}

void minimum(Derivation& d) { extremum(d, Op::gt); }
void maximum(Derivation& d) { extremum(d, Op::lt); }

void pow(Derivation& d) {
  if (d.has(kAttrExponent) || d.has(kScalarRhs)) {
    d.out[0] = power_rule(d, d.has(kAttrExponent) ? std::bit_cast<double>(d.node.attr) : d.node.scalars[0].to_double());
    return;
  }
  if (d.has(kScalarLhs)) {
    d.out[0] = exponent_rule(d);
    return;
  }
  if (d.needs(0)) {
    const Tensor base = d.in(0), exponent = d.in(1);
    const Tensor slope = d.mul(exponent, d.binary(Op::pow, base, d.add(exponent, Scalar(-1.0))));
    const Tensor g = d.mul(d.grad, slope);
    d.out[0] = d.where(d.scalar_op(Op::eq, exponent, Scalar(0.0)), d.zeros_of({}, g.dtype()), g);
  }
  if (d.needs(1)) d.out[1] = exponent_rule(d);
}

void where(Derivation& d) {
  const Tensor condition = d.in(0);
  const Tensor zero = d.zeros_of({}, d.grad.dtype());
  if (d.needs(1)) d.out[1] = d.where(condition, d.grad, zero);
  if (d.needs(2)) d.out[2] = SINTER_MUTANT(where_gradient_everywhere) ? d.grad : d.where(condition, zero, d.grad);
}

void clamp(Derivation& d) {
  const Tensor x = d.in(0);
  Tensor inside;
  int s = 0;
  if (d.node.attr & 1) inside = d.scalar_op(Op::ge, x, d.node.scalars[s++]);
  if (d.node.attr & 2) {
    const Tensor below = d.scalar_op(Op::le, x, d.node.scalars[s]);
    inside = inside.defined() ? d.binary(Op::logical_and, inside, below) : below;
  }
  d.out[0] = inside.defined() ? d.keep_if(inside, d.grad) : d.grad;
}

namespace {
/// `value` of addcmul and addcdiv.
Tensor times_value(const Derivation& d, const Tensor& t) { return d.node.n_scalars == 0 ? t : d.mul(t, d.node.scalars[0]); }
}  // namespace

void addcmul(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.grad;
  if (d.needs(1)) d.out[1] = d.mul(d.grad, times_value(d, d.in(2)));
  if (d.needs(2)) d.out[2] = d.mul(d.grad, times_value(d, d.in(1)));
}

void addcdiv(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.grad;
  if (d.needs(1)) d.out[1] = times_value(d, d.div(d.grad, d.in(2)));
  if (d.needs(2)) {
    const Tensor t2 = d.in(2);
    d.out[2] = d.mul(d.neg(d.grad), times_value(d, d.div(d.in(1), d.mul(t2, t2))));
  }
}

}  // namespace sinter::derivatives

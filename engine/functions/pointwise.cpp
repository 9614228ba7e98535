// Pointwise operators with more than their operands to say. The plain ones are inline in functions.h.
#include <numbers>
#include "common.h"

namespace sinter {

namespace {

/// The result; none for in-place calls, whose handles nobody wants.
Tensor result_of(const OpCall& c) {
  if (!is_inplace(c)) return call(c);
  call_inplace(c);
  return {};
}

Tensor call_alpha(Op op, const Tensor& self, const Tensor& other, Scalar alpha, Loc loc, uint8_t flags = 0) {
  TensorImpl* in[] = {self.impl(), other.impl()};
  OpCall c{.op = op};
  c.flags = static_cast<uint8_t>(kHasAlpha | flags), c.n_scalars = 1, c.n_in = 2, c.in = in, c.loc = loc;
  c.scalars[0] = alpha;
  return result_of(c);
}

Tensor call_alpha(Op op, const Tensor& self, Scalar other, Scalar alpha, Loc loc, uint8_t flags = 0) {
  TensorImpl* in[] = {self.impl()};
  OpCall c{.op = op};
  c.flags = static_cast<uint8_t>(kScalarRhs | kHasAlpha | flags), c.n_scalars = 2, c.n_in = 1, c.in = in, c.loc = loc;
  c.scalars[0] = other, c.scalars[1] = alpha;
  return result_of(c);
}

Tensor call_clamp(const Tensor& self, std::optional<Scalar> min, std::optional<Scalar> max, Loc loc, uint8_t flags) {
  if (!min && !max) fail<ValueError>(NamedCall(Op::clamp, self).call, "At least one of 'min' or 'max' must not be None");
  TensorImpl* in[] = {self.impl()};
  OpCall c{.op = Op::clamp};
  c.flags = flags, c.n_in = 1, c.in = in, c.loc = loc;
  c.attr = (min ? 1 : 0) | (max ? 2 : 0);
  if (min) c.scalars[c.n_scalars++] = *min;
  if (max) c.scalars[c.n_scalars++] = *max;
  return result_of(c);
}

Tensor call_addc(Op op, const Tensor& self, const Tensor& a, const Tensor& b, Scalar value, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {self.impl(), a.impl(), b.impl()};
  OpCall c{.op = op};
  c.flags = flags, c.n_scalars = 1, c.n_in = 3, c.in = in, c.loc = loc;
  c.scalars[0] = value;
  return result_of(c);
}

Op division(std::optional<std::string_view> mode, const Tensor& self) {
  if (!mode) return Op::div;
  if (*mode == "trunc") return Op::div_trunc;
  if (*mode == "floor") return Op::floor_divide;
  fail<ValueError>(NamedCall(Op::div, self).call,
                   "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{}'", *mode);
}

uint64_t exponent_bits(Scalar exponent) { return std::bit_cast<uint64_t>(exponent.to_double()); }

/// The number as a rank-0 tensor of the type that `x` and the number have together.
Tensor beside(const Tensor& x, Scalar s, Loc loc) {
  PromotionState state;
  state.add(x.dtype(), x.dim() > 0, false);
  state.add(s.type(), false, true);
  return full({}, s, state.result(default_dtype()), loc);
}

}  // namespace

Tensor add(const Tensor& self, const Tensor& other, Scalar alpha, Loc loc) {
  return call_alpha(Op::add, self, other, alpha, loc);
}
Tensor add(const Tensor& self, Scalar other, Scalar alpha, Loc loc) { return call_alpha(Op::add, self, other, alpha, loc); }
Tensor sub(const Tensor& self, const Tensor& other, Scalar alpha, Loc loc) {
  return call_alpha(Op::sub, self, other, alpha, loc);
}
Tensor sub(const Tensor& self, Scalar other, Scalar alpha, Loc loc) { return call_alpha(Op::sub, self, other, alpha, loc); }
Tensor rsub(const Tensor& self, const Tensor& other, Scalar alpha, Loc loc) { return sub(other, self, alpha, loc); }
Tensor rsub(const Tensor& self, Scalar other, Scalar alpha, Loc loc) {
  // A bool goes straight to sub, which refuses it: times alpha it would be an integer.
  return call1s(Op::sub, self.dtype() == kBool ? self : mul(self, alpha, loc), other, 0, loc, kScalarLhs);
}

Tensor& Tensor::add_(const Tensor& other, Scalar alpha, Loc loc) const {
  call_alpha(Op::add, *this, other, alpha, loc, kInplace);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::add_(Scalar other, Scalar alpha, Loc loc) const {
  call_alpha(Op::add, *this, other, alpha, loc, kInplace);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::sub_(const Tensor& other, Scalar alpha, Loc loc) const {
  call_alpha(Op::sub, *this, other, alpha, loc, kInplace);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::sub_(Scalar other, Scalar alpha, Loc loc) const {
  call_alpha(Op::sub, *this, other, alpha, loc, kInplace);
  return const_cast<Tensor&>(*this);
}

Tensor div(const Tensor& self, const Tensor& other, std::optional<std::string_view> rounding_mode, Loc loc) {
  return call2(division(rounding_mode, self), self, other, 0, loc);
}
Tensor div(const Tensor& self, Scalar other, std::optional<std::string_view> rounding_mode, Loc loc) {
  return call1s(division(rounding_mode, self), self, other, 0, loc, kScalarRhs);
}
Tensor remainder(Scalar self, const Tensor& other, Loc loc) { return call1s(Op::remainder, other, self, 0, loc, kScalarLhs); }

Tensor pow(const Tensor& self, const Tensor& exponent, Loc loc) { return call2(Op::pow, self, exponent, 0, loc); }
Tensor pow(const Tensor& self, Scalar exponent, Loc loc) {
  // The exponent's bits say which formula; an integer base takes a floating exponent's type first, as in PyTorch.
  if (exponent.is_floating_point() && is_integral(self.dtype()))
    return call1(Op::pow, to(self, default_dtype(), false, loc), exponent_bits(exponent), loc, kAttrExponent);
  if (exponent.type() == kBool && self.dtype() == kBool) return call1s(Op::pow, self, exponent, 0, loc, kScalarRhs);
  return call1(Op::pow, self, exponent_bits(exponent), loc, kAttrExponent);
}
Tensor pow(Scalar self, const Tensor& exponent, Loc loc) { return call1s(Op::pow, exponent, self, 0, loc, kScalarLhs); }
Tensor& Tensor::pow_(const Tensor& exponent, Loc loc) const {
  write(Op::pow, *this, exponent, 0, loc);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::pow_(Scalar exponent, Loc loc) const {
  const bool changes_type = is_integral(dtype()) && (exponent.is_floating_point() || dtype() == kBool);
  if (changes_type) write(Op::pow, *this, exponent, loc, kScalarRhs);  // refused, with the types in the text
  else write(Op::pow, *this, exponent_bits(exponent), loc, kAttrExponent);
  return const_cast<Tensor&>(*this);
}
Tensor square(const Tensor& self, Loc loc) { return pow(self, 2, loc); }
Tensor& Tensor::square_(Loc loc) const { return pow_(2, loc); }

Tensor gelu(const Tensor& self, std::string_view approximate, Loc loc) {
  if (approximate == "none") return call1(Op::gelu, self, 0, loc);
  if (approximate != "tanh")
    fail<ValueError>(NamedCall(Op::gelu, self).call, "approximate argument must be either none or tanh.");
  // Hendrycks and Gimpel, "Gaussian error linear units", 2016.
  const double k = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const Tensor inner = mul(add(self, mul(pow(self, 3, loc), 0.044715, loc), loc), k, loc);
  return mul(mul(self, 0.5, loc), add(tanh(inner, loc), 1, loc), loc);
}
Tensor silu(const Tensor& self, Loc loc) { return call1(Op::silu, self, 0, loc); }
Tensor isnan(const Tensor& self, Loc loc) { return ne(self, self, loc); }

Tensor where(const Tensor& condition, const Tensor& self, const Tensor& other, Loc loc) {
  return call3(Op::where, condition, self, other, 0, loc);
}
Tensor where(const Tensor& condition, Scalar self, const Tensor& other, Loc loc) {
  return call3(Op::where, condition, beside(other, self, loc), other, 0, loc);
}
Tensor where(const Tensor& condition, const Tensor& self, Scalar other, Loc loc) {
  return call3(Op::where, condition, self, beside(self, other, loc), 0, loc);
}
Tensor where(const Tensor& condition, Scalar self, Scalar other, Loc loc) {
  return call3(Op::where, condition, full({}, self, {}, loc), full({}, other, {}, loc), 0, loc);
}
Tensor masked_fill(const Tensor& self, const Tensor& mask, Scalar value, Loc loc) {
  return call3(Op::where, mask, full({}, value, self.dtype(), loc), self, 0, loc);
}
Tensor& Tensor::masked_fill_(const Tensor& mask, Scalar value, Loc loc) const {
  return copy_(sinter::masked_fill(*this, mask, value, loc), loc);
}

Tensor clamp(const Tensor& self, std::optional<Scalar> min, std::optional<Scalar> max, Loc loc) {
  return call_clamp(self, min, max, loc, 0);
}
Tensor clamp_min(const Tensor& self, Scalar min, Loc loc) { return call_clamp(self, min, std::nullopt, loc, 0); }
Tensor clamp_max(const Tensor& self, Scalar max, Loc loc) { return call_clamp(self, std::nullopt, max, loc, 0); }
Tensor& Tensor::clamp_(std::optional<Scalar> min, std::optional<Scalar> max, Loc loc) const {
  call_clamp(*this, min, max, loc, kInplace);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::clamp_min_(Scalar min, Loc loc) const { return clamp_(min, std::nullopt, loc); }
Tensor& Tensor::clamp_max_(Scalar max, Loc loc) const { return clamp_(std::nullopt, max, loc); }

Tensor addcmul(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2, Scalar value, Loc loc) {
  return call_addc(Op::addcmul, self, tensor1, tensor2, value, loc, 0);
}
Tensor addcdiv(const Tensor& self, const Tensor& tensor1, const Tensor& tensor2, Scalar value, Loc loc) {
  return call_addc(Op::addcdiv, self, tensor1, tensor2, value, loc, 0);
}
Tensor& Tensor::addcmul_(const Tensor& tensor1, const Tensor& tensor2, Scalar value, Loc loc) const {
  call_addc(Op::addcmul, *this, tensor1, tensor2, value, loc, kInplace);
  return const_cast<Tensor&>(*this);
}
Tensor& Tensor::addcdiv_(const Tensor& tensor1, const Tensor& tensor2, Scalar value, Loc loc) const {
  call_addc(Op::addcdiv, *this, tensor1, tensor2, value, loc, kInplace);
  return const_cast<Tensor&>(*this);
}

Tensor to(const Tensor& self, ScalarType dtype, bool copy, Loc loc) {
  if (self.dtype() == dtype) return copy ? clone(self, loc) : self;
  return call1(Op::to, self, static_cast<uint64_t>(dtype), loc);
}

namespace {
void need_bool(Op op, const Tensor& t) {
  if (t.dtype() != kBool) fail<DtypeError>(NamedCall(op, t).call, "the operators & | ^ ~ take bool tensors only");
}
Tensor logical(Op op, const Tensor& a, const TensorArg& b) {
  need_bool(op, a);
  need_bool(op, b.tensor);
  return call2(op, a, b.tensor, 0, b.loc);
}
}  // namespace

Tensor operator&(const Tensor& a, const TensorArg& b) { return logical(Op::logical_and, a, b); }
Tensor operator|(const Tensor& a, const TensorArg& b) { return logical(Op::logical_or, a, b); }
Tensor operator^(const Tensor& a, const TensorArg& b) { return logical(Op::logical_xor, a, b); }
Tensor operator~(const TensorArg& a) {
  need_bool(Op::logical_not, a.tensor);
  return call1(Op::logical_not, a.tensor, 0, a.loc);
}

}  // namespace sinter

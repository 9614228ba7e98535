// Reductions, softmax, layer norm, and comparisons that read values.
#include <limits>
#include "common.h"

namespace sinter {

uint32_t dims_mask(Op op, const Tensor& self, IntArrayRef dims) {
  uint32_t mask = 0;
  const int64_t rank = self.dim();
  for (const int64_t given : dims) {
    const int64_t d = wrap(op, self, given, rank);
    if (rank == 0) continue;  // dimension 0 of a number: all of it
    if (d >= 32) fail<ShapeError>(NamedCall(op, self).call, "dimensions above 31 cannot be reduced one by one");
    if (mask >> d & 1) fail<ValueError>(NamedCall(op, self).call, "dim {} appears multiple times in the list of dims", d);
    mask |= 1u << d;
  }
  return mask;
}

namespace {

Tensor reduce(Op op, const Tensor& self, IntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype, Loc loc) {
  return call1(op, self, reduce_attr(dims_mask(op, self, dim), keepdim, static_cast<uint8_t>(dtype_bits(dtype))), loc);
}

Tensor reduce_all(Op op, const Tensor& self, std::optional<ScalarType> dtype, Loc loc) {
  return call1(op, self, reduce_attr(0, false, static_cast<uint8_t>(dtype_bits(dtype))), loc);
}

Tensor arg_reduce(Op op, const Tensor& self, std::optional<int64_t> dim, bool keepdim, Loc loc) {
  return dim ? reduce(op, self, *dim, keepdim, {}, loc) : reduce(op, self, {}, keepdim, {}, loc);
}

Tensor call_var(const Tensor& self, uint32_t mask, bool unbiased, bool keepdim, Loc loc) {
  const int64_t correction = unbiased ? 1 : 0;
  return call_ints(Op::var, self, correction, reduce_attr(mask, keepdim, static_cast<uint8_t>(ScalarType::Undefined)), loc);
}

/// Values along `dim` with their places. The gradient of a value goes to its place alone: then the value is gathered.
std::tuple<Tensor, Tensor> with_index(Op value, Op place, const Tensor& self, int64_t dim, bool keepdim, Loc loc) {
  Tensor index = arg_reduce(place, self.dtype() == kBool ? to(self, kLong, false, loc) : self, dim, keepdim, loc);
  if (!grad_mode() || !self.requires_grad()) return {reduce(value, self, dim, keepdim, {}, loc), index};
  if (self.dim() == 0) return {call1(Op::alias, self, 0, loc), index};
  const Tensor picked = gather(self, dim, keepdim ? index : unsqueeze(index, dim, loc), loc);
  return {keepdim ? picked : squeeze(picked, dim, loc), index};
}

}  // namespace

Tensor sum(const Tensor& self, std::optional<ScalarType> dtype, Loc loc) { return reduce_all(Op::sum, self, dtype, loc); }
Tensor sum(const Tensor& self, IntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype, Loc loc) {
  return reduce(Op::sum, self, dim, keepdim, dtype, loc);
}
Tensor mean(const Tensor& self, std::optional<ScalarType> dtype, Loc loc) { return reduce_all(Op::mean, self, dtype, loc); }
Tensor mean(const Tensor& self, IntArrayRef dim, bool keepdim, std::optional<ScalarType> dtype, Loc loc) {
  return reduce(Op::mean, self, dim, keepdim, dtype, loc);
}
Tensor amax(const Tensor& self, IntArrayRef dim, bool keepdim, Loc loc) { return reduce(Op::amax, self, dim, keepdim, {}, loc); }
Tensor amin(const Tensor& self, IntArrayRef dim, bool keepdim, Loc loc) { return reduce(Op::amin, self, dim, keepdim, {}, loc); }
Tensor max(const Tensor& self, Loc loc) { return reduce_all(Op::amax, self, {}, loc); }
Tensor min(const Tensor& self, Loc loc) { return reduce_all(Op::amin, self, {}, loc); }
std::tuple<Tensor, Tensor> max(const Tensor& self, int64_t dim, bool keepdim, Loc loc) {
  return with_index(Op::amax, Op::argmax, self, dim, keepdim, loc);
}
std::tuple<Tensor, Tensor> min(const Tensor& self, int64_t dim, bool keepdim, Loc loc) {
  return with_index(Op::amin, Op::argmin, self, dim, keepdim, loc);
}
Tensor argmax(const Tensor& self, std::optional<int64_t> dim, bool keepdim, Loc loc) {
  return arg_reduce(Op::argmax, self, dim, keepdim, loc);
}
Tensor argmin(const Tensor& self, std::optional<int64_t> dim, bool keepdim, Loc loc) {
  return arg_reduce(Op::argmin, self, dim, keepdim, loc);
}
Tensor var(const Tensor& self, bool unbiased, Loc loc) { return call_var(self, 0, unbiased, false, loc); }
Tensor var(const Tensor& self, IntArrayRef dim, bool unbiased, bool keepdim, Loc loc) {
  return call_var(self, dims_mask(Op::var, self, dim), unbiased, keepdim, loc);
}
Tensor std(const Tensor& self, bool unbiased, Loc loc) { return sqrt(var(self, unbiased, loc), loc); }
Tensor std(const Tensor& self, IntArrayRef dim, bool unbiased, bool keepdim, Loc loc) {
  return sqrt(var(self, dim, unbiased, keepdim, loc), loc);
}
Tensor any(const Tensor& self, Loc loc) { return reduce_all(Op::any, self, {}, loc); }
Tensor any(const Tensor& self, int64_t dim, bool keepdim, Loc loc) { return reduce(Op::any, self, dim, keepdim, {}, loc); }
Tensor all(const Tensor& self, Loc loc) { return reduce_all(Op::all, self, {}, loc); }
Tensor all(const Tensor& self, int64_t dim, bool keepdim, Loc loc) { return reduce(Op::all, self, dim, keepdim, {}, loc); }

bool equal(const Tensor& self, const Tensor& other, Loc loc) {
  if (self.dtype() != other.dtype()) {
    TensorImpl* in[] = {self.impl(), other.impl()};
    OpCall c{.op = Op::eq};
    c.n_in = 2, c.in = in;
    fail<DtypeError>(c, "equal expected tensors of one dtype");
  }
  if (!(self.sizes() == other.sizes())) return false;
  const NoGradGuard no_grad;
  return all(eq(self, other, loc), loc).item<bool>(loc);
}

bool allclose(const Tensor& self, const Tensor& other, double rtol, double atol, bool equal_nan, Loc loc) {
  const NoGradGuard no_grad;
  Tensor close = eq(self, other, loc);
  if (equal_nan) close = logical_or(close, logical_and(isnan(self, loc), isnan(other, loc), loc), loc);
  if (is_floating(self.dtype()) || is_floating(other.dtype()) || rtol != 0 || atol != 0) {
    const ScalarType wide = promote_types(promote_types(self.dtype(), other.dtype()), default_dtype());
    const Tensor a = to(self, wide, false, loc), b = to(other, wide, false, loc);
    const Tensor error = abs(sub(a, b, loc), loc), allowed = add(mul(abs(b, loc), rtol, loc), atol, loc);
    const Tensor finite = lt(error, std::numeric_limits<double>::infinity(), loc);
    close = logical_or(close, logical_and(finite, le(error, allowed, loc), loc), loc);
  }
  return all(close, loc).item<bool>(loc);
}

Tensor softmax(const Tensor& self, int64_t dim, std::optional<ScalarType> dtype, Loc loc) {
  const auto d = static_cast<uint64_t>(wrap(Op::_softmax, self, dim));
  return call1(Op::_softmax, dtype ? to(self, *dtype, false, loc) : self, d, loc);
}
Tensor log_softmax(const Tensor& self, int64_t dim, std::optional<ScalarType> dtype, Loc loc) {
  const auto d = static_cast<uint64_t>(wrap(Op::_log_softmax, self, dim));
  return call1(Op::_log_softmax, dtype ? to(self, *dtype, false, loc) : self, d, loc);
}

namespace {
/// Throws, in the name of `function`, unless `normalized_shape` is the end of the input's shape.
void check_normalized(const char* function, const Tensor& input, IntArrayRef normalized_shape) {
  const size_t k = normalized_shape.size(), rank = static_cast<size_t>(input.dim());
  if (k > 0 && k <= rank && IntArrayRef(input.sizes().data() + (rank - k), k) == normalized_shape) return;
  const std::string call = describe(NamedCall(Op::layer_norm, input).call);
  raise<ShapeError>("{}{}: Given normalized_shape={}, expected input with shape [*, {}], but got input of size{}", function,
                    call.substr(call.find('(')), to_string(normalized_shape),
                    fmt::join(normalized_shape.begin(), normalized_shape.end(), ", "), to_string(input.sizes()));
}
}  // namespace

Tensor rms_norm(const Tensor& input, IntArrayRef normalized_shape, const Tensor& weight, std::optional<double> eps, Loc loc) {
  check_normalized("rms_norm", input, normalized_shape);
  if (!is_floating(input.dtype())) raise<DtypeError>("rms_norm: expected a floating input, got {}", dtype_name(input.dtype()));
  if (weight.defined() && !(weight.sizes() == normalized_shape))
    raise<ShapeError>(
        "rms_norm: expected weight to be of same shape as normalized_shape, but got weight of shape {} and "
        "normalized_shape = {}",
        to_string(weight.sizes()), to_string(normalized_shape));
  SizeVec dims;
  for (size_t i = normalized_shape.size(); i > 0; --i) dims.push_back(-static_cast<int64_t>(i));
  const double smallest =
      input.dtype() == kDouble ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  const Tensor square = mean(mul(input, input, loc), dims, true, std::nullopt, loc);
  const Tensor normed = mul(input, rsqrt(add(square, eps.value_or(smallest), loc), loc), loc);
  return weight.defined() ? mul(normed, weight, loc) : normed;
}

Tensor layer_norm(const Tensor& input, IntArrayRef normalized_shape, const Tensor& weight, const Tensor& bias, double eps,
                  Loc loc) {
  check_normalized("layer_norm", input, normalized_shape);
  TensorImpl* in[] = {input.impl(), weight.impl(), bias.impl()};
  OpCall c{.op = Op::layer_norm};
  c.n_scalars = 1, c.in = in, c.attr = normalized_shape.size(), c.loc = loc;
  c.n_in = bias.defined() ? 3 : weight.defined() ? 2 : 1;
  c.scalars[0] = eps;
  return call(c);
}

}  // namespace sinter

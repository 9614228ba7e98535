// Creation functions. Those whose values are known only here (tensor, from_blob, empty, ...) make plain tensors with
// memory; the others are operators, so that a frame sees them.
#include "creation.h"
#include <cmath>
#include "frame/frame.h"
#include "functions/allocate.h"
#include "functions/common.h"

namespace sinter {

namespace {

ScalarType type_or(TensorOptions options, ScalarType otherwise) {
  return options.dtype_ == ScalarType::Undefined ? otherwise : options.dtype_;
}

Tensor finish(Tensor t, TensorOptions options, Loc loc) {
  if (options.requires_grad_) t.set_requires_grad(true, loc);
  return t;
}

/// PyTorch's type for a number without options.
ScalarType natural_type(ScalarType number) { return is_floating(number) ? default_dtype() : number; }

Tensor call_creation(Op op, IntArrayRef sizes, ScalarType dtype, std::initializer_list<Scalar> scalars, Loc loc) {
  OpCall c{.op = op};
  c.ints = sizes, c.attr = static_cast<uint64_t>(dtype), c.loc = loc;
  for (const Scalar& s : scalars) c.scalars[c.n_scalars++] = s;
  return call(c);
}

}  // namespace

Tensor empty(IntArrayRef size, TensorOptions options, Loc loc) {
  return finish(allocate_tensor("empty", type_or(options, default_dtype()), size), options, loc);
}
Tensor empty_strided(IntArrayRef size, IntArrayRef stride, TensorOptions options, Loc loc) {
  return finish(allocate_tensor("empty_strided", type_or(options, default_dtype()), size, stride), options, loc);
}
Tensor zeros(IntArrayRef size, TensorOptions options, Loc loc) {
  return finish(call_creation(Op::full, size, type_or(options, default_dtype()), {0}, loc), options, loc);
}
Tensor ones(IntArrayRef size, TensorOptions options, Loc loc) {
  return finish(call_creation(Op::full, size, type_or(options, default_dtype()), {1}, loc), options, loc);
}
Tensor full(IntArrayRef size, Scalar fill_value, TensorOptions options, Loc loc) {
  const ScalarType t = type_or(options, natural_type(fill_value.type()));
  return finish(call_creation(Op::full, size, t, {fill_value}, loc), options, loc);
}
Tensor scalar_tensor(Scalar value, TensorOptions options, Loc loc) {
  return full({}, value, options.dtype(type_or(options, default_dtype())), loc);
}

Tensor arange(Scalar end, TensorOptions options, Loc loc) { return arange(0, end, 1, options, loc); }
Tensor arange(Scalar start, Scalar end, TensorOptions options, Loc loc) { return arange(start, end, 1, options, loc); }
Tensor arange(Scalar start, Scalar end, Scalar step, TensorOptions options, Loc loc) {
  const bool integral = !start.is_floating_point() && !end.is_floating_point() && !step.is_floating_point();
  const ScalarType t = type_or(options, integral ? kLong : default_dtype());
  const double a = start.to_double(), b = end.to_double(), s = step.to_double();
  if (s == 0) raise<ValueError>("arange: step must be nonzero");
  if (!std::isfinite(a) || !std::isfinite(b)) raise<ValueError>("arange: unsupported range: {} -> {}", a, b);
  if (s > 0 ? b < a : b > a) raise<ValueError>("arange: upper bound and larger bound inconsistent with step sign");
  const double count = std::ceil((b - a) / s);
  if (!(count >= 0 && count < 9.2e18)) raise<ShapeError>("arange: invalid size, possible overflow?");
  auto n = static_cast<int64_t>(count);
  if (integral) {  // exact beyond 2^53
    int64_t d = 0;
    const int64_t k = step.to_int64();
    if (__builtin_sub_overflow(end.to_int64(), start.to_int64(), &d))
      raise<ShapeError>("arange: invalid size, possible overflow?");
    n = d / k + (d % k != 0);
  }
  return finish(call_creation(Op::arange, n, t, {start, step}, loc), options, loc);
}

Tensor linspace(Scalar start, Scalar end, int64_t steps, TensorOptions options, Loc loc) {
  if (steps < 0) raise<ValueError>("linspace: number of steps must be non-negative");
  Tensor t = allocate_tensor("linspace", type_or(options, default_dtype()), steps);
  const double a = start.to_double(), b = end.to_double();
  const double step = steps > 1 ? (b - a) / static_cast<double>(steps - 1) : 0;
  for (int64_t i = 0; i < steps; ++i) {
    // From the nearer end, so that the last element is `end` exactly.
    const bool first_half = i < (steps + 1) / 2;
    const auto k = static_cast<double>(first_half ? i : steps - 1 - i);
    store_element(t.impl(), i, first_half ? a + step * k : b - step * k);
  }
  return finish(std::move(t), options, loc);
}

Tensor eye(int64_t n, TensorOptions options, Loc loc) { return eye(n, n, options, loc); }
Tensor eye(int64_t n, int64_t m, TensorOptions options, Loc loc) {
  Tensor t = allocate_tensor("eye", type_or(options, default_dtype()), {n, m});
  for (int64_t i = 0; i < n * m; ++i) store_element(t.impl(), i, i / m == i % m);
  return finish(std::move(t), options, loc);
}

TensorData::TensorData(Scalar value) : type_(value.type()) {
  memory_gate([&] { values_.push_back(value); });
}

void TensorData::start_list(size_t n) {
  memory_gate([&] {
    sizes_.push_back(static_cast<int64_t>(n));
    values_.reserve(n);
  });
}

TensorData::TensorData(std::initializer_list<TensorData> parts) try
    : sizes_{static_cast<int64_t>(parts.size())}, type_(ScalarType::Double) {
  if (parts.size() == 0) return;
  const TensorData& first = *parts.begin();
  type_ = first.type_;
  sizes_.insert(sizes_.end(), first.sizes_.begin(), first.sizes_.end());
  for (const TensorData& p : parts) {
    if (p.sizes_ != first.sizes_)
      raise<ShapeError>("tensor: Expected all sub-lists to have sizes: {}, but got a sub-list with sizes: {}",
                        to_string(first.sizes_), to_string(p.sizes_));
    if (p.type_ != type_)
      raise<DtypeError>(
          "tensor: Expected all elements of the tensor to have the same scalar type: {}, but got element of "
          "scalar type: {}",
          dtype_name(type_), dtype_name(p.type_));
    values_.insert(values_.end(), p.values_.begin(), p.values_.end());
  }
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

Tensor tensor(const TensorData& data, TensorOptions options, Loc loc) {
  Tensor t = allocate_tensor("tensor", type_or(options, natural_type(data.type())), data.sizes());
  for (size_t i = 0; i < data.values().size(); ++i) store_element(t.impl(), static_cast<int64_t>(i), data.values()[i]);
  return finish(std::move(t), options, loc);
}

Tensor from_blob_with_deleter(void* data, IntArrayRef sizes, IntArrayRef strides, std::function<void(void*)> deleter,
                              TensorOptions options, Loc loc) {
  const ScalarType dtype = type_or(options, default_dtype());
  const size_t nbytes = extent_bytes("from_blob", dtype, sizes, strides);
  if (data == nullptr && nbytes != 0) raise<ValueError>("from_blob: the data pointer is null");
  Tensor t = memory_gate([&] {
    return Tensor::adopt(TensorImpl::make(dtype, sizes, strides, 0, Storage::borrow(data, nbytes, std::move(deleter))));
  });
  if (current_frame) frame_borrowed(t.impl());
  return finish(std::move(t), options, loc);
}
Tensor from_blob(void* data, IntArrayRef sizes, TensorOptions options, Loc loc) {
  checked_numel(sizes);
  return from_blob_with_deleter(data, sizes, contiguous_strides(sizes), {}, options, loc);
}
Tensor from_blob(void* data, IntArrayRef sizes, IntArrayRef strides, TensorOptions options, Loc loc) {
  return from_blob_with_deleter(data, sizes, strides, {}, options, loc);
}

namespace {

/// Makes a tensor with the sizes of `self` and its dimensions in the same order in memory: `make` is given the sizes from
/// the outermost to the innermost dimension.
template <class Make>
Tensor in_order_of(const Tensor& self, Loc loc, Make make) {
  if (self.is_contiguous()) return make(self.sizes());
  TensorImpl* in[] = {self.impl()};
  const SizeVec strides = pointwise_strides(self.sizes(), in);
  const auto rank = static_cast<size_t>(self.dim());
  SizeVec order, sizes, inverse;
  for (size_t i = 0; i < rank; ++i) order.push_back(static_cast<int64_t>(i));
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return strides[static_cast<size_t>(a)] > strides[static_cast<size_t>(b)]; });
  inverse.resize(rank);
  bool moved = false;
  for (size_t i = 0; i < rank; ++i) {
    const auto d = static_cast<size_t>(order[i]);
    sizes.push_back(self.sizes()[d]);
    inverse[d] = static_cast<int64_t>(i);
    moved |= d != i;
  }
  const Tensor made = make(IntArrayRef(sizes));
  return moved ? permute(made, inverse, loc) : made;
}

TensorOptions like(const Tensor& self, TensorOptions options) {
  return TensorOptions(type_or(options, self.dtype()));  // requires_grad is set on what is returned
}

}  // namespace

Tensor empty_like(const Tensor& self, TensorOptions options, Loc loc) {
  TensorImpl* in[] = {self.impl()};
  const SizeVec strides = pointwise_strides(self.sizes(), in);
  return finish(allocate_tensor("empty_like", like(self, options).dtype_, self.sizes(), strides), options, loc);
}
Tensor full_like(const Tensor& self, Scalar fill_value, TensorOptions options, Loc loc) {
  const TensorOptions o = like(self, options);
  return finish(in_order_of(self, loc, [&](IntArrayRef s) { return full(s, fill_value, o, loc); }), options, loc);
}
Tensor zeros_like(const Tensor& self, TensorOptions options, Loc loc) { return full_like(self, 0, options, loc); }
Tensor ones_like(const Tensor& self, TensorOptions options, Loc loc) { return full_like(self, 1, options, loc); }
Tensor rand_like(const Tensor& self, GeneratorArg generator, TensorOptions options, Loc loc) {
  const TensorOptions o = like(self, options);
  return finish(in_order_of(self, loc, [&](IntArrayRef s) { return rand(s, generator, o, loc); }), options, loc);
}
Tensor rand_like(const Tensor& self, TensorOptions options, Loc loc) { return rand_like(self, std::nullopt, options, loc); }
Tensor randn_like(const Tensor& self, GeneratorArg generator, TensorOptions options, Loc loc) {
  const TensorOptions o = like(self, options);
  return finish(in_order_of(self, loc, [&](IntArrayRef s) { return randn(s, generator, o, loc); }), options, loc);
}
Tensor randn_like(const Tensor& self, TensorOptions options, Loc loc) { return randn_like(self, std::nullopt, options, loc); }

}  // namespace sinter

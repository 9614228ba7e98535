// Result types and shapes of reductions, softmax and layer norm.
#include "infer.h"

namespace sinter {

namespace {

ScalarType reduced_dtype(const OpCall& call) {
  const ScalarType in = call.in[0]->dtype(), asked = static_cast<ScalarType>(reduce_dtype(call.attr));
  switch (call.op) {
    case Op::sum:
      return asked != ScalarType::Undefined ? asked : is_integral(in) ? kLong : in;
    case Op::mean:
    case Op::var: {
      const ScalarType t = asked != ScalarType::Undefined ? asked : in;
      if (is_floating(t)) return t;
      if (call.op == Op::var) fail<DtypeError>(call, "std and var only support floating point and complex dtypes");
      fail<DtypeError>(call,
                       "could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
                       "Got: {}",
                       dtype_name(in));
    }
    case Op::argmax:
    case Op::argmin:
      if (in == kBool) fail<DtypeError>(call, "not implemented for 'bool'");
      return kLong;
    case Op::any:
    case Op::all:
      return kBool;
    default:
      return in;
  }
}

/// Operators without a neutral element need something to reduce.
void check_not_empty(const OpCall& call, uint32_t dims) {
  switch (call.op) {
    case Op::amax:
    case Op::amin:
    case Op::argmax:
    case Op::argmin:
      break;
    default:
      return;
  }
  const TensorImpl* x = call.in[0];
  if (x->numel != 0) return;
  if (dims == 0)
    fail<ShapeError>(call,
                     "Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with "
                     "the 'dim' argument.");
  for (int64_t d = 0; d < x->rank(); ++d)
    if ((dims >> d & 1) && x->sizes[d] == 0) fail<IndexError>(call, "Expected reduction dim {} to have non-zero size.", d);
}

void check_same_floating(const OpCall& call) {
  const ScalarType t = call.in[0]->dtype();
  if (!is_floating(t)) fail<DtypeError>(call, "not implemented for '{}'", dtype_name(t));
  for (const TensorImpl* o : call.operands())
    if (o && o->dtype() != t)
      fail<DtypeError>(call, "expected scalar type {} but found {}", dtype_name(t), dtype_name(o->dtype()));
}

}  // namespace

TensorMeta infer_reduce(const OpCall& call) {
  const TensorImpl* x = call.in[0];
  const uint32_t dims = reduce_dims(call.attr);
  if (x->rank() < 32 && dims >> x->rank()) fail<IndexError>(call, "a reduced dimension is outside of rank {}", x->rank());
  const ScalarType dtype = reduced_dtype(call);
  check_not_empty(call, dims);
  SizeVec sizes;
  for (int64_t d = 0; d < x->rank(); ++d) {
    const bool reduced = dims == 0 || (d < 32 && (dims >> d & 1));
    if (!reduced) sizes.push_back(x->sizes[d]);
    else if (reduce_keepdim(call.attr)) sizes.push_back(1);
  }
  return contiguous_meta(call, dtype, sizes);
}

namespace {

TensorMeta infer_layer_norm(const OpCall& call) {
  const bool backward = call.op != Op::layer_norm;
  const TensorImpl* x = call.in[backward ? 1 : 0];
  const auto k = static_cast<int64_t>(call.attr);
  if (k < 1 || k > x->rank())
    fail<ShapeError>(call, "Expected normalized_shape to be at least 1-dimensional and at most of rank {}, got {} dimensions",
                     x->rank(), k);
  const IntArrayRef trailing(x->sizes.data() + (x->rank() - k), static_cast<size_t>(k));
  if (backward && !(call.in[0]->sizes == x->sizes))
    fail<ShapeError>(call, "the gradient must have the input's shape {}", to_string(x->sizes));
  const char* const names[] = {"weight", "bias"};
  for (int i = backward ? 2 : 1; i < call.n_in; ++i) {
    const TensorImpl* w = call.in[i];
    if (w && !(IntArrayRef(w->sizes) == trailing))
      fail<ShapeError>(call,
                       "Expected {} to be of same shape as normalized_shape, but got {} of shape {} and "
                       "normalized_shape = {}",
                       names[backward ? 0 : i - 1], names[backward ? 0 : i - 1], to_string(w->sizes), to_string(trailing));
  }
  if (call.op == Op::layer_norm_backward_weight) return contiguous_meta(call, x->dtype(), trailing);
  return contiguous_meta(call, x->dtype(), x->sizes);
}

}  // namespace

TensorMeta infer_norm(const OpCall& call) {
  check_same_floating(call);
  if (op_info(call.op).kind == OpKind::Norm) return infer_layer_norm(call);
  const TensorImpl* x = call.in[0];
  if (static_cast<int64_t>(call.attr) >= std::max<int64_t>(x->rank(), 1))
    wrap_dim(static_cast<int64_t>(call.attr), x->rank(), call);
  if (call.n_in == 2 && !(call.in[1]->sizes == x->sizes)) fail<ShapeError>(call, "gradient and output must have one shape");
  return contiguous_meta(call, x->dtype(), x->sizes);
}

}  // namespace sinter

// Result types and shapes of pointwise operators, casts and fills.
#include "../mutants.h"
#include "broadcast.h"
#include "infer.h"

namespace sinter {

namespace {

/// The common type of the operands and of the value scalars that take part in promotion.
ScalarType common_dtype(const OpCall& call, ScalarType default_dtype) {
  const int first = call.op == Op::where ? 1 : 0;
  int n_scalars = 0;
  if (call.op == Op::clamp) n_scalars = call.n_scalars;
  else if (call.flags & (kScalarRhs | kScalarLhs)) n_scalars = 1;
  const TensorImpl* a = call.in[first];
  const ScalarType t = a->dtype();
  bool plain = n_scalars == 0 && !a->has(head::kWrapped);
  for (int i = first + 1; i < call.n_in; ++i) plain &= call.in[i]->dtype() == t && !call.in[i]->has(head::kWrapped);
  if (plain) return t;
  PromotionState state;
  for (int i = first; i < call.n_in; ++i) state.add(call.in[i]->dtype(), call.in[i]->rank() > 0, call.in[i]->has(head::kWrapped));
  for (int i = 0; i < n_scalars; ++i) state.add(call.scalars[i].type(), false, true);
  return state.result(default_dtype);
}

bool any_bool(const OpCall& call) {
  for (const TensorImpl* t : call.operands())
    if (t->dtype() == kBool) return true;
  return (call.flags & (kScalarRhs | kScalarLhs)) && call.scalars[0].type() == kBool;
}

void check_alpha(const OpCall& call, ScalarType compute) {
  const ScalarType alpha = call.scalars[call.n_scalars - 1].type();
  if (alpha == kBool && compute != kBool) fail<DtypeError>(call, "Boolean alpha only supported for Boolean results.");
  if (is_floating(alpha) && is_integral(compute))
    fail<DtypeError>(call, "For integral input tensors, argument alpha must not be a floating point number.");
}

[[noreturn]] void not_implemented(const OpCall& call, ScalarType t) {
  fail<DtypeError>(call, "not implemented for '{}'", dtype_name(t));
}

/// Types an operator refuses.
void check_dtypes(const OpCall& call, ScalarType compute) {
  switch (call.op) {
    case Op::sub:
      if (call.n_in == 2 && call.in[0]->dtype() == kBool && call.in[1]->dtype() == kBool)
        fail<DtypeError>(call,
                         "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
                         "`logical_xor()` operator instead.");
      if (any_bool(call))
        fail<DtypeError>(call,
                         "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
                         "invert a mask, use the `~` or `logical_not()` operator instead.");
      break;
    case Op::neg:
      if (compute == kBool)
        fail<DtypeError>(call,
                         "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert "
                         "a mask, use the `~` or `logical_not()` operator instead.");
      break;
    case Op::relu:
      if (compute == kBool) fail<DtypeError>(call, "Boolean inputs not supported for relu");
      break;
    case Op::div_trunc:
    case Op::floor_divide:
    case Op::remainder:
    case Op::clamp:
    case Op::addcmul:
    case Op::abs:
    case Op::threshold_backward:
      if (compute == kBool) not_implemented(call, compute);
      break;
    case Op::pow:
      if (compute == kBool) not_implemented(call, compute);
      if (call.has(kAttrExponent) && is_integral(compute) && std::bit_cast<double>(call.attr) < 0)
        fail<ValueError>(call, "Integers to negative integer powers are not allowed.");
      break;
    case Op::silu:
    case Op::gelu:
    case Op::gelu_backward:
    case Op::sigmoid_backward:
    case Op::tanh_backward:
      if (!is_floating(compute)) not_implemented(call, compute);
      break;
    case Op::addcdiv:
      if (is_integral(call.in[1]->dtype()) && is_integral(call.in[2]->dtype()))
        fail<DtypeError>(call, "Integer division with addcdiv is no longer supported");
      break;
    case Op::where:
      if (call.in[0]->dtype() != kBool)
        fail<DtypeError>(call, "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
                         dtype_name(call.in[0]->dtype()));
      break;
    default:
      break;
  }
  if (call.has(kHasAlpha)) check_alpha(call, compute);
}

ScalarType result_dtype(const OpCall& call, ScalarType compute) {
  switch (op_info(call.op).promotion) {
    case Promotion::Compare:
    case Promotion::Logical:
      return kBool;
    default:
      return compute;
  }
}

TensorMeta infer_inplace(const OpCall& call, ScalarType result) {
  TensorImpl* self = call.in[0];
  if (call.n_in > 1) {
    bool same = true;
    for (int i = 1; i < call.n_in; ++i) same &= call.in[i]->sizes == self->sizes;
    if (!same) {
      const SizeVec sizes = broadcast_call(call);
      if (!(sizes == self->sizes) && !SINTER_MUTANT(inplace_shape_not_checked))
        fail<ShapeError>(call, "output with shape {} doesn't match the broadcast shape {}", to_string(self->sizes),
                         to_string(sizes));
    }
  }
  if (call.op != Op::copy_ && call.op != Op::fill_ && !SINTER_MUTANT(inplace_dtype_not_checked))
    check_inplace_dtype(call, result);
  if (call.op != Op::fill_) check_inplace_overlap(call);
  return meta_of(self);
}

bool same_shape_contiguous(const OpCall& call) {
  const TensorImpl* a = call.in[0];
  for (int i = 1; i < call.n_in; ++i)
    if (!(call.in[i]->sizes == a->sizes)) return false;
  for (const TensorImpl* t : call.operands())
    if (!t->is_contiguous()) return false;
  return true;
}

}  // namespace

ScalarType compute_dtype(const OpCall& call, ScalarType default_dtype) {
  switch (op_info(call.op).promotion) {
    case Promotion::Logical:
      return kBool;
    case Promotion::Same:
      return call.in[0]->dtype();
    case Promotion::Special:
      return call.op == Op::to ? static_cast<ScalarType>(call.attr) : call.in[0]->dtype();
    default:
      break;
  }
  ScalarType t = common_dtype(call, default_dtype);
  if (op_info(call.op).promotion == Promotion::Float && is_integral(t)) t = default_dtype;
  if (call.has(kAttrExponent) && t == kBool) t = kLong;
  return t;
}

TensorMeta infer_pointwise(const OpCall& call, ScalarType default_dtype) {
  for (const TensorImpl* t : call.operands())
    if (!t) fail<Error>(call, "Expected a proper Tensor but got an undefined one");
  const ScalarType compute = compute_dtype(call, default_dtype);
  check_dtypes(call, compute);
  const ScalarType result = result_dtype(call, compute);
  if (call.has(kInplace) || call.op == Op::copy_ || call.op == Op::fill_) return infer_inplace(call, result);
  TensorMeta m;
  m.dtype = result;
  if (same_shape_contiguous(call)) [[likely]] {
    m.sizes = call.in[0]->sizes;
    m.strides = contiguous_strides(m.sizes);
    return m;
  }
  m.sizes = call.n_in == 1 ? call.in[0]->sizes : broadcast_call(call);
  check_bytes(call, result, m.sizes);
  m.strides = pointwise_strides(m.sizes, call.operands());
  return m;
}

void check_inplace_dtype(const OpCall& call, ScalarType from) {
  const ScalarType to = call.in[0]->dtype();
  if ((is_floating(from) && !is_floating(to)) || (from != kBool && to == kBool))
    fail<DtypeError>(call, "result type {} can't be cast to the desired output type {}", dtype_name(from), dtype_name(to));
}

}  // namespace sinter

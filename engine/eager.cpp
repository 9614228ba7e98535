// Eager execution: infer, allocate, run the kernel.
#include "eager.h"
#include <cstddef>
#include <memory>
#include <vector>
#include "../runtime/kernels/kernel.h"
#include "../runtime/mutants.h"

namespace sinter {
namespace {

/// Whatever bytes the storage has now: callers have settled pending operands, or are about to write them.
TensorView view_of(TensorImpl* t) {
  if (t == nullptr) return {};
  return {t->address(), t->dtype(), t->sizes, t->strides};
}

/// Operands of a kernel call: on the stack for the usual few, on the heap for a long cat.
class KernelCall {
 public:
  KernelCall(const OpCall& call, TensorImpl* out) {
    auto* views = reinterpret_cast<TensorView*>(few_);
    if (call.n_in > kFew) {
      many_.resize(call.n_in);
      views = many_.data();
    }
    for (int i = 0; i < call.n_in; ++i) std::construct_at(views + i, view_of(call.in[i]));
    args.op = call.op;
    args.flags = call.flags;
    args.n_scalars = call.n_scalars;
    args.attr = call.attr;
    args.ints = call.ints;
    args.scalars = call.scalars;
    args.in = {views, call.n_in};
    if (op_info(call.op).kind == OpKind::Pointwise) args.compute = compute_dtype(call, default_dtype());
    args.out = view_of(out);
  }
  KernelArgs args;

 private:
  static constexpr int kFew = 8;
  alignas(TensorView) std::byte few_[kFew * sizeof(TensorView)];  // made as they are needed: this is on every eager call's way
  std::vector<TensorView> many_;
};

}  // namespace

void run_eager_into(const OpCall& call, TensorImpl* out) {
  KernelCall k(call, out);
  run_kernel(k.args);
}

void check_call_values(const OpCall& call) {
  KernelCall k(call, nullptr);
  check_values(k.args);
}

Tensor run_eager(const OpCall& call) {
  const TensorMeta meta = infer(call, default_dtype());
  if (is_view(call.op)) {
    TensorImpl* base = call.in[0];
    if (base->storage->is_pending()) (void)base->storage->bytes(call.loc);  // that frame counts only the views it made
    base->storage->retain();
    return Tensor::adopt(TensorImpl::make(meta.dtype, meta.sizes, meta.strides, meta.offset, base->storage));
  }
  // Operands first: a pending one may throw, and nothing must have been allocated or written for naught.
  for (TensorImpl* t : call.operands())
    if (t != nullptr) t->data(call.loc);
  if (op_info(call.op).checked && !SINTER_MUTANT(eager_values_not_checked)) check_call_values(call);
  if (is_inplace(call)) {
    TensorImpl* self = call.in[0];
    self->storage->before_write();
    run_eager_into(call, self);
    bump_version(self);
    if (SINTER_MUTANT(eager_version_not_raised)) self->storage->version.fetch_sub(1);
    if (SINTER_MUTANT(eager_write_not_counted)) self->storage->writes.fetch_sub(1);
    return Tensor::share(self);
  }
  const int64_t numel = numel_of(meta.sizes);
  int64_t nbytes = 0;
  if (__builtin_mul_overflow(numel, static_cast<int64_t>(element_size(meta.dtype)), &nbytes))
    raise<ShapeError>("{}: the result {} needs more than 2^63 bytes", describe(call), to_string(meta.sizes));
  Tensor result =
      Tensor::adopt(TensorImpl::make(meta.dtype, meta.sizes, meta.strides, 0, Storage::allocate(static_cast<size_t>(nbytes))));
  run_eager_into(call, result.impl());
  return result;
}

}  // namespace sinter

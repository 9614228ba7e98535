#include "dispatch.h"
#include "autograd/node.h"
#include "eager.h"

namespace sinter {

bool needs_node(const OpCall& call) {
  if (!grad_mode() || !op_info(call.op).differentiable) return false;
  for (TensorImpl* t : call.operands())
    if (t != nullptr && t->has(head::kRequiresGrad)) return true;
  return false;
}

Tensor eager_call(const OpCall& call) {
  const bool tracked = needs_node(call);
  if (call.has(kInplace) && grad_mode()) check_inplace(call);
  Tensor result = run_eager(call);
  if (tracked) record_node(call, result);
  return result;
}

Tensor call(const OpCall& c) { return eager_call(c); }

Tensor call1(Op op, const Tensor& a, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl()};
  return call({.op = op, .flags = flags, .n_in = 1, .in = in, .attr = attr, .loc = loc});
}

Tensor call2(Op op, const Tensor& a, const Tensor& b, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl(), b.impl()};
  return call({.op = op, .flags = flags, .n_in = 2, .in = in, .attr = attr, .loc = loc});
}

Tensor call3(Op op, const Tensor& a, const Tensor& b, const Tensor& c, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl(), b.impl(), c.impl()};
  return call({.op = op, .flags = flags, .n_in = 3, .in = in, .attr = attr, .loc = loc});
}

Tensor call1s(Op op, const Tensor& a, Scalar s, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl()};
  return call({.op = op, .flags = flags, .n_scalars = 1, .n_in = 1, .in = in, .attr = attr, .scalars = {s}, .loc = loc});
}

}  // namespace sinter

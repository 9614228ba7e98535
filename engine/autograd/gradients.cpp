// What happens to one gradient on its way: shape and type, hooks, accumulation in a leaf, the derivative of a node.
#include <thread>
#include "../../runtime/at_fork.h"
#include "../../runtime/mutants.h"
#include "../ambient.h"
#include "../derivatives/derivative.h"
#include "packed.h"
#include "run.h"

namespace sinter::autograd {
namespace {

/// PyTorch's layout contract for .grad: the leaf's strides when those are dense, else contiguous.
bool laid_out_like(const TensorImpl* grad, const TensorImpl* leaf) {
  if (!is_non_overlapping_and_dense(leaf->sizes, leaf->strides)) return grad->is_contiguous();
  for (int64_t d = 0; d < leaf->rank(); ++d)
    if (leaf->sizes[d] != 1 && leaf->strides[d] != grad->strides[d]) return false;
  return true;
}

/// Two backward passes may end in the same leaf on two threads.
class LeafLock {
 public:
  explicit LeafLock(AutogradMeta& m) : meta_(m) {
    const uint32_t mine = 1 + at_fork::generation();  // held by a thread of the process before a fork: nobody holds it here
    for (uint32_t seen = 0; !meta_.busy.compare_exchange_weak(seen, mine, std::memory_order_acquire);)
      if (seen == mine) seen = 0, std::this_thread::yield();
  }
  ~LeafLock() { meta_.busy.store(0, std::memory_order_release); }
  LeafLock(const LeafLock&) = delete;
  LeafLock& operator=(const LeafLock&) = delete;

 private:
  AutogradMeta& meta_;
};

/// The derivative of an in-place call on a view, seen from the base: what was overwritten passes no gradient on.
void run_copy_slices(Node& node, const Tensor& grad, Tensor* out) {
  const derivatives::Calculator calc(node.loc);
  Tensor base = calc.unary(Op::clone, grad, 1);
  Tensor slice = base;
  for (const NodeRef& step : node.extra->path) slice = calc.with_ints(step->op, slice, step->ints, step->attr);
  Tensor inner_out[Node::kInlineEdges];
  run_derivative(*node.extra->inner.get(), calc.unary(Op::clone, slice, 1), inner_out);
  for (uint32_t i = 1; i < node.n_in; ++i) out[i] = std::move(inner_out[i]);
  if (!node.edges[0]) return;
  bool fresh = false;
  Tensor before = inner_out[0].defined() ? conform(std::move(inner_out[0]), slice.sizes(), slice.dtype(), fresh, node.loc)
                                         : calc.zeros_like(slice);
  call2(Op::copy_, slice, before, 0, node.loc, kInplace);
  out[0] = std::move(base);
}

}  // namespace

Tensor conform(Tensor grad, IntArrayRef sizes, ScalarType dtype, bool& fresh, Loc loc) {
  const derivatives::Calculator calc(loc);
  if (!(grad.sizes() == sizes)) {
    if (!derivatives::expandable(sizes, grad.sizes()))
      raise<AutogradError>("a derivative returned a gradient of shape {}, expected a shape compatible with {}",
                           to_string(grad.sizes()), to_string(sizes));
    grad = calc.sum_to_size(grad, sizes);
    fresh = true;
  }
  if (grad.dtype() != dtype && !SINTER_MUTANT(gradient_keeps_its_type)) {
    grad = calc.to(grad, dtype);
    fresh = true;
  }
  return grad;
}

bool give_grad(TensorImpl* leaf, Tensor grad) {
  AutogradMeta& m = need_meta(leaf);
  const LeafLock lock(m);
  if (m.grad.defined()) return false;
  m.grad = std::move(grad);
  return true;
}

void accumulate_grad(TensorImpl* leaf, Tensor grad, bool fresh, Loc loc) {
  if (!leaf->has(head::kRequiresGrad)) return;
  AutogradMeta& m = need_meta(leaf);
  const LeafLock lock(m);
  if (!m.grad.defined() || SINTER_MUTANT(gradient_replaces_old)) {
    const bool take = (fresh || SINTER_MUTANT(gradient_taken_from_others)) && !grad_mode() && grad.impl()->count() == 1 &&
                      (laid_out_like(grad.impl(), leaf) || SINTER_MUTANT(gradient_in_any_layout));
    m.grad = take ? std::move(grad) : call1(Op::clone, grad, 1, loc);
  } else if (grad_mode()) {
    m.grad = call2(Op::add, m.grad, grad, 0, loc);
  } else {
    TensorImpl* in[] = {m.grad.impl(), grad.impl()};
    call_inplace({.op = Op::add, .flags = kInplace, .n_in = 2, .in = in, .loc = loc});
  }
}

Tensor run_hooks(const std::vector<HookEntry>& hooks, Tensor grad) {
  const std::vector<HookEntry> now = hooks;  // a hook may add or remove hooks
  for (const HookEntry& h : now) {
    Tensor changed = h.run(grad);
    if (!changed.defined() || SINTER_MUTANT(hook_result_ignored)) continue;
    if (!(changed.sizes() == grad.sizes()) || changed.dtype() != grad.dtype())
      if (!SINTER_MUTANT(hook_result_not_checked))
        raise<AutogradError>("hook {} returned a gradient {}{}, expected {}{}", h.id, dtype_name(changed.dtype()),
                             to_string(changed.sizes()), dtype_name(grad.dtype()), to_string(grad.sizes()));
    grad = std::move(changed);
  }
  return grad;
}

namespace {
/// Apart, so that the usual way keeps its small frame.
[[gnu::noinline]] void run_unpacking(derivatives::Derivation& d, const derivatives::Row& row) {
  Unpacking unpacking(d.node);
  d.unpacking = &unpacking;
  row.run(d);
}
}  // namespace

void run_derivative(Node& node, const Tensor& grad, Tensor* out) {
  if (node.is_copy_slices()) return run_copy_slices(node, grad, out);
  const derivatives::Row& row = derivatives::row(node.op);
  if (row.run == nullptr) raise<AutogradError>("derivative for {} is not implemented", op_info(node.op).name);
  derivatives::Derivation d(node, grad, out);
  if (node.extra != nullptr && node.extra->packed) [[unlikely]]
    return run_unpacking(d, row);
  row.run(d);
}

}  // namespace sinter::autograd

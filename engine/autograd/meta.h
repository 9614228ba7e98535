// The gradient state of one tensor.
#pragma once
#include <atomic>
#include <memory>
#include <vector>
#include "node.h"

namespace sinter::autograd {

/// What only few tensors have.
struct MetaExtra {
  std::vector<HookEntry> hooks;      // of a leaf; those of other tensors are in their node
  std::shared_ptr<Tensor> retained;  // retain_grad() of a tensor that is no leaf
  unsigned next_hook = 0;
};

/// Owned by its TensorImpl. A leaf has no grad_fn. A view knows what it is a view of and which call made it, so that its
/// grad_fn can be made anew when the base was changed in place.
class AutogradMeta final : public AutogradMetaBase {
 public:
  AutogradMeta() = default;
  ~AutogradMeta() override;
  static void* operator new(size_t n);
  static void operator delete(void* p) noexcept;

  Tensor grad;
  NodeRef grad_fn;
  Tensor parent;               // a view: the tensor it was made from
  TensorImpl* root = nullptr;  // a view: the base at the end of the chain of parents, which keep it alive
  NodeRef recipe;              // a view: the call that made it (its edges are not used)
  MetaExtra* extra = nullptr;
  std::atomic<uint32_t> version{0};  // a view: of the storage when grad_fn was set; stored after grad_fn (refresh_view)
  std::atomic<uint32_t> busy{0};     // held while a gradient is accumulated: 1 + at_fork::generation()

  bool is_view() const { return parent.defined(); }
  MetaExtra& need_extra() {
    if (extra == nullptr) extra = new MetaExtra;
    return *extra;
  }
};

inline AutogradMeta* meta_of(const TensorImpl* t) { return static_cast<AutogradMeta*>(t->autograd); }
/// The tensor's meta, made if there is none. Not for tensors that several threads may touch at once.
AutogradMeta& need_meta(TensorImpl* t);
/// The tensor at the end of the chain of views (itself if it is no view).
TensorImpl* root_of(TensorImpl* t);

/// A view whose base came to require grad after the view was made: sets the view's flag too.
bool base_requires_grad(TensorImpl* view);
/// True when gradients flow to `t`.
inline bool requires_grad(TensorImpl* t) {
  const uint64_t h = t->head.load(std::memory_order_relaxed);
  if (h & head::kRequiresGrad) return true;
  return (h & head::kAutograd) && autograd::meta_of(t)->is_view() && base_requires_grad(t);
}

/// Gives a view a grad_fn again whose storage was changed in place since. Any thread that uses the view may be the one.
void refresh_view(TensorImpl* view);
/// Where t's gradient goes; t requires grad.
inline Edge edge_of(TensorImpl* t) {
  const AutogradMeta* m = autograd::meta_of(t);
  if (m->is_view() && m->version.load(std::memory_order_acquire) != t->storage->version.load(std::memory_order_relaxed))
      [[unlikely]]
    refresh_view(t);
  return m->grad_fn ? Edge::to_node(m->grad_fn.get()) : Edge::to_leaf(t);
}
/// The same; empty when t does not require grad.
inline Edge gradient_edge(TensorImpl* t) { return requires_grad(t) ? edge_of(t) : Edge(); }
/// Hooks of the tensor: in the leaf's meta or in the node.
std::vector<HookEntry>& hooks_of(TensorImpl* t);

/// Makes `t` the result of `node`.
void set_grad_fn(TensorImpl* t, NodeRef node);
/// The values of `t` in a new tensor whose gradient goes to `edge`. In a frame it is an event of its own kind: what was recorded
/// after a detach(), whose result needs no nodes, must not be replayed after this one.
Tensor joined_to(const Edge& edge, const Tensor& t, Loc loc);
/// After an in-place call on a view: the base (and the view) become results of `call_node`, whose edge 0 belongs to the
/// view as it was before.
void rebase_view(TensorImpl* view, NodeRef call);

}  // namespace sinter::autograd

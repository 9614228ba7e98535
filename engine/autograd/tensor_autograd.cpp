// The methods of Tensor that belong to autograd.
#include "../../runtime/mutants.h"
#include "../../runtime/out_of_memory.h"
#include "../frame/frame.h"
#include "../tensor.h"
#include "autograd.h"
#include "meta.h"

namespace sinter {

using autograd::meta_of;

const Tensor& Tensor::set_requires_grad(bool on, Loc loc) const {
  TensorImpl* t = get();
  if (on && !is_floating(t->dtype()))
    raise<AutogradError>("only Tensors of floating point dtype can require gradients; got {}{}", dtype_name(t->dtype()),
                         to_string(t->sizes));
  if (!is_leaf()) {
    if (!on)
      raise<AutogradError>(
          "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
          "subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    return *this;
  }
  if (on != requires_grad() && !SINTER_MUTANT(requires_grad_change_not_a_break)) frame_metadata_change(loc);  // guards rely on it
  if (on) memory_gate([&]() -> auto& { return autograd::need_meta(t); });
  t->set(head::kRequiresGrad, on);
  return *this;
}

bool Tensor::view_requires_grad() const { return autograd::requires_grad(impl_); }

bool Tensor::is_leaf() const {
  const autograd::AutogradMeta* m = meta_of(get());
  return m == nullptr || !m->grad_fn;
}

Tensor& Tensor::mutable_grad() const {
  autograd::AutogradMeta& m = memory_gate([&]() -> auto& { return autograd::need_meta(get()); });
  return m.extra != nullptr && m.extra->retained ? *m.extra->retained : m.grad;
}

const Tensor& Tensor::grad() const {
  static const Tensor none;
  const autograd::AutogradMeta* m = meta_of(get());
  if (m == nullptr) return none;
  return m->extra != nullptr && m->extra->retained ? *m->extra->retained : m->grad;
}

unsigned Tensor::add_hook(std::function<Tensor(const Tensor&)> hook) const {
  return memory_gate([&] { return autograd::register_hook(*this, std::move(hook)); });
}
void Tensor::remove_hook(unsigned pos) const { autograd::remove_hook(*this, pos); }
void Tensor::retain_grad() const {
  memory_gate([&] { autograd::retain_grad(*this); });
}
bool Tensor::retains_grad() const { return autograd::retains_grad(*this); }

const Tensor& Tensor::detach_() const {
  // No break: no guard says that a result requires grad, and calls on it stay marked as ones that may need a node.
  autograd::detach_in_place(*this);
  return *this;
}

void Tensor::backward(const Tensor& gradient, std::optional<bool> retain_graph, bool create_graph, Loc loc) const {
  memory_gate([&] {
    autograd::backward({*this}, gradient.defined() ? std::vector<Tensor>{gradient} : std::vector<Tensor>{}, retain_graph,
                       create_graph, {}, loc);
  });
}

}  // namespace sinter

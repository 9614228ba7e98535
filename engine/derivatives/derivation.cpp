// Saved tensors on their way back: freed or changed since?
#include "../../runtime/mutants.h"
#include "../ambient.h"
#include "../autograd/meta.h"
#include "../autograd/packed.h"
#include "derivative.h"

namespace sinter::derivatives {
namespace {

[[noreturn]] void freed_error(const autograd::Node& n) {
  raise<AutogradError>(
      "{}: Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
      "freed). "
      "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True "
      "if you "
      "need to backward through the graph a second time or if you need to access saved tensors after calling backward.",
      n.name());
}

void check_version(const autograd::Saved& s, const autograd::Node* maker) {
  const uint32_t now = s.impl->storage->version.load(std::memory_order_relaxed);
  if (now == s.version || SINTER_MUTANT(saved_version_not_checked)) [[likely]]
    return;
  raise<AutogradError>(
      "one of the variables needed for gradient computation has been modified by an inplace operation: [{} {}]{} is at version "
      "{}; "
      "expected version {} instead.",
      dtype_name(s.impl->dtype()), to_string(s.impl->sizes),
      maker == nullptr ? "" : ", which is output 0 of " + maker->name() + ",", now, s.version);
}

}  // namespace

Tensor Derivation::in(size_t i) const {
  if (node.freed && !SINTER_MUTANT(freed_graph_is_walked)) freed_error(node);
  if (unpacking != nullptr && unpacking->has(i)) return unpacking->operand(i);
  const autograd::Saved& s = node.saved[i];
  if (s.impl == nullptr) return {};
  const autograd::AutogradMeta* m = autograd::meta_of(s.impl);
  check_version(s, m != nullptr ? m->grad_fn.get() : nullptr);
  return Tensor::share(s.impl);
}

Tensor Derivation::result() const {
  if (node.freed) freed_error(node);
  if (unpacking != nullptr && unpacking->has(autograd::PackedTensors::kResult)) return unpacking->result();
  check_version(node.saved_result, &node);
  Tensor shadow = Tensor::share(node.saved_result.impl);
  if (!grad_mode()) return shadow;
  // To be differentiated again, the result must know that this node made it.
  return autograd::joined_to(autograd::Edge::to_node(&node), shadow, loc);
}

}  // namespace sinter::derivatives

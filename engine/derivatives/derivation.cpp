// Saved tensors on their way back: freed or changed since?
#include "../../runtime/mutants.h"
#include "../ambient.h"
#include "../autograd/meta.h"
#include "../autograd/packed.h"
#include "../autograd/saved.h"
#include "../frame/deferred.h"
#include "derivative.h"

namespace sinter::derivatives {

namespace {
Tensor value_of(TensorImpl* saved) {
  if (saved->storage->has(Storage::kDeferred)) [[unlikely]]
    return Deferred::again(saved);
  return Tensor::share(saved);
}
}  // namespace

Tensor Derivation::in(size_t i) const {
  if (node.freed && !SINTER_MUTANT(freed_graph_is_walked)) autograd::freed_error(node);
  if (unpacking != nullptr && unpacking->has(i)) return unpacking->operand(i);
  const autograd::Saved& s = node.saved[i];
  if (s.impl == nullptr) return {};
  autograd::check_version(s);
  return value_of(s.impl);
}

Tensor Derivation::result() const {
  if (node.freed) autograd::freed_error(node);
  if (unpacking != nullptr && unpacking->has(autograd::PackedTensors::kResult)) return unpacking->result();
  autograd::check_version(node.saved_result, &node);
  Tensor shadow = value_of(node.saved_result.impl);
  if (!grad_mode()) return shadow;
  // To be differentiated again, the result must know that this node made it.
  return autograd::joined_to(autograd::Edge::to_node(&node), shadow, loc);
}

}  // namespace sinter::derivatives

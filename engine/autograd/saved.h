// What may be wrong with a saved tensor when a derivative asks for it.
#pragma once
#include "../../runtime/mutants.h"
#include "meta.h"

namespace sinter::autograd {

/// @throws AutogradError: what `node` had saved is gone.
[[noreturn]] void freed_error(const Node& node);
/// @throws AutogradError: the tensor was written since it was saved. `maker`: the node whose result it is, or null.
[[noreturn]] void version_error(const Saved& s, const Node* maker);

/// Whether the tensor is as it was when it was saved.
inline bool is_unchanged(const Saved& s) {
  return s.impl->storage->version.load(std::memory_order_relaxed) == s.version || SINTER_MUTANT(saved_version_not_checked);
}
/// @throws AutogradError when it is not. Without `maker` it is the result of its own grad_fn.
inline void check_version(const Saved& s, const Node* maker = nullptr) {
  if (is_unchanged(s)) [[likely]]
    return;
  const AutogradMeta* m = maker == nullptr ? meta_of(s.impl) : nullptr;
  version_error(s, m != nullptr ? m->grad_fn.get() : maker);
}

}  // namespace sinter::autograd

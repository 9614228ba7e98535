// Saved-tensor hooks: what is kept in place of the tensors that derivatives need, as torch.autograd.graph.saved_tensors_hooks.
#pragma once
#include <any>
#include <functional>
#include <memory>
#include "../ambient.h"
#include "../tensor.h"

namespace sinter::autograd {

struct SavedTensorHooks {
  std::function<std::any(const Tensor&)> pack;
  std::function<Tensor(const std::any&)> unpack;
};

/// While it lives, `pack` is called with each tensor that an operator of this thread saves for its derivative: detached, in
/// no-grad mode, after the operator has run. What it returns is kept instead, and given to `unpack` in each backward pass that
/// needs it. The innermost guard counts. `pack` must not write to its tensor (AutogradError); it does not get a value that the
/// operator itself overwrote, whose derivative fails as it does without hooks. Versions of packed tensors are not checked.
/// Operators run eager meanwhile, also in compiled functions (break host_callback).
class SavedTensorHooksGuard {
 public:
  /// @throws ValueError when one of them is empty.
  SavedTensorHooksGuard(std::function<std::any(const Tensor&)> pack, std::function<Tensor(const std::any&)> unpack);
  ~SavedTensorHooksGuard();
  SavedTensorHooksGuard(const SavedTensorHooksGuard&) = delete;
  SavedTensorHooksGuard& operator=(const SavedTensorHooksGuard&) = delete;

  /// Those of this thread's innermost guard.
  static const std::shared_ptr<const SavedTensorHooks>& active();

 private:
  std::shared_ptr<const SavedTensorHooks> hooks_;
  SavedTensorHooksGuard* outer_;
  AmbientGuard mode_;
};

}  // namespace sinter::autograd

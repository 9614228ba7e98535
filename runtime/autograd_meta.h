// What runtime needs from autograd (engine): to destroy a tensor's gradient state.
#pragma once
#include <memory>

namespace sinter {

/// Implemented by engine/autograd: grad, grad_fn, hooks.
class AutogradMetaBase {
 public:
  virtual ~AutogradMetaBase() = default;
};

}  // namespace sinter

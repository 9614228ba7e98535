#include "saved_tensor_hooks.h"
#include "../../runtime/out_of_memory.h"

namespace sinter::autograd {
namespace {
constinit thread_local SavedTensorHooksGuard* innermost = nullptr;

std::shared_ptr<const SavedTensorHooks> checked(SavedTensorHooks hooks) {
  if (!hooks.pack || !hooks.unpack) raise<ValueError>("SavedTensorHooksGuard: pack and unpack must be callable");
  return memory_gate([&] { return std::make_shared<const SavedTensorHooks>(std::move(hooks)); });
}
}  // namespace

SavedTensorHooksGuard::SavedTensorHooksGuard(std::function<std::any(const Tensor&)> pack,
                                             std::function<Tensor(const std::any&)> unpack)
    : hooks_(checked({std::move(pack), std::move(unpack)})),
      outer_(std::exchange(innermost, this)),
      mode_(ambient::kSavedTensorHooks, true) {}

SavedTensorHooksGuard::~SavedTensorHooksGuard() { innermost = outer_; }

const std::shared_ptr<const SavedTensorHooks>& SavedTensorHooksGuard::active() { return innermost->hooks_; }

}  // namespace sinter::autograd

#include "frozen_step.h"

namespace sinter {

std::unique_ptr<const FrozenStep> FrozenStep::plan(const codegen::ProductKernel& kernel) {
  auto plan = codegen::plan_frozen(kernel);
  return plan ? std::unique_ptr<const FrozenStep>(new FrozenStep(std::move(plan))) : nullptr;
}

FrozenStep::~FrozenStep() { delete code_.load(std::memory_order_acquire); }

const codegen::ProductKernel* FrozenStep::code() const noexcept {
  const codegen::ProductKernel* found = code_.load(std::memory_order_acquire);
  if (found != nullptr || no_code_.load(std::memory_order_relaxed)) return found;
  try {
    auto made = std::make_unique<codegen::ProductKernel>(*plan_);
    codegen::NoKernel why{};
    if (codegen::emit_tiles(*made, why)) {
      if (code_.compare_exchange_strong(found, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
        return made.release();
      return found;  // another thread was faster
    }
  } catch (...) {}
  no_code_.store(true, std::memory_order_relaxed);  // not again at each call: without, the weight is read as it lies
  return nullptr;
}

void FrozenStep::choose(const Storage& storage, const codegen::ProductKernel*& kernel, const void*& b,
                        StepCost* cost) const noexcept {
  FrozenWeight* weight = storage.frozen.load(std::memory_order_acquire);
  if (weight == nullptr) return;
  const codegen::ProductKernel* emitted = code();
  if (emitted == nullptr) return;
  const GemmShape& s = plan_->product.shape;
  const GemmPlan& plan = plan_->plan;
  const int64_t e = plan.element;
  const PanelKey key{static_cast<const char*>(b) - static_cast<const char*>(storage.data),
                     s.b_row * e,
                     s.b_col * e,
                     s.k,
                     s.n,
                     int64_t{plan.lanes} * plan.tile.vectors,
                     plan.element};
  const void* panels = weight->panels(storage, key);
  if (panels == nullptr) return;
  kernel = emitted;
  b = panels;
  if (cost != nullptr) cost->frozen_bytes = FrozenWeight::bytes_of(key);
}

}  // namespace sinter

// A product whose b is an input of the region: what it runs where that input is a frozen weight.
#pragma once
#include <atomic>
#include <memory>
#include "../../codegen/gemm/product_kernel.h"
#include "../../runtime/frozen_weight.h"
#include "costs.h"

namespace sinter {

/// Immutable, but for its code, which is emitted when it first runs. Shared by threads.
class FrozenStep {
 public:
  /// Null: frozen or not, `kernel` is what runs.
  static std::unique_ptr<const FrozenStep> plan(const codegen::ProductKernel& kernel);
  FrozenStep(const FrozenStep&) = delete;
  FrozenStep& operator=(const FrozenStep&) = delete;
  ~FrozenStep();

  int64_t scratch_bytes() const { return plan_->plan.scratch_bytes; }
  /// Replaces `kernel` and the address `b`, which lies in `storage`, by those of panels, where there are some. `cost` (may be
  /// null) is told.
  void choose(const Storage& storage, const codegen::ProductKernel*& kernel, const void*& b, StepCost* cost) const noexcept;

 private:
  explicit FrozenStep(std::unique_ptr<const codegen::ProductKernel> plan) : plan_(std::move(plan)) {}
  const codegen::ProductKernel* code() const noexcept;

  const std::unique_ptr<const codegen::ProductKernel> plan_;          // without code
  mutable std::atomic<const codegen::ProductKernel*> code_{nullptr};  // owned
  mutable std::atomic<bool> no_code_{false};
};

}  // namespace sinter

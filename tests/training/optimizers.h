// Optimizers and schedules of random training programs.
#pragma once
#include <functional>
#include <memory>
#include "plan.h"

namespace sinter::test {

struct AnyOptimizer {
  std::unique_ptr<optim::Optimizer> optimizer;
  /// What is remembered of a parameter: the tensors themselves, not copies.
  std::function<optim::StateFields(const Tensor&)> state;
};

/// Parameters go into the plan's groups by turns.
AnyOptimizer make_optimizer(const Plan& plan, const std::vector<Tensor>& parameters);
/// A step of the schedule, to be called with the loss after each update.
std::function<void(const Tensor&)> make_schedule(const Plan& plan, optim::Optimizer& optimizer);
/// Whether a schedule that cycles momentum fits.
bool has_momentum(Optim optim);

}  // namespace sinter::test

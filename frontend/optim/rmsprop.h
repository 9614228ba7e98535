// RMSprop.
#pragma once
#include "optimizer_of.h"

namespace sinter::optim {

struct RMSpropOptions : OptimizerCloneableOptions<RMSpropOptions> {
  static constexpr const char* kOptimizer = "RMSprop";
  RMSpropOptions(double lr = 1e-2) : lr_(lr) {}
  /// @throws ValueError.
  void check() const;
  SINTER_ARG(double, lr);
  SINTER_ARG(double, alpha) = 0.99;
  SINTER_ARG(double, eps) = 1e-8;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(double, momentum) = 0;
  SINTER_ARG(bool, centered) = false;
};

struct RMSpropParamState {
  int64_t step = 0;
  Tensor square_avg, momentum_buffer, grad_avg;
  static void visit(auto& s, auto&& f) {
    f("step", s.step);
    f("square_avg", s.square_avg);
    f("momentum_buffer", s.momentum_buffer);
    f("grad_avg", s.grad_avg);
  }
};

/// Tieleman and Hinton 2012 (lecture 6.5), centered as in Graves 2013. PyTorch's formulas, in its operator order:
///   g = grad + weight_decay p;  v = alpha v + (1 - alpha) g g;  a = alpha a + (1 - alpha) g if centered;
///   d = sqrt(centered ? v - a a : v) + eps;  p -= lr g / d, or with momentum: b = momentum b + g / d, p -= lr b
class RMSprop : public OptimizerOf<RMSpropParamState, RMSpropOptions> {
 public:
  using OptimizerOf::OptimizerOf;

 protected:
  void update(size_t index, const Tensor& param, const RMSpropOptions& options, Loc loc) override;
};

}  // namespace sinter::optim

// Stochastic gradient descent with momentum.
#pragma once
#include "optimizer_of.h"

namespace sinter::optim {

struct SGDOptions : OptimizerCloneableOptions<SGDOptions> {
  static constexpr const char* kOptimizer = "SGD";
  SGDOptions(double lr) : lr_(lr) {}
  /// @throws ValueError.
  void check() const;
  SINTER_ARG(double, lr);
  SINTER_ARG(double, momentum) = 0;
  SINTER_ARG(double, dampening) = 0;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(bool, nesterov) = false;
};

/// Only of parameters that were updated with momentum.
struct SGDParamState {
  Tensor momentum_buffer;
  static void visit(auto& s, auto&& f) { f("momentum_buffer", s.momentum_buffer); }
};

/// PyTorch's formulas, in its operator order:
///   g = grad + weight_decay p;  b = g at first, then momentum b + (1 - dampening) g;
///   p -= lr (nesterov ? g + momentum b : b)
class SGD : public OptimizerOf<SGDParamState, SGDOptions> {
 public:
  using OptimizerOf::OptimizerOf;

 protected:
  void update(size_t index, const Tensor& param, const SGDOptions& options, Loc loc) override;
};

}  // namespace sinter::optim

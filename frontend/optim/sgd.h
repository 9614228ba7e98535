// Stochastic gradient descent with momentum.
#pragma once
#include "optimizer.h"
#include "param_states.h"

namespace sinter::optim {

struct SGDOptions : OptimizerCloneableOptions<SGDOptions> {
  SGDOptions(double lr) : lr_(lr) {}
  SINTER_ARG(double, lr);
  SINTER_ARG(double, momentum) = 0;
  SINTER_ARG(double, dampening) = 0;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(bool, nesterov) = false;
};

struct SGDParamState {
  Tensor momentum_buffer;
};

/// PyTorch's formulas, in its operator order:
///   g = grad + weight_decay p;  b = g at first, then momentum b + (1 - dampening) g;
///   p -= lr (nesterov ? g + momentum b : b)
class SGD : public Optimizer {
 public:
  explicit SGD(std::vector<OptimizerParamGroup> groups, SGDOptions defaults);
  explicit SGD(std::vector<Tensor> params, SGDOptions defaults);

  /// Null when the parameter was never updated with momentum.
  SGDParamState* state(const Tensor& param) { return states_.find(param); }

 protected:
  void check_options(const OptimizerOptions& options) const override;
  void update(size_t index, const Tensor& param, const OptimizerOptions& options, Loc loc) override;

 private:
  ParamStates<SGDParamState> states_;
};

}  // namespace sinter::optim

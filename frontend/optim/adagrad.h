// Adagrad.
#pragma once
#include "optimizer_of.h"

namespace sinter::optim {

struct AdagradOptions : OptimizerCloneableOptions<AdagradOptions> {
  static constexpr const char* kOptimizer = "Adagrad";
  AdagradOptions(double lr = 1e-2) : lr_(lr) {}
  /// @throws ValueError.
  void check() const;
  SINTER_ARG(double, lr);
  SINTER_ARG(double, lr_decay) = 0;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(double, initial_accumulator_value) = 0;
  SINTER_ARG(double, eps) = 1e-10;
};

struct AdagradParamState {
  int64_t step = 0;
  Tensor sum;
  static void visit(auto& s, auto&& f) {
    f("step", s.step);
    f("sum", s.sum);
  }
};

/// Duchi, Hazan and Singer 2011. PyTorch's formulas, in its operator order, t counting from 1:
///   g = grad + weight_decay p;  s = s + g g, from initial_accumulator_value;  p -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) +
///   eps)
class Adagrad : public OptimizerOf<AdagradParamState, AdagradOptions> {
 public:
  using OptimizerOf::OptimizerOf;

 protected:
  void update(size_t index, const Tensor& param, const AdagradOptions& options, Loc loc) override;
};

}  // namespace sinter::optim

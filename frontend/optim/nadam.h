// NAdam: Adam with Nesterov momentum.
#pragma once
#include <tuple>
#include "adam.h"

namespace sinter::optim {

struct NAdamOptions : OptimizerCloneableOptions<NAdamOptions> {
  static constexpr const char* kOptimizer = "NAdam";
  NAdamOptions(double lr = 2e-3) : lr_(lr) {}
  /// @throws ValueError.
  void check() const;
  SINTER_ARG(double, lr);
  SINTER_ARG(Betas, betas) = {0.9, 0.999};
  SINTER_ARG(double, eps) = 1e-8;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(double, momentum_decay) = 4e-3;
};

struct NAdamParamState {
  int64_t step = 0;
  double mu_product = 1;
  Tensor exp_avg, exp_avg_sq;
  static void visit(auto& s, auto&& f) {
    f("step", s.step);
    f("mu_product", s.mu_product);
    f("exp_avg", s.exp_avg);
    f("exp_avg_sq", s.exp_avg_sq);
  }
};

/// Dozat 2016. The formulas of PyTorch 2 (1.13 has mu_t twice in the last product), in its operator order:
///   g = grad + weight_decay p;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g g;
///   mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2);  d = sqrt(v / (1 - beta2^t)) + eps;
///   p -= lr (1 - mu_t) / (1 - mu_1 ... mu_t) * g / d + lr mu_(t+1) / (1 - mu_1 ... mu_(t+1)) * m / d
class NAdam : public OptimizerOf<NAdamParamState, NAdamOptions> {
 public:
  using OptimizerOf::OptimizerOf;

 protected:
  void update(size_t index, const Tensor& param, const NAdamOptions& options, Loc loc) override;
};

}  // namespace sinter::optim

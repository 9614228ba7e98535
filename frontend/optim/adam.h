// Adam and AdamW.
#pragma once
#include <tuple>
#include "optimizer_of.h"

namespace sinter::optim {

using Betas = std::tuple<double, double>;

struct AdamOptions : OptimizerCloneableOptions<AdamOptions> {
  static constexpr const char* kOptimizer = "Adam";
  AdamOptions(double lr = 1e-3) : lr_(lr) {}
  /// @throws ValueError.
  void check() const;
  SINTER_ARG(double, lr);
  SINTER_ARG(Betas, betas) = {0.9, 0.999};
  SINTER_ARG(double, eps) = 1e-8;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(bool, amsgrad) = false;
};

struct AdamWOptions : OptimizerCloneableOptions<AdamWOptions> {
  static constexpr const char* kOptimizer = "AdamW";
  AdamWOptions(double lr = 1e-3) : lr_(lr) {}
  /// @throws ValueError.
  void check() const;
  SINTER_ARG(double, lr);
  SINTER_ARG(Betas, betas) = {0.9, 0.999};
  SINTER_ARG(double, eps) = 1e-8;
  SINTER_ARG(double, weight_decay) = 1e-2;
  SINTER_ARG(bool, amsgrad) = false;
};

struct AdamParamState {
  int64_t step = 0;
  Tensor exp_avg, exp_avg_sq, max_exp_avg_sq;
  static void visit(auto& s, auto&& f) {
    f("step", s.step);
    f("exp_avg", s.exp_avg);
    f("exp_avg_sq", s.exp_avg_sq);
    f("max_exp_avg_sq", s.max_exp_avg_sq);
  }
};

/// Kingma and Ba 2015; amsgrad of Reddi, Kale and Kumar 2018. PyTorch's formulas, in its operator order:
///   g = grad + weight_decay p;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g g;
///   p -= lr / (1 - beta1^t) * m / (sqrt(amsgrad ? max v : v) / sqrt(1 - beta2^t) + eps)
class Adam : public OptimizerOf<AdamParamState, AdamOptions> {
 public:
  using OptimizerOf::OptimizerOf;

 protected:
  void update(size_t index, const Tensor& param, const AdamOptions& options, Loc loc) override;
};

/// Loshchilov and Hutter 2019: as Adam, but the decay acts on the parameter itself: p *= 1 - lr weight_decay.
class AdamW : public OptimizerOf<AdamParamState, AdamWOptions> {
 public:
  using OptimizerOf::OptimizerOf;

 protected:
  void update(size_t index, const Tensor& param, const AdamWOptions& options, Loc loc) override;
};

}  // namespace sinter::optim

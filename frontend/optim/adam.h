// Adam and AdamW.
#pragma once
#include <tuple>
#include "optimizer.h"
#include "param_states.h"

namespace sinter::optim {

using Betas = std::tuple<double, double>;

struct AdamOptions : OptimizerCloneableOptions<AdamOptions> {
  AdamOptions(double lr = 1e-3) : lr_(lr) {}
  SINTER_ARG(double, lr);
  SINTER_ARG(Betas, betas) = {0.9, 0.999};
  SINTER_ARG(double, eps) = 1e-8;
  SINTER_ARG(double, weight_decay) = 0;
  SINTER_ARG(bool, amsgrad) = false;
};

struct AdamWOptions : OptimizerCloneableOptions<AdamWOptions> {
  AdamWOptions(double lr = 1e-3) : lr_(lr) {}
  SINTER_ARG(double, lr);
  SINTER_ARG(Betas, betas) = {0.9, 0.999};
  SINTER_ARG(double, eps) = 1e-8;
  SINTER_ARG(double, weight_decay) = 1e-2;
  SINTER_ARG(bool, amsgrad) = false;
};

struct AdamParamState {
  int64_t step = 0;
  Tensor exp_avg, exp_avg_sq, max_exp_avg_sq;
};

/// Kingma and Ba 2015; amsgrad of Reddi, Kale and Kumar 2018. PyTorch's formulas, in its operator order:
///   g = grad + weight_decay p;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g g;
///   p -= lr / (1 - beta1^t) * m / (sqrt(amsgrad ? max v : v) / sqrt(1 - beta2^t) + eps)
class Adam : public Optimizer {
 public:
  explicit Adam(std::vector<OptimizerParamGroup> groups, AdamOptions defaults = {});
  explicit Adam(std::vector<Tensor> params, AdamOptions defaults = {});

  /// Null when the parameter was never updated.
  AdamParamState* state(const Tensor& param) { return states_.find(param); }

 protected:
  void check_options(const OptimizerOptions& options) const override;
  void update(size_t index, const Tensor& param, const OptimizerOptions& options, Loc loc) override;

 private:
  ParamStates<AdamParamState> states_;
};

/// Loshchilov and Hutter 2019: as Adam, but the decay acts on the parameter itself: p *= 1 - lr weight_decay.
class AdamW : public Optimizer {
 public:
  explicit AdamW(std::vector<OptimizerParamGroup> groups, AdamWOptions defaults = {});
  explicit AdamW(std::vector<Tensor> params, AdamWOptions defaults = {});

  /// Null when the parameter was never updated.
  AdamParamState* state(const Tensor& param) { return states_.find(param); }

 protected:
  void check_options(const OptimizerOptions& options) const override;
  void update(size_t index, const Tensor& param, const OptimizerOptions& options, Loc loc) override;

 private:
  ParamStates<AdamParamState> states_;
};

}  // namespace sinter::optim

// Optimizer: parameter groups and the interface of SGD, Adam, ... Names and semantics of torch::optim.
#pragma once
#include <functional>
#include <memory>
#include <vector>
#include "../../engine/tensor.h"
#include "../nn/arg.h"

namespace sinter::optim {

/// Base of each optimizer's options.
class OptimizerOptions {
 public:
  virtual ~OptimizerOptions() = default;
  virtual std::unique_ptr<OptimizerOptions> clone() const = 0;
  virtual double get_lr() const = 0;
  virtual void set_lr(double lr) = 0;
};

/// Gives `Derived` clone and the rate's accessors.
template <class Derived>
class OptimizerCloneableOptions : public OptimizerOptions {
 public:
  std::unique_ptr<OptimizerOptions> clone() const override {
    return std::make_unique<Derived>(static_cast<const Derived&>(*this));
  }
  double get_lr() const override { return static_cast<const Derived&>(*this).lr(); }
  void set_lr(double lr) override { static_cast<Derived&>(*this).lr(lr); }
};

/// Parameters that share options. Without options the optimizer's defaults are used.
class OptimizerParamGroup {
 public:
  OptimizerParamGroup(std::vector<Tensor> params, std::unique_ptr<OptimizerOptions> options = nullptr)
      : params_(std::move(params)), options_(std::move(options)) {}
  OptimizerParamGroup(const OptimizerParamGroup& o) : params_(o.params_), options_(o.options_ ? o.options_->clone() : nullptr) {}
  OptimizerParamGroup(OptimizerParamGroup&&) noexcept = default;
  OptimizerParamGroup& operator=(OptimizerParamGroup o) noexcept {
    params_.swap(o.params_);
    options_.swap(o.options_);
    return *this;
  }

  bool has_options() const { return options_ != nullptr; }
  OptimizerOptions& options() { return require(); }
  const OptimizerOptions& options() const { return require(); }
  void set_options(std::unique_ptr<OptimizerOptions> options) { options_ = std::move(options); }
  std::vector<Tensor>& params() { return params_; }
  const std::vector<Tensor>& params() const { return params_; }

 private:
  OptimizerOptions& require() const {
    if (!options_) raise<ValueError>("this parameter group has no options");
    return *options_;
  }

  std::vector<Tensor> params_;
  std::unique_ptr<OptimizerOptions> options_;
};

/// Updates parameters from their gradients. A step is ordinary in-place operators, so it is compiled along with
/// whatever surrounds it; rates and the like are values, changing them recompiles nothing.
class Optimizer {
 public:
  using LossClosure = std::function<Tensor()>;

  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer() = default;

  /// @throws ValueError for a parameter that is not a leaf, is undefined, or is in a group already.
  void add_param_group(const OptimizerParamGroup& group);
  /// Adds to the first group.
  void add_parameters(const std::vector<Tensor>& parameters);
  std::vector<OptimizerParamGroup>& param_groups() { return groups_; }
  const std::vector<OptimizerParamGroup>& param_groups() const { return groups_; }
  OptimizerOptions& defaults() { return *defaults_; }
  const OptimizerOptions& defaults() const { return *defaults_; }
  size_t size() const;

  /// Zeroes (or drops) the gradient of every parameter.
  void zero_grad(bool set_to_none = false, Loc loc = Loc::current());
  /// One update of every parameter that has a gradient. A closure computes the loss anew, with gradients on; its result is
  /// returned.
  Tensor step(const LossClosure& closure = nullptr, Loc loc = Loc::current());

 protected:
  explicit Optimizer(std::unique_ptr<OptimizerOptions> defaults) : defaults_(std::move(defaults)) {}
  /// Checks options when a group is added. @throws ValueError.
  virtual void check_options(const OptimizerOptions& options) const = 0;
  /// Updates one parameter. `index` counts through all groups: where its state was last time.
  virtual void update(size_t index, const Tensor& param, const OptimizerOptions& options, Loc loc) = 0;
  /// For the constructors of derived classes: checks the defaults, then adds the groups.
  void add_groups(const std::vector<OptimizerParamGroup>& groups);

 private:
  std::vector<OptimizerParamGroup> groups_;
  std::unique_ptr<OptimizerOptions> defaults_;
};

}  // namespace sinter::optim

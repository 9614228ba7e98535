// Optimizer: parameter groups and the interface of SGD, Adam, ... Names and semantics of torch::optim.
#pragma once
#include <functional>
#include <memory>
#include <vector>
#include "../../engine/tensor.h"
#include "../nn/arg.h"
#include "options.h"
#include "state_dict.h"

namespace sinter::optim {

/// Parameters that share options. Without options the optimizer's defaults are used.
class OptimizerParamGroup {
 public:
  OptimizerParamGroup(std::vector<Tensor> params, std::unique_ptr<OptimizerOptions> options = nullptr)
      : params_(std::move(params)), options_(std::move(options)) {}
  OptimizerParamGroup(const OptimizerParamGroup& o)
      : params_(o.params_), options_(o.options_ ? o.options_->clone() : nullptr), initial_lr_(o.initial_lr_) {}
  OptimizerParamGroup(OptimizerParamGroup&&) noexcept = default;
  OptimizerParamGroup& operator=(OptimizerParamGroup o) noexcept {
    params_.swap(o.params_);
    options_.swap(o.options_);
    initial_lr_ = o.initial_lr_;
    return *this;
  }

  bool has_options() const { return options_ != nullptr; }
  OptimizerOptions& options() { return require(); }
  const OptimizerOptions& options() const { return require(); }
  void set_options(std::unique_ptr<OptimizerOptions> options) { options_ = std::move(options); }
  std::vector<Tensor>& params() { return params_; }
  const std::vector<Tensor>& params() const { return params_; }
  /// The rate before any scheduler changed it; empty until one is made.
  std::optional<double>& initial_lr() { return initial_lr_; }

 private:
  OptimizerOptions& require() const {
    if (!options_) raise<ValueError>("this parameter group has no options");
    return *options_;
  }

  std::vector<Tensor> params_;
  std::unique_ptr<OptimizerOptions> options_;
  std::optional<double> initial_lr_;
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
  /// @throws ShapeError for a gradient that does not have the shape of its parameter. Nothing is changed then.
  Tensor step(const LossClosure& closure = nullptr, Loc loc = Loc::current());

  /// A copy of all options and of what is remembered of each parameter; later steps do not change it.
  OptimizerStateDict state_dict() const;
  /// Takes over options and states, as copies, for the parameters in the order of the groups. Floating-point states are converted
  /// to the type of their parameter.
  /// @throws ValueError when the number of groups, of parameters in one, or the kind of optimizer differs; ShapeError when a
  /// state does not have the shape of its parameter. Nothing is changed then.
  void load_state_dict(const OptimizerStateDict& state);

 protected:
  explicit Optimizer(std::unique_ptr<OptimizerOptions> defaults) : defaults_(std::move(defaults)) {}
  /// Checks options when a group is added. @throws ValueError.
  virtual void check_options(const OptimizerOptions& options) const = 0;
  /// What is remembered of the parameter: field name -> value. Empty: it was never updated, or nothing is remembered.
  virtual StateFields save_state(const Tensor& param) const = 0;
  /// Replaces what is remembered of all parameters; `fields` in the order of the groups. @throws ValueError for unknown fields.
  virtual void load_states(const std::vector<std::pair<Tensor, StateFields>>& fields) = 0;
  /// Updates one parameter. `index` counts through all groups: where its state was last time.
  virtual void update(size_t index, const Tensor& param, const OptimizerOptions& options, Loc loc) = 0;
  /// For the constructors of derived classes: checks the defaults, then adds the groups.
  void add_groups(const std::vector<OptimizerParamGroup>& groups);

 private:
  void check_gradients() const;

  std::vector<OptimizerParamGroup> groups_;
  std::unique_ptr<OptimizerOptions> defaults_;
};

}  // namespace sinter::optim

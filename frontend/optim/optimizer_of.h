// What all optimizers share that keep a struct for each parameter.
#pragma once
#include <type_traits>
#include "optimizer.h"
#include "param_states.h"

namespace sinter::optim {

/// `State` is remembered of each parameter; its static visit(state, f) calls f(name, field) for each field. `Options` has a name,
/// kOptimizer, and check(), which throws ValueError.
template <class State, class Options>
class OptimizerOf : public Optimizer {
 public:
  /// @throws ValueError for options that are not allowed, and what add_param_group throws.
  explicit OptimizerOf(std::vector<OptimizerParamGroup> groups, Options defaults = {})
      : Optimizer(std::make_unique<Options>(std::move(defaults))) {
    add_groups(groups);
  }
  explicit OptimizerOf(std::vector<Tensor> params, Options defaults = {})
      : OptimizerOf(std::vector<OptimizerParamGroup>{OptimizerParamGroup(std::move(params))}, std::move(defaults)) {}

  /// What is remembered of a parameter; null when nothing is.
  State* state(const Tensor& param) { return states_.find(param); }

 protected:
  void check_options(const OptimizerOptions& options) const final {
    const auto* o = dynamic_cast<const Options*>(&options);
    if (!o) raise<ValueError>("{0} needs {0}Options in every parameter group", Options::kOptimizer);
    o->check();
  }

  void update(size_t index, const Tensor& param, const OptimizerOptions& options, Loc loc) final {
    update(index, param, static_cast<const Options&>(options), loc);
  }
  virtual void update(size_t index, const Tensor& param, const Options& options, Loc loc) = 0;

  State& state_at(size_t index, const Tensor& param) { return states_.at(index, param); }

  StateFields save_state(const Tensor& param) const final {
    StateFields fields;
    if (const State* s = states_.find(param))
      State::visit(*s, [&](const char* name, const auto& field) {
        if constexpr (std::is_same_v<std::decay_t<decltype(field)>, Tensor>) {
          if (field.defined()) fields.emplace(name, field);
        } else {
          fields.emplace(name, field);
        }
      });
    return fields;
  }

  void load_states(const std::vector<std::pair<Tensor, StateFields>>& all) final {
    ParamStates<State> loaded;
    for (size_t i = 0; i < all.size(); ++i) {
      const auto& [param, fields] = all[i];
      if (fields.empty()) continue;
      size_t known = 0;
      State::visit(loaded.at(i, param), [&](const char* name, auto& field) {
        const auto it = fields.find(name);
        if (it == fields.end()) return;
        using Field = std::decay_t<decltype(field)>;
        if (!std::holds_alternative<Field>(it->second))
          raise<ValueError>("{}: state \"{}\" of parameter {} has another type", Options::kOptimizer, name, i);
        field = std::get<Field>(it->second);
        ++known;
      });
      if (known != fields.size()) raise<ValueError>("{}: parameter {} has a state of another optimizer", Options::kOptimizer, i);
    }
    states_ = std::move(loaded);
  }

 private:
  ParamStates<State> states_;
};

}  // namespace sinter::optim

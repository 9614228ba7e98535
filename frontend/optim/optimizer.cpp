#include "optimizer.h"
#include "../../engine/ambient.h"
#include "../nn/zero_grad.h"

namespace sinter::optim {

void Optimizer::add_groups(const std::vector<OptimizerParamGroup>& groups) {
  check_options(*defaults_);
  for (const auto& group : groups) add_param_group(group);
}

void Optimizer::add_param_group(const OptimizerParamGroup& group) try {
  OptimizerParamGroup added(group);
  if (!added.has_options()) added.set_options(defaults_->clone());
  check_options(added.options());
  for (size_t i = 0; i < added.params().size(); ++i) {
    const Tensor& p = added.params()[i];
    if (!p.defined()) raise<ValueError>("can't optimize an undefined Tensor");
    if (!p.is_leaf()) raise<ValueError>("can't optimize a non-leaf Tensor of shape {}", to_string(p.sizes()));
    for (size_t j = 0; j < i; ++j)
      if (added.params()[j].is_same(p)) raise<ValueError>("a parameter of shape {} is twice in its group", to_string(p.sizes()));
    for (const auto& other : groups_)
      for (const Tensor& q : other.params())
        if (q.is_same(p))
          raise<ValueError>("some parameters appear in more than one parameter group, one of shape {}", to_string(p.sizes()));
  }
  groups_.push_back(std::move(added));
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

void Optimizer::add_parameters(const std::vector<Tensor>& parameters) {
  if (groups_.empty()) return add_param_group(OptimizerParamGroup(parameters));
  auto& params = groups_[0].params();
  params.insert(params.end(), parameters.begin(), parameters.end());
}

size_t Optimizer::size() const {
  size_t n = 0;
  for (const auto& group : groups_) n += group.params().size();
  return n;
}

void Optimizer::zero_grad(bool set_to_none, Loc loc) {
  for (const auto& group : groups_)
    for (const Tensor& p : group.params()) detail::zero_grad(p, set_to_none, loc);
}

Tensor Optimizer::step(const LossClosure& closure, Loc loc) try {
  Tensor loss;
  if (closure) {
    AutoGradMode grad_on(true);
    loss = closure();
  }
  NoGradGuard no_grad;
  check_gradients();
  size_t index = 0;
  for (const auto& group : groups_) {
    const OptimizerOptions& options = group.options();
    for (const Tensor& p : group.params()) {
      if (p.grad().defined()) update(index, p, options, loc);
      ++index;
    }
  }
  return loss;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

// All before the first update: a step is made whole or not at all. (backward() gives fitting ones, mutable_grad() takes any.)
void Optimizer::check_gradients() const {
  size_t index = 0;
  for (const auto& group : groups_) {
    for (const Tensor& p : group.params()) {
      const Tensor& g = p.grad();
      if (g.defined() && !(g.sizes() == p.sizes()))
        raise<ShapeError>("step: the gradient of parameter {} has shape {}, the parameter {}", index, to_string(g.sizes()),
                          to_string(p.sizes()));
      ++index;
    }
  }
}

OptimizerStateDict Optimizer::state_dict() const try {
  NoGradGuard no_grad;
  OptimizerStateDict dict;
  size_t number = 0;
  for (const auto& group : groups_) {
    std::vector<size_t> params;
    for (const Tensor& p : group.params()) {
      StateFields fields = save_state(p);
      for (auto& [name, value] : fields)
        if (Tensor* t = std::get_if<Tensor>(&value)) *t = t->clone();
      if (!fields.empty()) dict.state.emplace(number, std::move(fields));
      params.push_back(number++);
    }
    dict.param_groups.emplace_back(group.options().clone(), std::move(params));
  }
  return dict;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

namespace {
/// Copies of the fields, in the type of the parameter.
StateFields copied_for(const Tensor& param, size_t number, const StateFields& fields) {
  StateFields copies = fields;
  for (auto& [name, value] : copies) {
    Tensor* t = std::get_if<Tensor>(&value);
    if (t == nullptr || !t->defined()) continue;
    if (!(t->sizes() == param.sizes()))
      raise<ShapeError>("loaded state \"{}\" of parameter {} has shape {}, the parameter {}", name, number, to_string(t->sizes()),
                        to_string(param.sizes()));
    *t = is_floating(t->dtype()) ? t->to(param.dtype(), /*copy=*/true) : t->clone();
  }
  return copies;
}
}  // namespace

void Optimizer::load_state_dict(const OptimizerStateDict& dict) try {
  if (dict.param_groups.size() != groups_.size())
    raise<ValueError>("loaded state dict has a different number of parameter groups");
  NoGradGuard no_grad;
  std::vector<std::pair<Tensor, StateFields>> states;
  std::vector<std::unique_ptr<OptimizerOptions>> options;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const auto& saved = dict.param_groups[g];
    if (saved.params.size() != groups_[g].params().size())
      raise<ValueError>("loaded state dict contains a parameter group that doesn't match the size of optimizer's group");
    check_options(*saved.options);
    options.push_back(saved.options->clone());
    for (size_t i = 0; i < saved.params.size(); ++i) {
      const auto state = dict.state.find(saved.params[i]);
      const Tensor& p = groups_[g].params()[i];
      states.emplace_back(p, state == dict.state.end() ? StateFields{} : copied_for(p, saved.params[i], state->second));
    }
  }
  load_states(states);
  // Nothing below can fail.
  for (size_t g = 0; g < groups_.size(); ++g) groups_[g].set_options(std::move(options[g]));
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

}  // namespace sinter::optim

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

}  // namespace sinter::optim

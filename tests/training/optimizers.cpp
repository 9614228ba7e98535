#include "optimizers.h"

namespace sinter::test {

using namespace optim;

namespace {

SGDOptions fill(const GroupPlan& g, SGDOptions o) {
  const bool nesterov = g.flag && g.momentum > 0;
  return o.momentum(g.momentum).dampening(nesterov ? 0 : g.dampening).weight_decay(g.weight_decay).nesterov(nesterov);
}
template <class Options>
Options fill_adam(const GroupPlan& g, Options o) {
  return o.betas({g.momentum, 0.99}).weight_decay(g.weight_decay).amsgrad(g.flag);
}
AdamOptions fill(const GroupPlan& g, AdamOptions o) { return fill_adam(g, o); }
AdamWOptions fill(const GroupPlan& g, AdamWOptions o) { return fill_adam(g, o); }
RMSpropOptions fill(const GroupPlan& g, RMSpropOptions o) {
  return o.momentum(g.momentum).alpha(0.9 + g.dampening / 20).weight_decay(g.weight_decay).centered(g.flag).eps(1e-4);
}
AdagradOptions fill(const GroupPlan& g, AdagradOptions o) {
  return o.lr_decay(g.dampening).weight_decay(g.weight_decay).initial_accumulator_value(g.flag ? 0.1 : 0);
}
NAdamOptions fill(const GroupPlan& g, NAdamOptions o) {
  return o.betas({g.momentum, 0.99}).weight_decay(g.weight_decay).momentum_decay(g.flag ? 0.1 : 4e-3);
}

template <class O, class Options>
AnyOptimizer make(const Plan& plan, const std::vector<Tensor>& parameters) {
  std::vector<OptimizerParamGroup> groups;
  for (size_t g = 0; g < plan.groups.size(); ++g) {
    std::vector<Tensor> own;
    for (size_t i = g; i < parameters.size(); i += plan.groups.size()) own.push_back(parameters[i]);
    groups.emplace_back(own, std::make_unique<Options>(fill(plan.groups[g], Options(plan.groups[g].lr))));
  }
  auto made = std::make_unique<O>(groups, fill(plan.groups[0], Options(plan.groups[0].lr)));
  O* optimizer = made.get();
  return {std::move(made), [optimizer](const Tensor& p) {
            StateFields fields;
            if (auto* s = optimizer->state(p))
              std::decay_t<decltype(*s)>::visit(*s, [&](const char* name, auto& field) { fields.emplace(name, field); });
            return fields;
          }};
}

template <class S, class... A>
std::function<void(const Tensor&)> steps_of(Optimizer& optimizer, A... args) {
  return [schedule = std::make_shared<S>(optimizer, args...)](const Tensor&) { schedule->step(); };
}

}  // namespace

bool has_momentum(Optim optim) { return optim != Optim::Adagrad; }

AnyOptimizer make_optimizer(const Plan& plan, const std::vector<Tensor>& parameters) {
  switch (plan.optim) {
    case Optim::SGD:
      return make<SGD, SGDOptions>(plan, parameters);
    case Optim::Adam:
      return make<Adam, AdamOptions>(plan, parameters);
    case Optim::AdamW:
      return make<AdamW, AdamWOptions>(plan, parameters);
    case Optim::RMSprop:
      return make<RMSprop, RMSpropOptions>(plan, parameters);
    case Optim::Adagrad:
      return make<Adagrad, AdagradOptions>(plan, parameters);
    default:
      return make<NAdam, NAdamOptions>(plan, parameters);
  }
}

std::function<void(const Tensor&)> make_schedule(const Plan& plan, Optimizer& optimizer) {
  switch (plan.schedule) {
    case Schedule::Step:
      return steps_of<StepLR>(optimizer, 2, 0.5);
    case Schedule::MultiStep:
      return steps_of<MultiStepLR>(optimizer, std::vector<int64_t>{1, 3, 4}, 0.5);
    case Schedule::Exponential:
      return steps_of<ExponentialLR>(optimizer, 0.8);
    case Schedule::Cosine:
      return steps_of<CosineAnnealingLR>(optimizer, 4, 1e-4);
    case Schedule::Linear:
      return steps_of<LinearLR>(optimizer, 0.3, 1.0, 4);
    case Schedule::OneCycle: {
      auto options = OneCycleLROptions(plan.groups[0].lr, plan.steps + 2).cycle_momentum(has_momentum(plan.optim));
      return steps_of<OneCycleLR>(optimizer, options);
    }
    case Schedule::Plateau: {
      auto schedule = std::make_shared<ReduceLROnPlateau>(optimizer, ReduceLROnPlateauOptions().patience(1).factor(0.5));
      return [schedule](const Tensor& loss) { schedule->step(loss.item<double>()); };
    }
    default:
      return [](const Tensor&) {};
  }
}

}  // namespace sinter::test

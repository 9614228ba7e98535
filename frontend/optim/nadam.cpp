#include "nadam.h"
#include <cmath>
#include "../../engine/creation.h"

namespace sinter::optim {

void NAdamOptions::check() const {
  const auto [beta1, beta2] = betas();
  if (!(lr() >= 0)) raise<ValueError>("Invalid learning rate: {}", lr());
  if (!(eps() >= 0)) raise<ValueError>("Invalid epsilon value: {}", eps());
  if (!(beta1 >= 0 && beta1 < 1)) raise<ValueError>("Invalid beta parameter at index 0: {}", beta1);
  if (!(beta2 >= 0 && beta2 < 1)) raise<ValueError>("Invalid beta parameter at index 1: {}", beta2);
  if (!(weight_decay() >= 0)) raise<ValueError>("Invalid weight_decay value: {}", weight_decay());
  if (!(momentum_decay() >= 0)) raise<ValueError>("Invalid momentum_decay value: {}", momentum_decay());
}

void NAdam::update(size_t index, const Tensor& p, const NAdamOptions& o, Loc loc) {
  Tensor g = p.grad();
  const auto [beta1, beta2] = o.betas();
  NAdamParamState& state = state_at(index, p);
  for (Tensor* t : {&state.exp_avg, &state.exp_avg_sq})
    if (!t->defined()) *t = sinter::zeros_like(p, {}, loc);
  const auto t = static_cast<double>(++state.step);
  const auto mu_at = [&, beta1 = beta1](double step) { return beta1 * (1 - 0.5 * std::pow(0.96, step * o.momentum_decay())); };
  const double mu = mu_at(t), mu_next = mu_at(t + 1);
  state.mu_product *= mu;
  if (o.weight_decay() != 0) g = sinter::add(g, p, o.weight_decay(), loc);
  state.exp_avg.mul_(beta1, loc);
  state.exp_avg.add_(g, 1 - beta1, loc);
  state.exp_avg_sq.mul_(beta2, loc);
  state.exp_avg_sq.addcmul_(g, g, 1 - beta2, loc);
  Tensor denominator = sinter::sqrt(sinter::div(state.exp_avg_sq, 1 - std::pow(beta2, t), loc), loc);
  denominator.add_(o.eps(), loc);
  p.addcdiv_(g, denominator, -o.lr() * (1 - mu) / (1 - state.mu_product), loc);
  p.addcdiv_(state.exp_avg, denominator, -o.lr() * mu_next / (1 - state.mu_product * mu_next), loc);
}

}  // namespace sinter::optim

#include "adam.h"
#include <cmath>
#include "../../engine/creation.h"

namespace sinter::optim {

namespace {

template <class Options>
void check_adam(const Options& o) {
  const auto [beta1, beta2] = o.betas();
  if (!(o.lr() >= 0)) raise<ValueError>("Invalid learning rate: {}", o.lr());
  if (!(o.eps() >= 0)) raise<ValueError>("Invalid epsilon value: {}", o.eps());
  if (!(beta1 >= 0 && beta1 < 1)) raise<ValueError>("Invalid beta parameter at index 0: {}", beta1);
  if (!(beta2 >= 0 && beta2 < 1)) raise<ValueError>("Invalid beta parameter at index 1: {}", beta2);
  if (!(o.weight_decay() >= 0)) raise<ValueError>("Invalid weight_decay value: {}", o.weight_decay());
}

/// Both moments and the step along them; `g` is the gradient after Adam's decay.
template <class Options>
void adam_step(AdamParamState& state, const Tensor& p, const Tensor& g, const Options& o, Loc loc) {
  const auto [beta1, beta2] = o.betas();
  if (state.step == 0) {
    state.exp_avg = sinter::zeros_like(p, {}, loc);
    state.exp_avg_sq = sinter::zeros_like(p, {}, loc);
    if (o.amsgrad()) state.max_exp_avg_sq = sinter::zeros_like(p, {}, loc);
  }
  ++state.step;
  const double correction1 = 1 - std::pow(beta1, state.step), correction2 = 1 - std::pow(beta2, state.step);
  state.exp_avg.mul_(beta1, loc);
  state.exp_avg.add_(g, 1 - beta1, loc);
  state.exp_avg_sq.mul_(beta2, loc);
  state.exp_avg_sq.addcmul_(g, g, 1 - beta2, loc);
  if (o.amsgrad()) state.max_exp_avg_sq.copy_(sinter::maximum(state.max_exp_avg_sq, state.exp_avg_sq, loc), loc);
  Tensor denominator =
      sinter::div(sinter::sqrt(o.amsgrad() ? state.max_exp_avg_sq : state.exp_avg_sq, loc), std::sqrt(correction2), loc);
  denominator.add_(o.eps(), loc);
  p.addcdiv_(state.exp_avg, denominator, -(o.lr() / correction1), loc);
}

}  // namespace

void AdamOptions::check() const { check_adam(*this); }
void AdamWOptions::check() const { check_adam(*this); }

void Adam::update(size_t index, const Tensor& p, const AdamOptions& o, Loc loc) {
  Tensor g = p.grad();
  if (o.weight_decay() != 0) g = sinter::add(g, p, o.weight_decay(), loc);
  adam_step(state_at(index, p), p, g, o, loc);
}

void AdamW::update(size_t index, const Tensor& p, const AdamWOptions& o, Loc loc) {
  if (o.weight_decay() != 0) p.mul_(1 - o.lr() * o.weight_decay(), loc);
  adam_step(state_at(index, p), p, p.grad(), o, loc);
}

}  // namespace sinter::optim

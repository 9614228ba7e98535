#include "rmsprop.h"
#include "../../engine/creation.h"

namespace sinter::optim {

void RMSpropOptions::check() const {
  if (!(lr() >= 0)) raise<ValueError>("Invalid learning rate: {}", lr());
  if (!(eps() >= 0)) raise<ValueError>("Invalid epsilon value: {}", eps());
  if (!(momentum() >= 0)) raise<ValueError>("Invalid momentum value: {}", momentum());
  if (!(weight_decay() >= 0)) raise<ValueError>("Invalid weight_decay value: {}", weight_decay());
  if (!(alpha() >= 0)) raise<ValueError>("Invalid alpha value: {}", alpha());
}

void RMSprop::update(size_t index, const Tensor& p, const RMSpropOptions& o, Loc loc) {
  Tensor g = p.grad();
  RMSpropParamState& state = state_at(index, p);
  for (Tensor* t :
       {&state.square_avg, o.momentum() > 0 ? &state.momentum_buffer : nullptr, o.centered() ? &state.grad_avg : nullptr})
    if (t != nullptr && !t->defined()) *t = sinter::zeros_like(p, {}, loc);
  ++state.step;
  if (o.weight_decay() != 0) g = sinter::add(g, p, o.weight_decay(), loc);
  state.square_avg.mul_(o.alpha(), loc);
  state.square_avg.addcmul_(g, g, 1 - o.alpha(), loc);
  Tensor denominator;
  if (o.centered()) {
    state.grad_avg.mul_(o.alpha(), loc);
    state.grad_avg.add_(g, 1 - o.alpha(), loc);
    denominator = sinter::sqrt(sinter::addcmul(state.square_avg, state.grad_avg, state.grad_avg, -1, loc), loc);
  } else {
    denominator = sinter::sqrt(state.square_avg, loc);
  }
  denominator.add_(o.eps(), loc);
  if (o.momentum() > 0) {
    state.momentum_buffer.mul_(o.momentum(), loc);
    state.momentum_buffer.addcdiv_(g, denominator, 1, loc);
    p.add_(state.momentum_buffer, -o.lr(), loc);
  } else {
    p.addcdiv_(g, denominator, -o.lr(), loc);
  }
}

}  // namespace sinter::optim

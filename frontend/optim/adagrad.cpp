#include "adagrad.h"
#include "../../engine/creation.h"

namespace sinter::optim {

void AdagradOptions::check() const {
  if (!(lr() >= 0)) raise<ValueError>("Invalid learning rate: {}", lr());
  if (!(lr_decay() >= 0)) raise<ValueError>("Invalid lr_decay value: {}", lr_decay());
  if (!(weight_decay() >= 0)) raise<ValueError>("Invalid weight_decay value: {}", weight_decay());
  if (!(initial_accumulator_value() >= 0))
    raise<ValueError>("Invalid initial_accumulator_value value: {}", initial_accumulator_value());
  if (!(eps() >= 0)) raise<ValueError>("Invalid epsilon value: {}", eps());
}

void Adagrad::update(size_t index, const Tensor& p, const AdagradOptions& o, Loc loc) {
  Tensor g = p.grad();
  AdagradParamState& state = state_at(index, p);
  if (!state.sum.defined()) state.sum = sinter::full_like(p, o.initial_accumulator_value(), {}, loc);
  ++state.step;
  if (o.weight_decay() != 0) g = sinter::add(g, p, o.weight_decay(), loc);
  const double rate = o.lr() / (1 + static_cast<double>(state.step - 1) * o.lr_decay());
  state.sum.addcmul_(g, g, 1, loc);
  Tensor denominator = sinter::sqrt(state.sum, loc);
  denominator.add_(o.eps(), loc);
  p.addcdiv_(g, denominator, -rate, loc);
}

}  // namespace sinter::optim

#include "sgd.h"
#include "../../engine/functions.h"

namespace sinter::optim {

void SGDOptions::check() const {
  if (!(lr() >= 0)) raise<ValueError>("Invalid learning rate: {}", lr());
  if (!(momentum() >= 0)) raise<ValueError>("Invalid momentum value: {}", momentum());
  if (!(weight_decay() >= 0)) raise<ValueError>("Invalid weight_decay value: {}", weight_decay());
  if (nesterov() && !(momentum() > 0 && dampening() == 0))
    raise<ValueError>("Nesterov momentum requires a momentum and zero dampening");
}

void SGD::update(size_t index, const Tensor& p, const SGDOptions& o, Loc loc) {
  if (o.weight_decay() == 0 && o.momentum() == 0) {
    p.add_(p.grad(), -o.lr(), loc);
    return;
  }
  Tensor g = p.grad();
  if (o.weight_decay() != 0) g = sinter::add(g, p, o.weight_decay(), loc);
  if (o.momentum() != 0) {
    Tensor& buffer = state_at(index, p).momentum_buffer;
    if (!buffer.defined()) {
      buffer = sinter::clone(g, loc);
    } else {
      buffer.mul_(o.momentum(), loc);
      buffer.add_(g, 1 - o.dampening(), loc);
    }
    g = o.nesterov() ? sinter::add(g, buffer, o.momentum(), loc) : buffer;
  }
  p.add_(g, -o.lr(), loc);
}

}  // namespace sinter::optim

#include "sgd.h"
#include "../../engine/functions.h"

namespace sinter::optim {

SGD::SGD(std::vector<OptimizerParamGroup> groups, SGDOptions defaults) : Optimizer(std::make_unique<SGDOptions>(defaults)) {
  add_groups(groups);
}

SGD::SGD(std::vector<Tensor> params, SGDOptions defaults)
    : SGD(std::vector<OptimizerParamGroup>{OptimizerParamGroup(std::move(params))}, defaults) {}

void SGD::check_options(const OptimizerOptions& options) const {
  const auto* o = dynamic_cast<const SGDOptions*>(&options);
  if (!o) raise<ValueError>("SGD needs SGDOptions in every parameter group");
  if (!(o->lr() >= 0)) raise<ValueError>("Invalid learning rate: {}", o->lr());
  if (!(o->momentum() >= 0)) raise<ValueError>("Invalid momentum value: {}", o->momentum());
  if (!(o->weight_decay() >= 0)) raise<ValueError>("Invalid weight_decay value: {}", o->weight_decay());
  if (o->nesterov() && !(o->momentum() > 0 && o->dampening() == 0)) {
    raise<ValueError>("Nesterov momentum requires a momentum and zero dampening");
  }
}

void SGD::update(size_t index, const Tensor& p, const OptimizerOptions& options, Loc loc) {
  const auto& o = static_cast<const SGDOptions&>(options);
  if (o.weight_decay() == 0 && o.momentum() == 0) {
    p.add_(p.grad(), -o.lr(), loc);
    return;
  }
  Tensor g = p.grad();
  if (o.weight_decay() != 0) g = sinter::add(g, p, o.weight_decay(), loc);
  if (o.momentum() != 0) {
    Tensor& buffer = states_.at(index, p).momentum_buffer;
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

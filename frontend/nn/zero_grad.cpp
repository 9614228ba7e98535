#include "zero_grad.h"
#include "../../engine/ambient.h"
#include "../../engine/functions.h"

namespace sinter::detail {

void zero_grad(const Tensor& parameter, bool set_to_none, Loc loc) {
  if (!parameter.grad().defined()) return;
  if (set_to_none) {
    parameter.mutable_grad().reset();
    return;
  }
  if (parameter.grad().requires_grad()) parameter.mutable_grad() = sinter::detach(parameter.grad(), loc);
  NoGradGuard no_grad;
  parameter.grad().zero_(loc);
}

}  // namespace sinter::detail

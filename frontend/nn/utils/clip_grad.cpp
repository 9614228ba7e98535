#include "clip_grad.h"
#include <cmath>
#include "../../../engine/ambient.h"
#include "../../../engine/creation.h"
#include "../../../engine/functions.h"

namespace sinter::nn::utils {

namespace {
std::vector<Tensor> gradients_of(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> gradients;
  for (const Tensor& p : parameters)
    if (p.defined() && p.grad().defined()) gradients.push_back(p.grad().detach());
  return gradients;
}

Tensor norm_of(const Tensor& t, double type, Loc loc) {
  if (std::isinf(type)) return sinter::amax(sinter::abs(t, loc), {}, false, loc);
  if (type == 1) return sinter::sum(sinter::abs(t, loc), {}, loc);
  if (type == 2) return sinter::sqrt(sinter::sum(sinter::mul(t, t, loc), {}, loc), loc);
  return sinter::pow(sinter::sum(sinter::pow(sinter::abs(t, loc), type, loc), {}, loc), 1 / type, loc);
}
}  // namespace

Tensor clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, double norm_type, bool error_if_nonfinite,
                       Loc loc) {
  if (!(norm_type > 0)) raise<ValueError>("clip_grad_norm_: norm_type must be positive, but got {}", norm_type);
  NoGradGuard no_grad;
  const std::vector<Tensor> gradients = gradients_of(parameters);
  if (gradients.empty()) return zeros({}, {}, loc);
  std::vector<Tensor> norms;
  for (const Tensor& g : gradients) norms.push_back(norm_of(g, norm_type, loc));
  const Tensor total = norm_of(sinter::stack(norms, 0, loc), norm_type, loc);
  if (error_if_nonfinite && !std::isfinite(total.item<double>()))
    raise<ValueError>(
        "The total norm of order {} for gradients from `parameters` is non-finite, so it cannot be clipped. To disable this "
        "error "
        "and scale the gradients with the non-finite norm anyway, set `error_if_nonfinite=false`",
        norm_type);
  const Tensor factor =
      sinter::clamp_max(sinter::mul(sinter::reciprocal(sinter::add(total, 1e-6, 1, loc), loc), max_norm, loc), 1, loc);
  for (const Tensor& g : gradients) g.mul_(factor, loc);
  return total;
}

Tensor clip_grad_norm_(const Tensor& parameter, double max_norm, double norm_type, bool error_if_nonfinite, Loc loc) {
  return clip_grad_norm_(std::vector<Tensor>{parameter}, max_norm, norm_type, error_if_nonfinite, loc);
}

void clip_grad_value_(const std::vector<Tensor>& parameters, double clip_value, Loc loc) {
  NoGradGuard no_grad;
  for (const Tensor& g : gradients_of(parameters)) g.clamp_(-clip_value, clip_value, loc);
}

void clip_grad_value_(const Tensor& parameter, double clip_value, Loc loc) {
  clip_grad_value_(std::vector<Tensor>{parameter}, clip_value, loc);
}

}  // namespace sinter::nn::utils

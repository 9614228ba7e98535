// Clipping of gradients. Names and semantics of torch::nn::utils.
#pragma once
#include <vector>
#include "../../../engine/tensor.h"

namespace sinter::nn::utils {

/// Scales all gradients in place by min(1, max_norm / (norm + 1e-6)), norm being that of all of them as one vector (norm_type may
/// be infinity). Parameters without a gradient do not count.
/// @returns that norm, 0-dim. LibTorch returns a number; reading it here would end a compiled region: `.item<double>()`.
/// @throws ValueError with error_if_nonfinite when the norm is infinite or NaN, with the gradients as they were (this reads it).
Tensor clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, double norm_type = 2,
                       bool error_if_nonfinite = false, Loc loc = Loc::current());
Tensor clip_grad_norm_(const Tensor& parameter, double max_norm, double norm_type = 2, bool error_if_nonfinite = false,
                       Loc loc = Loc::current());

/// Clamps every element of every gradient to [-clip_value, clip_value], in place.
void clip_grad_value_(const std::vector<Tensor>& parameters, double clip_value, Loc loc = Loc::current());
void clip_grad_value_(const Tensor& parameter, double clip_value, Loc loc = Loc::current());

}  // namespace sinter::nn::utils

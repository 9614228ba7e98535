// Layer normalisation over the trailing dimensions and its gradients.
//
// x is taken as M rows of N elements (N: product of the trailing dimensions). Exactly these steps, in the result's type,
// each rounded on its own (no fma), so that a graph of primitive operators gives the same bits. mean(v) = sum(v) / N; sums
// follow reduce_order.h, so N == 1 (or M == 1 for the weight) takes the element itself.
//   common      mu = mean(x); d = x - mu; r = rsqrt(mean(d * d) + eps), rsqrt(v) = 1 / sqrt(v); xhat = d * r
//   layer_norm  y = xhat; y = y * weight if given; y = y + bias if given
//   layer_norm_backward_input    gw = g * weight (g without weight); a = mean(gw); b = mean(gw * xhat)
//                                dx = ((gw - a) - xhat * b) * r
//   layer_norm_backward_weight   dw = sum over the rows of g * xhat
#pragma once
#include "run_kernel.h"

// Softmax and log-softmax over one dimension, and their gradients.
//
// Exactly these steps, in the result's type, so that a graph built of primitive operators gives the same bits. max and
// sum follow reduce_order.h over the steps [outer, n, inner]; n == 1 takes the element itself.
//   _softmax                    m = amax(x); e = exp(x - m); y = e * reciprocal(sum(e))
//   _log_softmax                m = amax(x); d = x - m; y = d - log(sum(exp(d)))
//   _softmax_backward_data      y * (g - sum(g * y))
//   _log_softmax_backward_data  g - exp(y) * sum(g)
#pragma once
#include "run_kernel.h"

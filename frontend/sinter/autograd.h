// Gradients: backward, grad, hooks, anomaly mode, saved-tensor hooks, custom functions.
#pragma once
#include "../../engine/autograd/anomaly.h"
#include "../../engine/autograd/autograd.h"
#include "../../engine/autograd/function.h"
#include "../../engine/autograd/saved_tensor_hooks.h"

// Gradients: backward, grad, hooks, anomaly mode, saved-tensor hooks.
#pragma once
#include "../../engine/autograd/anomaly.h"
#include "../../engine/autograd/autograd.h"
#include "../../engine/autograd/saved_tensor_hooks.h"

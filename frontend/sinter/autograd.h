// Gradients: backward, grad, hooks, anomaly mode.
#pragma once
#include "../../engine/autograd/anomaly.h"
#include "../../engine/autograd/autograd.h"

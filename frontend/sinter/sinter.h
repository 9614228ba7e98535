// All of sinter: tensors and their functions, compile(), autograd, nn, optim, data.
#pragma once
#include "../../engine/ambient.h"
#include "../../engine/frame/compiled.h"
#include "../../engine/frame/explain.h"
#include "../../engine/functions.h"
#include "../../engine/tensor.h"
#include "../../runtime/random.h"
#include "../../runtime/threads.h"
#include "autograd.h"
#include "data.h"
#include "nn.h"
#include "optim.h"

// Optimizers and schedulers of their rates.
#pragma once
#include "../optim/adagrad.h"
#include "../optim/adam.h"
#include "../optim/compiled_optimizer.h"
#include "../optim/lr_scheduler.h"
#include "../optim/nadam.h"
#include "../optim/optimizer.h"
#include "../optim/rmsprop.h"
#include "../optim/sgd.h"

// Modules, functionals, losses and initialisers.
#pragma once
#include "../nn/freeze.h"
#include "../nn/functional.h"
#include "../nn/init.h"
#include "../nn/losses.h"
#include "../nn/module.h"
#include "../nn/module_holder.h"
#include "../nn/modules.h"
#include "../nn/sequential.h"
#include "../nn/utils/clip_grad.h"

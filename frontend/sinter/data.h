// Data sets, samplers and the data loader.
#pragma once
#include "../data/data_loader.h"
#include "../data/dataset.h"
#include "../data/sampler.h"

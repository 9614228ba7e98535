// Makes random training programs that train without an error.
#pragma once
#include "../random/choices.h"
#include "plan.h"

namespace sinter::test {

/// The program of a seed, always the same.
Plan random_plan(uint64_t seed);

}  // namespace sinter::test

// Whether two worlds agree on everything somebody could see.
#pragma once
#include <string>
#include "world.h"

namespace sinter::test {

/// Empty when they agree; else what differs: tensors (bits, shape, strides, offset, version, gradient state), which of
/// them share memory or are the same, generator, side effects.
std::string difference(const World& eager, const World& compiled);

}  // namespace sinter::test

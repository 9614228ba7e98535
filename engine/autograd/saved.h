// What may be wrong with a saved tensor when a derivative asks for it.
#pragma once
#include "node.h"

namespace sinter::autograd {

/// @throws AutogradError: what `node` had saved is gone.
[[noreturn]] void freed_error(const Node& node);
/// @throws AutogradError when the tensor was written since it was saved. `maker`: the node whose result it is, for the text.
void check_version(const Saved& s, const Node* maker);

}  // namespace sinter::autograd

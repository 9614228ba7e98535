#include "saved.h"

namespace sinter::autograd {

void freed_error(const Node& node) {
  raise<AutogradError>(
      "{}: Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
      "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
      "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after "
      "calling backward.",
      node.name());
}

void version_error(const Saved& s, const Node* maker) {
  raise<AutogradError>(
      "one of the variables needed for gradient computation has been modified by an inplace operation: [{} {}]{} is at version "
      "{}; expected version {} instead.",
      dtype_name(s.impl->dtype()), to_string(s.impl->sizes),
      maker == nullptr ? "" : ", which is output 0 of " + maker->name() + ",",
      s.impl->storage->version.load(std::memory_order_relaxed), s.version);
}

}  // namespace sinter::autograd

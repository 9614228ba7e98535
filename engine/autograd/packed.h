// Saved tensors in the form that a pack hook gave them.
#pragma once
#include "node.h"
#include "saved_tensor_hooks.h"

namespace sinter::autograd {

struct Packed {
  std::any value;
  std::shared_ptr<const SavedTensorHooks> hooks;  // null: nothing is packed
  explicit operator bool() const { return hooks != nullptr; }
};

/// What the innermost guard's hook makes of `t`. @throws AutogradError when it writes to it.
Packed pack(const Tensor& t, Loc loc);
/// What was packed, its gradient going to `edge`. @throws AutogradError when the hook returns no tensor.
Tensor unpack(const Packed& packed, const Edge& edge, Loc loc);

/// Those of a node.
struct PackedTensors {
  static constexpr size_t kResult = Node::kInlineEdges;
  Packed of[kResult + 1];  // by operand; the result
};

/// Puts what `node` has saved through the hooks.
void pack_saved(Node& node);

/// What a node has packed, while its derivative runs: each is unpacked once, when it is first asked for.
class Unpacking {
 public:
  explicit Unpacking(Node& node) : node_(node), packed_(node.extra->packed) {}
  bool has(size_t i) const { return static_cast<bool>(packed_->of[i]); }
  const Tensor& operand(size_t i) { return get(i, node_.edge(i)); }
  const Tensor& result() { return get(PackedTensors::kResult, Edge::to_node(&node_)); }

 private:
  const Tensor& get(size_t i, const Edge& edge) {
    if (!unpacked_[i].defined()) unpacked_[i] = unpack(packed_->of[i], edge, node_.loc);
    return unpacked_[i];
  }
  Node& node_;
  std::shared_ptr<PackedTensors> packed_;  // a hook may run a backward pass that frees the graph
  Tensor unpacked_[PackedTensors::kResult + 1];
};

}  // namespace sinter::autograd

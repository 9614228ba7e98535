// The autograd graph: one generic node per differentiable call.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "../../runtime/ops/op_call.h"
#include "../tensor.h"

namespace sinter {

/// Bits of an operand's head of which any means that record_node must look at a differentiable call.
inline constexpr uint64_t kTracked = head::kRequiresGrad | head::kAutograd;

/// Called by dispatch before an in-place call in grad mode. Cheap when operand 0 is not tracked.
/// @throws AutogradError for a leaf that requires grad, or a view of one.
void check_inplace(const OpCall& call);

namespace autograd {
struct Node;
struct PackedTensors;
struct CustomCall;
}  // namespace autograd

/// Called by dispatch after a differentiable call (row flag D) and after its bump_version, grad mode being on, when an
/// operand has a bit of kTracked, and for every view operator. Makes `result` a part of the graph if an operand
/// requires grad; remembers of which tensor a view is a view. Cheap: this is on the replay path. Returns the node of a call that
/// is no view, which lives as long as the result does; null when there is none.
autograd::Node* record_node(const OpCall& call, Tensor& result);

namespace autograd {

using TensorHook = std::function<Tensor(const Tensor&)>;  // an undefined result leaves the gradient as it is
struct HookEntry {
  unsigned id;
  TensorHook run;
};

/// Counts; `release_node` never recurses, so that dropping a chain of any length needs little stack.
void release_node(Node* n) noexcept;

/// A counted reference to a node.
class NodeRef {
 public:
  NodeRef() = default;
  static NodeRef adopt(Node* n) {
    NodeRef r;
    r.node_ = n;
    return r;
  }
  static NodeRef share(Node* n);
  NodeRef(const NodeRef& o) : NodeRef(share(o.node_)) {}
  NodeRef(NodeRef&& o) noexcept : node_(std::exchange(o.node_, nullptr)) {}
  NodeRef& operator=(NodeRef o) noexcept {
    std::swap(node_, o.node_);
    return *this;
  }
  ~NodeRef() {
    if (node_) release_node(node_);
  }
  Node* get() const { return node_; }
  Node* release() { return std::exchange(node_, nullptr); }
  Node* operator->() const { return node_; }
  explicit operator bool() const { return node_ != nullptr; }

 private:
  Node* node_ = nullptr;
};

/// Where a gradient goes: the node that made a tensor, or a leaf tensor (a counted reference either way), or nowhere.
class Edge {
 public:
  Edge() = default;
  static Edge to_node(Node* n);
  static Edge to_leaf(TensorImpl* t);
  Edge(const Edge& o);
  Edge(Edge&& o) noexcept : bits_(std::exchange(o.bits_, 0)) {}
  Edge& operator=(Edge o) noexcept {
    std::swap(bits_, o.bits_);
    return *this;
  }
  ~Edge() {
    if (bits_) drop();
  }

  explicit operator bool() const { return bits_ != 0; }
  bool is_leaf() const { return bits_ & 1; }
  Node* node() const { return is_leaf() ? nullptr : reinterpret_cast<Node*>(bits_); }
  TensorImpl* leaf() const { return is_leaf() ? reinterpret_cast<TensorImpl*>(bits_ & ~uintptr_t{1}) : nullptr; }
  uintptr_t key() const { return bits_; }
  /// Shape and type a gradient must have there.
  IntArrayRef sizes() const;
  ScalarType dtype() const;

 private:
  void drop() noexcept;
  uintptr_t bits_ = 0;  // lowest bit: leaf
};

/// A tensor kept for the derivative and the version it had.
struct Saved {
  TensorImpl* impl = nullptr;  // a counted reference
  uint32_t version = 0;
};

/// What only few nodes have.
struct NodeExtra {
  std::vector<HookEntry> hooks;      // of the tensor this node made
  std::shared_ptr<Tensor> retained;  // retain_grad(): where the gradient is put
  std::vector<Edge> edges;           // calls with more than kInlineEdges operands (cat)
  // An in-place call on a view, seen from the base (PyTorch's CopySlices): `path` leads from the base to the view, `inner` is the
  // call.
  std::vector<NodeRef> path;
  NodeRef inner;
  std::shared_ptr<PackedTensors> packed;  // in place of what is missing in `saved`: packed.h
  // Custom functions: see custom_call.h.
  std::shared_ptr<CustomCall> custom;  // of a call
  int32_t output = -1;                 // of one of its outputs: which
  bool shares_memory = false;          // of an output: with an input or another output
};

/// One differentiable call: everything its derivative needs. Lives in a free list of its thread.
struct Node {
  static constexpr int kInlineEdges = 4;

  std::atomic<uint32_t> refs{1};
  Op op = Op::kCount;
  uint8_t flags = 0;
  uint8_t n_scalars = 0;
  bool freed = false;                        // what was saved is gone
  bool saved_self = false;                   // the result is among the saved tensors
  ScalarType dtype = ScalarType::Undefined;  // of the result
  uint32_t n_in = 0;
  uint64_t seq = 0;             // larger than that of every node its edges lead to; later calls have larger ones
  uint64_t frame_owner = 0;     // the compiled function in whose frame it was made, by id; 0: none
  const void* event = nullptr;  // the frame's event of the call that made it, valid as long as `region` is open; null: none
  uint64_t region = 0;          // Context::region_id
  uint64_t attr = 0;
  Loc loc;
  NodeExtra* extra = nullptr;
  Node* next_free = nullptr;
  std::array<Edge, kInlineEdges> edges;   // one per operand; empty: no gradient wanted
  std::array<Saved, kInlineEdges> saved;  // operands, only those the derivative reads
  Saved saved_result;
  SizeVec sizes;  // of the result
  SizeVec ints;
  Scalar scalars[kMaxScalars];

  const Edge& edge(size_t i) const { return n_in <= kInlineEdges ? edges[i] : extra->edges[i]; }
  Edge& edge(size_t i) { return n_in <= kInlineEdges ? edges[i] : extra->edges[i]; }
  bool is_copy_slices() const { return extra != nullptr && extra->inner; }
  bool is_custom_call() const { return extra != nullptr && extra->custom; }
  bool is_custom_output() const { return extra != nullptr && extra->output >= 0; }
  NodeExtra& need_extra() {
    if (extra == nullptr) extra = new NodeExtra;
    return *extra;
  }
  /// Drops the saved tensors (after a backward that does not retain the graph).
  void release_saved() noexcept;
  /// "Relu", or the name of a custom function's type
  std::string name() const;
};

/// A fresh node with one reference and nothing set but refs.
Node* make_node();
/// A node of no operator, for a tensor of this shape and type; its edges and sequence number are still to be set.
NodeRef make_plain_node(IntArrayRef sizes, ScalarType dtype);
/// The next sequence number of this thread; larger than `above`.
uint64_t next_seq(uint64_t above);
/// The least number that a node made from now on on this thread can get.
uint64_t seq_now();

inline NodeRef NodeRef::share(Node* n) {
  if (n) n->refs.fetch_add(1, std::memory_order_relaxed);
  return adopt(n);
}
inline Edge Edge::to_node(Node* n) {
  Edge e;
  n->refs.fetch_add(1, std::memory_order_relaxed);
  e.bits_ = reinterpret_cast<uintptr_t>(n);
  return e;
}
inline Edge Edge::to_leaf(TensorImpl* t) {
  Edge e;
  t->retain();
  e.bits_ = reinterpret_cast<uintptr_t>(t) | 1;
  return e;
}
inline Edge::Edge(const Edge& o) : bits_(o.bits_) {
  if (bits_ == 0) return;
  if (is_leaf()) leaf()->retain();
  else node()->refs.fetch_add(1, std::memory_order_relaxed);
}
inline void Edge::drop() noexcept {
  if (is_leaf()) leaf()->release();
  else release_node(node());
}
inline IntArrayRef Edge::sizes() const { return is_leaf() ? IntArrayRef(leaf()->sizes) : IntArrayRef(node()->sizes); }
inline ScalarType Edge::dtype() const { return is_leaf() ? leaf()->dtype() : node()->dtype; }

}  // namespace autograd
}  // namespace sinter

// What a backward pass inside a region called, so that a replay need not walk the graph again to find out.
#pragma once
#include <memory>
#include <vector>
#include "../autograd/node.h"
#include "trie.h"

namespace sinter {

class Context;

/// A backward pass is a function of the graph below its root. Where all of that was made by operators of the open region, which
/// are the recorded ones, and no hook looks on, the pass calls what it called before: a replay commits those events one after
/// another. Belongs to the event before the pass; immutable once published.
struct BackwardTape {
  static constexpr int32_t kNoEdge = -1;
  static constexpr int32_t leaf_edge(int32_t leaf) { return -2 - leaf; }  // else the number of a node
  struct Node {
    const Event* event;          // that made it
    std::vector<int32_t> edges;  // kNoEdge, leaf_edge or a node of the tape, per operand
    std::vector<Scalar> scalars;
  };
  /// What the pass does to a leaf: adds to the gradient that is there, or gives it one.
  struct Leaf {
    bool adds = false;
    int32_t grad_slot = -1;  // of the gradient after the pass
  };
  /// A gradient whose first use in the region is in the pass, by an in-place call.
  struct NewInput {
    int32_t event, leaf;
  };
  bool usable = false;  // false: the pass did something that a tape cannot
  bool retain_graph = false;
  std::vector<Node> nodes;  // the root first, in the order in which they are found
  std::vector<Leaf> leaves;
  std::vector<Event*> events;
  std::vector<const Event*> checked;  // of these, the ones whose operators look at values
  std::vector<NewInput> new_inputs;
  std::vector<Scalar> scalars;  // of all events, in order: functions of those of the nodes
  uint32_t ambient = 0;         // word and floating-point mode of the events
  std::unique_ptr<BackwardTape> next;
};

/// One backward pass from one root, with a gradient of one, to all leaves; grad mode is off. Made before the pass.
class TapedBackward {
 public:
  TapedBackward(autograd::Node* root, bool retain_graph);
  /// Does the whole pass from a tape. False: nothing was done, the graph is to be walked. @throws OutOfMemoryError.
  bool replay(Loc loc);
  /// After a pass that walked the graph: keeps what it called, where a replay can do without the walk.
  void record();

 private:
  bool finds(const BackwardTape& tape);
  bool describe(BackwardTape& tape);
  bool may_commit(const BackwardTape& tape);
  bool values_hold(const BackwardTape& tape) const;
  void commit(const BackwardTape& tape, Loc loc);
  bool fill(BackwardTape& tape) const;
  bool fill_leaves(BackwardTape& tape) const;

  Context* const context_;
  autograd::Node* const root_;
  Event* const before_;  // the last event; null: no tape here
  const uint64_t region_;
  const bool retain_graph_;
  std::vector<autograd::Node*> nodes_;
  std::vector<TensorImpl*> leaves_;
  std::vector<TensorImpl*> grads_;        // of the leaves, before the pass
  std::unique_ptr<BackwardTape> making_;  // the graph of a pass that has no tape yet
};

}  // namespace sinter

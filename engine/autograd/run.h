// One backward pass.
#pragma once
#include <cstdint>
#include <map>
#include <vector>
#include "meta.h"

namespace sinter::autograd {

/// Where a pass starts: the edge of a tensor and its gradient; undefined: one, for tensors of one element.
struct Root {
  Edge edge;
  Tensor grad;
};

/// Finds the graph below the roots, counts how many gradients each node waits for, and runs the nodes, latest call first.
/// Objects are reused by their thread: all tables keep their memory.
class Run {
 public:
  struct Options {
    bool retain_graph = false;
    bool accumulate = true;  // into leaves; else only captured
    Loc loc;
  };

  /// `targets`: edges to restrict the pass to (empty: all leaves). Returns what arrived at each target when not accumulating.
  /// Where part of the graph was made in frames, the pass is a frame too, unless it is in one: its operators are one program.
  std::vector<Tensor> execute(std::vector<Root>& roots, const std::vector<Edge>& targets, const Options& options);
  bool active() const { return active_; }

 private:
  /// A node or leaf of the graph. `grad` sums what has arrived.
  struct Task {
    uintptr_t key = 0;
    int32_t waiting = 0;
    bool fresh = false;  // grad's memory is nobody else's
    bool wanted = true;  // a gradient is of use here
    bool target = false;
    bool runs = true;  // its derivative is of use, not only what arrives
    Tensor grad;
    bool is_leaf() const { return key & 1; }
    Node* node() const { return reinterpret_cast<Node*>(key); }
    TensorImpl* leaf() const { return reinterpret_cast<TensorImpl*>(key & ~uintptr_t{1}); }
  };
  struct Slot {
    uintptr_t key = 0;
    uint32_t pass = 0, task = 0;
  };
  struct Ready {
    uint64_t seq;
    uint32_t task;
    friend bool operator<(const Ready& a, const Ready& b) { return a.seq < b.seq; }
  };

  void discover(const std::vector<Root>& roots);
  std::vector<Tensor> run(std::vector<Root>& roots, const std::vector<Edge>& targets);
  uint32_t task_of(uintptr_t key, bool& is_new);
  uint32_t known_task(uintptr_t key) const;
  void grow();
  void restrict_to(const std::vector<Edge>& targets);
  void drain();
  void run_node(uint32_t index);
  void gather(const Node& output, Tensor grad);
  void derive_custom(Node& node, Tensor* out);
  void differentiate(Node& node, const Tensor& grad, bool fresh);
  void differentiate_watched(Node& node, const Tensor& grad, Tensor* out);
  void deliver(const Edge& edge, Tensor grad, bool fresh);
  void finish_leaf(Task& task);
  void reset();

  std::vector<Task> tasks_;
  std::vector<Slot> table_;
  std::vector<Ready> ready_;
  std::vector<uint32_t> stack_;
  std::map<const Node*, std::vector<Tensor>> gathered_;  // gradients of the outputs of custom functions, by call
  uint32_t pass_ = 0;
  uint64_t frame_owner_ = 0;  // of the node nearest to the roots that was made in a frame
  bool active_ = false;
  Options options_;
};

/// Shape and type of `grad` made to be those of the tensor `edge` leads to. @throws AutogradError when that cannot be.
Tensor conform(Tensor grad, IntArrayRef sizes, ScalarType dtype, bool& fresh, Loc loc);
/// Gives a leaf its first gradient, as it is. False when it has one.
bool give_grad(TensorImpl* leaf, Tensor grad);
/// Adds to the .grad of a leaf, or keeps `grad` itself when `fresh` and laid out like the leaf (PyTorch's AccumulateGrad).
void accumulate_grad(TensorImpl* leaf, Tensor grad, bool fresh, Loc loc);
/// Calls each hook; a defined result is the gradient from there on. @throws AutogradError when a hook changes its shape.
Tensor run_hooks(const std::vector<HookEntry>& hooks, Tensor grad);
/// The derivative of one node into `out` (one tensor per operand).
void run_derivative(Node& node, const Tensor& grad, Tensor* out);

}  // namespace sinter::autograd

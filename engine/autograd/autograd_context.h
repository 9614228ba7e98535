// What the forward of a custom function leaves to its backward.
#pragma once
#include <any>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include "../tensor.h"

namespace sinter::autograd {

struct Node;
struct SavedVariables;
using variable_list = std::vector<Tensor>;

/// One call of a custom function, with LibTorch's names.
class AutogradContext {
 public:
  AutogradContext() = default;
  AutogradContext(const AutogradContext&) = delete;
  AutogradContext& operator=(const AutogradContext&) = delete;

  /// Anything that backward needs and that is no tensor.
  std::map<std::string, std::any> saved_data;
  /// In forward: tensors that backward needs, inputs, outputs or others. Saved when forward has returned; the last call counts.
  void save_for_backward(variable_list to_save) { to_save_ = std::move(to_save); }
  /// In backward: these, in their order. @throws AutogradError when they were freed, or written since.
  variable_list get_saved_variables() const;
  /// In forward: outputs that have no gradient.
  void mark_non_differentiable(variable_list outputs) { non_differentiable_ = std::move(outputs); }
  /// In forward: whether backward gets zeros (the default), or undefined tensors, for outputs that no gradient came to.
  void set_materialize_grads(bool value) { materialize_grads_ = value; }
  /// Whether a gradient of the i-th tensor among the arguments is of use.
  bool needs_input_grad(size_t i) const;

  /// Drops the saved tensors.
  void release() noexcept { saved_.reset(); }

 private:
  friend class FunctionCall;
  friend void run_custom(Node& node, variable_list grad_outputs, Tensor* out);
  const Node* node_ = nullptr;  // which owns this; null: nothing is recorded
  variable_list to_save_, non_differentiable_;
  std::shared_ptr<SavedVariables> saved_;
  bool materialize_grads_ = true;
};

/// The backward of a call: gradients of its outputs (missing or undefined: none came) to those of its tensor arguments.
/// @throws AutogradError when there are too few or too many, or one has a wrong shape.
void run_custom(Node& node, variable_list grad_outputs, Tensor* out);

}  // namespace sinter::autograd

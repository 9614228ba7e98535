// Calls of custom functions (function.h) in the graph. A call is a node whose edges are its tensor arguments; each differentiable
// output has a node of its own that leads to it, and whose gradient waits there for those of the others.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <typeinfo>
#include <vector>
#include "autograd_context.h"
#include "node.h"

namespace sinter::autograd {

/// What the engine knows of a custom function.
struct FunctionType {
  variable_list (*backward)(AutogradContext* context, variable_list grad_outputs);
  const std::type_info* type;
};

/// NodeExtra of a call.
struct CustomCall {
  struct Output {
    bool defined = false;
    ScalarType dtype = ScalarType::Undefined;
    SizeVec sizes;
  };
  explicit CustomCall(const FunctionType& f) : function(f) {}
  FunctionType function;
  AutogradContext context;
  std::vector<bool> is_tensor;  // by argument; each tensor of a list counts
  std::vector<Output> outputs;
  std::string name() const;
};

/// A call on its way: its arguments, then forward, then its outputs.
class FunctionCall {
 public:
  explicit FunctionCall(const FunctionType& function);
  template <class T>
  void add(const T& argument) {
    if constexpr (std::is_base_of_v<Tensor, T>) add_tensor(argument);
    else if constexpr (std::is_same_v<T, std::vector<Tensor>>)
      for (const Tensor& t : argument) add_tensor(t);
    else if constexpr (std::is_same_v<T, std::optional<Tensor>>) add_tensor(argument ? *argument : Tensor());
    else add_other();
  }
  /// All arguments are there.
  AutogradContext* begin();
  /// Makes what forward returned the outputs of the call.
  void finish(std::span<Tensor> outputs);

 private:
  void add_tensor(const Tensor& t);
  void add_other();
  void save(std::span<const Tensor> raw_outputs);
  bool shares_memory(std::span<const Tensor> outputs, size_t i) const;

  std::shared_ptr<CustomCall> call_;
  NodeRef node_;  // null: no gradient is wanted
  std::vector<Tensor> inputs_;
};

}  // namespace sinter::autograd

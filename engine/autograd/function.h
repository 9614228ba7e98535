// Custom functions with a derivative of their own, as torch::autograd::Function.
#pragma once
#include <type_traits>
#include <utility>
#include "../ambient.h"
#include "custom_call.h"

namespace sinter::autograd {

/// A function is a type with two static members:
///
///   struct Scale : sinter::autograd::Function<Scale> {
///     static Tensor forward(AutogradContext* ctx, const Tensor& x, double by) {
///       ctx->saved_data["by"] = by;
///       return x * by;
///     }
///     static variable_list backward(AutogradContext* ctx, variable_list grad_outputs) {
///       return {grad_outputs[0] * std::any_cast<double>(ctx->saved_data["by"]), Tensor()};
///     }
///   };
///   Tensor y = Scale::apply(x, 3.0);
///
/// forward runs in no-grad mode and returns a Tensor or a variable_list. Its tensor arguments are those of type Tensor,
/// std::optional<Tensor> and std::vector<Tensor>. backward returns one gradient for each argument (for each tensor of a list),
/// undefined where there is none; under create_graph it runs in grad mode and can itself be differentiated. Both are code like
/// any other in a compiled function. Backward passes of several threads through one call share its context. Writes of forward to
/// its inputs are not told to autograd (there is no mark_dirty); an output that shares memory with an input or another output
/// refuses in-place calls.
template <class T>
class Function {
 public:
  /// @throws what forward throws. The backward pass: AutogradError for a wrong number or shape of gradients.
  template <class... A>
  static auto apply(A&&... args) {
    FunctionCall call({[](AutogradContext* context, variable_list grad_outputs) -> variable_list {
                         return T::backward(context, std::move(grad_outputs));
                       },
                       &typeid(T)});
    (call.add(std::as_const(args)), ...);
    AutogradContext* const context = call.begin();
    auto result = [&] {
      const NoGradGuard no_grad;
      return T::forward(context, std::forward<A>(args)...);
    }();
    using Result = decltype(result);
    static_assert(std::is_same_v<Result, Tensor> || std::is_same_v<Result, variable_list>,
                  "forward returns a Tensor or a variable_list");
    if constexpr (std::is_same_v<Result, Tensor>) call.finish({&result, 1});
    else call.finish(result);
    return result;
  }
};

}  // namespace sinter::autograd

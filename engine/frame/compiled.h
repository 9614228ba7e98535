// sinter::compile: wraps eager code so that its operators run as fused native code.
#pragma once
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include "../tensor.h"
#include "compiled_state.h"
#include "frame.h"

namespace sinter {

namespace detail {

// Collects the addresses of tensor arguments: messages name inputs by them.
struct ArgumentList {
  static constexpr int kMost = 8;
  TensorImpl* impls[kMost];
  int n = 0;
  template <class T>
  void add(const T& arg) {
    if constexpr (std::is_same_v<T, Tensor>)
      if (n < kMost) impls[n++] = arg.impl();
  }
};

/// A module holder or a pointer to a module.
template <class F>
concept IsModule = requires {
  typename F::ContainedType;
}
|| requires { typename F::element_type; };

}  // namespace detail

/// A callable that runs `f` inside a frame. Copies share what was compiled; calls from several threads are independent.
/// Calls throw what f throws, at the place where eager would, plus OutOfMemoryError (also in place of what f throws, when memory
/// runs out for the operators before that), and the CompileError family under fullgraph, fail_on_recompile and
/// SINTER_FAIL_ON_RECOMPILE_LIMIT.
template <class F>
class Compiled {
 public:
  Compiled(F f, CompileOptions options, Loc loc) : f_(std::move(f)), state_(CompiledHandle::make(std::move(options), loc)) {}

  template <class... A>
  decltype(auto) operator()(A&&... args) {
    detail::ArgumentList list;
    (list.add(std::as_const(args)), ...);
    FrameScope frame(state_, list.impls, list.n);
    if (!frame.is_open()) return invoke(std::forward<A>(args)...);
    using R = decltype(invoke(std::forward<A>(args)...));
    try {
      if constexpr (std::is_void_v<R>) {
        invoke(std::forward<A>(args)...);
        frame.finish();
      } else {
        R result = invoke(std::forward<A>(args)...);
        frame.finish();
        return static_cast<R>(std::forward<R>(result));
      }
    } catch (...) {
      frame.abandon();
      throw;
    }
  }

  /// Forgets everything recorded and compiled.
  void reset() { state_.get().reset(); }
  CompileStats stats() const { return state_.get().stats(); }
  /// The same of backward passes that run outside of compiled calls, through what was made in this function's: each is recorded
  /// and compiled as one program, with the eager operators around it.
  CompileStats backward_stats() const { return state_.get().backward_stats(); }
  CompiledState& state() const { return state_.get(); }
  F& function() { return f_; }

 private:
  template <class... A>
  decltype(auto) invoke(A&&... args) {
    // Modules that take the place of their call get compile()'s: the nearest one in the user's code.
    if constexpr (detail::IsModule<F> && requires { f_->forward(std::forward<A>(args)..., Loc()); })
      return f_->forward(std::forward<A>(args)..., state_.get().loc);
    else if constexpr (std::is_invocable_v<F&, A...>) return std::invoke(f_, std::forward<A>(args)...);
    else return f_->forward(std::forward<A>(args)...);
  }
  F f_;
  CompiledHandle state_;
};

/// Wraps a callable, or a module (its forward). The callable is copied; what it captures by reference stays shared.
template <class F>
Compiled<std::decay_t<F>> compile(F&& f, CompileOptions options = {}, Loc loc = Loc::current()) {
  return {std::forward<F>(f), std::move(options), loc};
}

/// Says that a dimension of a tensor will vary: compiled calls it is an input of are compiled for any size of it (between `min`
/// and `max`, inclusive) from the first time on, as torch._dynamo.mark_dynamic. A size outside of these bounds is a guard that
/// does not hold: it is compiled apart. Only says how to compile: it changes no result, and views and copies are not marked.
/// Without effect on tensors that are not row-major, on results of an open compiled call, and under `dynamic = false`.
/// @throws IndexError when there is no such dimension (negative ones count from the end), ValueError unless 0 <= min <= max.
void mark_dynamic(const Tensor& tensor, int64_t dim, std::optional<int64_t> min = {}, std::optional<int64_t> max = {});

/// Ends the open region here: everything pending comes into being. Nothing outside a frame.
void graph_break(Loc loc = Loc::current());
/// As graph_break; says that memory behind raw pointers must be up to date.
void sync(Loc loc = Loc::current());
/// Forgets every Compiled's recordings and the process-wide program cache.
void reset();
/// True inside a compiled call of this thread.
bool is_compiling();

}  // namespace sinter

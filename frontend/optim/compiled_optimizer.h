// An optimizer whose step runs as compiled code, beside a loop that does not.
#pragma once
#include <concepts>
#include "../../engine/frame/compiled.h"
#include "optimizer.h"

namespace sinter {

/// step() and zero_grad() of an optimizer, each as one compiled region over all its parameters: one kernel does every parameter
/// that is updated by the same formula, however many there are and whatever their sizes. Rates and other options are read at
/// every step; changing them, a schedule or load_state_dict() recompiles nothing. The optimizer must outlive it; it may be
/// stepped directly too.
class CompiledOptimizer {
 public:
  CompiledOptimizer(optim::Optimizer& optimizer, CompileOptions options, Loc loc);

  /// As Optimizer::step. A closure runs inside the compiled region: with forward and backward in it the whole step is one.
  Tensor step(const optim::Optimizer::LossClosure& closure = nullptr, Loc loc = Loc::current()) { return step_(closure, loc); }
  Tensor operator()(const optim::Optimizer::LossClosure& closure = nullptr, Loc loc = Loc::current()) {
    return step_(closure, loc);
  }
  /// As Optimizer::zero_grad.
  void zero_grad(bool set_to_none = false, Loc loc = Loc::current()) { zero_grad_(set_to_none, loc); }
  optim::Optimizer& optimizer() const { return optimizer_; }
  /// Of step().
  CompileStats stats() const { return step_.stats(); }
  CompiledState& state() const { return step_.state(); }
  /// Forgets everything recorded and compiled.
  void reset();

 private:
  struct Step {
    optim::Optimizer* optimizer;
    Tensor operator()(const optim::Optimizer::LossClosure& closure, Loc loc) const { return optimizer->step(closure, loc); }
  };
  struct ZeroGrad {
    optim::Optimizer* optimizer;
    void operator()(bool set_to_none, Loc loc) const { optimizer->zero_grad(set_to_none, loc); }
  };
  optim::Optimizer& optimizer_;
  Compiled<Step> step_;
  Compiled<ZeroGrad> zero_grad_;
};

/// Wraps an optimizer (which is not copied).
template <std::derived_from<optim::Optimizer> O>
CompiledOptimizer compile(O& optimizer, CompileOptions options = {}, Loc loc = Loc::current()) {
  return {optimizer, std::move(options), loc};
}

}  // namespace sinter

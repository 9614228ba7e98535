#include "compiled_optimizer.h"

namespace sinter {

namespace {
CompileOptions named(CompileOptions options, const char* fallback, const char* suffix) {
  options.name = options.name.empty() ? fallback : options.name + suffix;
  return options;
}
}  // namespace

CompiledOptimizer::CompiledOptimizer(optim::Optimizer& optimizer, CompileOptions options, Loc loc)
    : optimizer_(optimizer),
      step_({&optimizer}, named(options, "optimizer_step", ""), loc),
      zero_grad_({&optimizer}, named(options, "zero_grad", "_zero_grad"), loc) {}

void CompiledOptimizer::reset() {
  step_.reset();
  zero_grad_.reset();
}

}  // namespace sinter

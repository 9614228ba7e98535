// sinter::explain: what one call of a compiled function did.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "compiled.h"

namespace sinter {

/// One region of the explained call, in the order in which they closed.
struct RegionExplanation {
  int number = 0;                      // within the compiled function; -1: operators that ran eager outside of any
  std::vector<std::string> ops;        // "linear (model.cpp:12)"
  std::vector<std::string> guards;     // "input 0 'x': f32[10, 5], first used at model.cpp:12"
  std::vector<std::string> live_outs;  // materialised because still referenced
  std::vector<std::string> kernels;    // program steps; empty when interpreted
  std::vector<StepCost> costs;         // what each step that ran moved and computed, and its time in this call
  int64_t arena_bytes = 0;             // planned for temporaries and scratch memory
  int64_t output_bytes = 0;            // of results that outlive the region
  std::vector<std::string> symbols;    // "s0 = dimension 0 of input 0": of a program for many sizes
  // Bytes of results that only autograd holds, for a backward pass outside of the region: kept, and computed again there.
  int64_t saved_bytes = 0, recomputed_bytes = 0;
  std::string break_name, break_text, hint;
  Loc break_loc;
  bool interpreted = false, compiled_now = false;
  double compile_us = 0;
  std::vector<std::pair<std::string, std::string>> assembly;  // each kernel: name, annotated machine code
};

/// PyTorch's ExplainOutput, for one call.
struct Explanation {
  std::vector<RegionExplanation> regions;
  int graph_count = 0, graph_break_count = 0, op_count = 0;
  double call_us = 0;
  machine::Rates rates;  // of this machine: what steps are held against
  std::string str() const;
};
std::ostream& operator<<(std::ostream& out, const Explanation& e);

namespace detail {
class ExplainScope {
 public:
  explicit ExplainScope(CompiledState& state);
  ~ExplainScope();
  Explanation finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
}  // namespace detail

/// `explain(f)(args...)` calls f once (it compiles what is not compiled yet) and says what happened. f: what compile() gave.
template <class F>
requires requires(F& f) { f.state().tries(); }
auto explain(F& f) {
  return [&f](auto&&... args) {
    detail::ExplainScope scope(f.state());
    f(std::forward<decltype(args)>(args)...);
    return scope.finish();
  };
}

}  // namespace sinter

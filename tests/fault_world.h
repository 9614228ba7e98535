// One scenario of the fault tests: a function run eager and compiled on the same tensors, and the loop over its allocations.
#pragma once
#include <functional>
#include <string>
#include <vector>
#include "support.h"

namespace sinter::test {

/// What one trial works on; made anew for each.
class World {
 public:
  int phase = 0;                     // which call of the scenario this is: bodies choose shapes by it
  std::vector<Tensor> results;       // filled by the call
  std::function<void()> eager;       // the body as it is
  std::function<void()> compiled;    // the body in a compiled function
  std::function<void()> on_restore;  // what restore() does beyond the watched tensors

  World() { results.reserve(kMostResults); }

  /// A tensor that calls write: compared after each, put back before each. Its gradient likewise.
  Tensor watch(Tensor t) {
    watched_.push_back({t, t.detach().clone(), {}});
    return t;
  }
  /// `f(World&)` leaves its results in `results`.
  template <class F>
  void body(F f, CompileOptions options = {}) {
    eager = [this, f]() mutable { results.clear(), f(*this); };
    auto c = compile(f, std::move(options));
    compiled = [this, c]() mutable { results.clear(), c(*this); };
  }
  /// In a body between operators that write watched tensors: eager's values there are what a failed call may leave.
  void mark() {
    if (!marking_) return;
    for (Watched& w : watched_) w.allowed.push_back(bits(w.tensor));
  }
  void restore();
  /// The eager run: what the call must answer in this phase.
  std::string expect();
  std::string observe();
  /// After a failed call: empty, or which watched tensor has a value that eager never passes through.
  std::string unexpected_state();

 private:
  static constexpr size_t kMostResults = 64;
  struct Watched {
    Tensor tensor, initial;
    std::vector<std::string> allowed;
  };
  std::vector<Watched> watched_;
  bool marking_ = false;
};

struct Scenario {
  const char* name;
  std::function<void(World&)> make;
  int phases = 1;           // the last one is the call that meets the fault
  int64_t most_k = 20'000;  // faults tried at most, spread over all allocations
};

/// Fails every allocation of the scenario's last phase in turn. Empty, or what went wrong first.
std::string try_all_faults(const Scenario& scenario);
/// The same for the tensors' bytes (fail_allocation_after).
std::string try_all_byte_faults(const Scenario& scenario);

}  // namespace sinter::test

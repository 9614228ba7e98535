#include "fault_world.h"
#include <exception>
#include <thread>
#include "engine/program/program.h"
#include "fault_injection.h"
#include "runtime/allocator.h"

namespace sinter::test {

void World::restore() {
  const NoGradGuard no_grad;
  results.clear();
  for (Watched& w : watched_) {
    w.tensor.copy_(w.initial);
    w.tensor.mutable_grad().reset();
  }
  manual_seed(11);
  if (on_restore) on_restore();
}

std::string World::observe() {
  std::string all;
  for (const Tensor& r : results) all += (r.defined() ? bits(r) : "none") + ";";
  for (const Watched& w : watched_) all += bits(w.tensor) + (w.tensor.grad().defined() ? bits(w.tensor.grad()) : "none") + ";";
  return all + std::to_string(Generator::get_default().counter());
}

std::string World::expect() {
  restore();
  for (Watched& w : watched_) w.allowed.clear();
  marking_ = true;
  mark();
  eager();
  mark();
  marking_ = false;
  return observe();
}

std::string World::unexpected_state() {
  for (size_t i = 0; i < watched_.size(); ++i) {
    const Watched& w = watched_[i];
    if (std::find(w.allowed.begin(), w.allowed.end(), bits(w.tensor)) == w.allowed.end())
      return fmt::format("watched tensor {} is neither as before nor as eager leaves it: {}", i, w.tensor.str());
  }
  return {};
}

namespace {

struct Fault {
  int64_t k;
  FaultScope::Mode mode = FaultScope::kOne;
  bool bytes = false;  // the k-th tensor's bytes instead of the k-th allocation
};
struct Trial {
  int64_t allocations = 0;
  bool fired = false, threw = false;
  std::string problem;
};

void faulty_call(World& w, Fault f, Trial& t) {
  FaultScope scope(f.bytes ? 0 : f.k, f.mode);
  if (f.bytes) fail_allocation_after(f.k);
  try {
    w.compiled();
  } catch (const Error&) { t.threw = true; } catch (const std::exception& e) {
    const FaultPause pause;
    t.threw = true;
    t.problem = fmt::format("an untyped exception: {}", e.what());
  }
  fail_allocation_after(0);
  t.fired = f.bytes ? t.threw : scope.fired();
  t.allocations = scope.allocations();
}

/// The next two calls, and the first phase's, must be right.
std::string check_next_calls(World& w, const std::string& expected, const std::string& expected_first, int last) {
  for (int i = 0; i < 2; ++i) {
    w.restore();
    w.compiled();
    if (w.observe() != expected) return fmt::format("call {} after the fault differs from eager", i + 1);
  }
  w.phase = 0;
  w.restore();
  w.compiled();
  if (w.observe() != expected_first) return "the first phase differs from eager after the fault";
  w.phase = last;
  return {};
}

/// Eager's answer, found without filling this thread's caches: in the trial each object is a real allocation.
std::string expect_elsewhere(World& w) {
  std::string answer;
  std::thread([&] {
    answer = w.expect();
    w.results.clear();
  }).join();
  return answer;
}

void run_trial(const Scenario& s, Fault f, Trial& t) {
  World w;
  s.make(w);
  const std::string expected_first = expect_elsewhere(w);
  for (w.phase = 0; w.phase < s.phases - 1; ++w.phase) {
    w.restore();
    w.compiled();
  }
  const std::string expected = expect_elsewhere(w);
  w.restore();
  faulty_call(w, f, t);
  if (!t.problem.empty()) return;
  if (current_frame != nullptr) t.problem = "the frame is still open";
  else if (!t.threw && w.observe() != expected) t.problem = "the call returned something else than eager";
  else if (t.threw) t.problem = w.unexpected_state();
  if (t.problem.empty()) t.problem = check_next_calls(w, expected, expected_first, s.phases - 1);
}

/// On a thread of its own, whose caches are empty: then each object is a real allocation.
Trial try_fault(const Scenario& s, Fault f) {
  Trial t;
  clear_program_cache();
  std::thread([&] {
    try {
      run_trial(s, f, t);
    } catch (const std::exception& e) { t.problem = fmt::format("after the fault: {}", e.what()); }
  }).join();
  if (!t.problem.empty())
    t.problem =
        fmt::format("{}: {} {} of {}: {}", s.name, f.bytes ? "bytes of tensor" : "allocation", f.k, t.allocations, t.problem);
  return t;
}

/// Blocks held when nothing of the scenario is left.
int64_t settled_blocks() {
  clear_program_cache();
  release_cached_memory();
  return live_blocks();
}

}  // namespace

std::string try_all_faults(const Scenario& s) {
  int64_t n = 0;
  for (int i = 0; i < 3; ++i) {  // what is made once in the process is made here
    const Trial t = try_fault(s, {0});
    if (!t.problem.empty()) return t.problem;
    n = t.allocations;
  }
  const int64_t step = std::max<int64_t>(1, (n + s.most_k - 1) / s.most_k);
  const int64_t before = settled_blocks();
  for (int64_t k = 1; k <= n; k += step) {
    const int64_t at_k = settled_blocks();
    for (FaultScope::Mode mode : {FaultScope::kOne, FaultScope::kAllFrom}) {
      if (mode == FaultScope::kAllFrom && k % 7 != 0 && n > 300) continue;
      const Trial t = try_fault(s, {k, mode});
      if (!t.problem.empty()) return t.problem + (mode == FaultScope::kAllFrom ? " (all from there on)" : "");
    }
    if (const int64_t now = settled_blocks(); now != at_k && now > before)
      WARN(fmt::format("{}: allocation {} of {}: {} blocks more", s.name, k, n, now - at_k));
  }
  if (const int64_t after = settled_blocks(); after != before)
    return fmt::format("{}: {} blocks are left behind by {} faults", s.name, after - before, n);
  WARN(fmt::format("{}: {} allocations", s.name, n));
  return {};
}

std::string try_all_byte_faults(const Scenario& s) {
  for (int64_t k = 1; k < 500; ++k) {
    const Trial t = try_fault(s, {k, FaultScope::kOne, true});
    if (!t.problem.empty()) return t.problem;
    if (!t.fired) return k == 1 ? fmt::format("{}: no tensor got bytes", s.name) : "";
  }
  return {};
}

}  // namespace sinter::test

// Budgets that close a region and limits that send the rest of one to eager: nothing is lost, and they take effect.
// The environment is read once at start, so small limits are tested in processes of their own.
#include "child_process.h"
#include "runtime/env.h"
#include "runtime/log.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

bool passes_with(const std::string& variable, const std::string& tag) { return run_child(tag, variable) == 0; }

/// A function that takes another path for every number of turns.
Tensor turns(const Tensor& x, int n) {
  Tensor r = x;
  for (int i = 0; i < n; ++i) r = r.sin();
  return r + 1;
}

std::vector<std::string> breaks_of(const Explanation& e) {
  std::vector<std::string> names;
  for (const RegionExplanation& r : e.regions) names.push_back(r.break_name);
  return names;
}

}  // namespace

TEST_CASE("bytes allocated while a region is open close it") {
  // 80 tensors of 2 MiB made by the caller's code: what a region holds on to must not pile up. Their values are whatever the
  // memory held before, a NaN too: only a comparison makes a sure zero of that.
  const auto f = [](const Tensor& x) {
    Tensor r = x;
    for (int i = 0; i < 80; ++i) r = r + (empty({1 << 19}).select(0, 0) < 0) * 0;
    return r;
  };
  auto g = compile(f);
  const Tensor x = ones({3});
  for (int i = 0; i < 3; ++i) {
    const auto names = breaks_of(explain(g)(x));
    REQUIRE(std::count(names.begin(), names.end(), "budget_bytes") >= 1);
    REQUIRE(same_bits(g(x), x));
  }
}

TEST_CASE("a region of more operators than the budget is closed") { REQUIRE(passes_with("SINTER_REGION_OPS=10", "[ops-child]")); }
TEST_CASE("child: 10 operators a region", "[.][ops-child]") {
  auto g = compile([](const Tensor& x) { return turns(x, 25); });
  const Tensor x = randn({4});
  for (int i = 0; i < 3; ++i) {
    REQUIRE(breaks_of(explain(g)(x)) == std::vector<std::string>{"budget_ops", "budget_ops", "frame_end"});
    REQUIRE(same_bits(g(x), turns(x, 25)));
  }
}

// Before an in-place call is matched its operand may be copied, an event of its own. Where that reached the limit, the call was
// still replayed when its event was known from elsewhere: into a region that nobody closed.
TEST_CASE("an in-place call whose operand was copied at the recompile limit") {
  REQUIRE(passes_with("SINTER_REGION_OPS=2", "[copy-at-limit-child]"));
}
TEST_CASE("child: regions of two operators, one starts with the in-place call", "[.][copy-at-limit-child]") {
  const auto f = [](const Tensor& x, const Tensor& w, bool apart) {
    Tensor y;
    if (apart) {
      y = x * 2;
      graph_break();  // the next region starts with the copy
    } else {
      y = x * 2;  // the copy is the second operator, the next region starts with the in-place call
    }
    y.mul_(w);
    return y;
  };
  auto g = compile(f);
  const auto check = [&](int rank, bool apart) {
    const Tensor x = randn(std::vector<int64_t>(static_cast<size_t>(rank), 2));
    const Tensor v = randn({2}).requires_grad_(), w = v.detach().clone().requires_grad_();
    const Tensor eager = f(x, v, apart), compiled = g(x, w, apart);
    REQUIRE(same_bits(eager, compiled));
    eager.sum().backward();
    compiled.sum().backward();
    REQUIRE(same_bits(v.grad(), w.grad()));
  };
  for (int rank = 1; rank <= 8; ++rank) check(rank, true);
  for (int i = 0; i < 2; ++i)
    for (bool apart : {false, true}) check(9, apart);
  REQUIRE(g.stats().eager_fallbacks > 0);
}

TEST_CASE("the limit of variants in the process") {
  REQUIRE(passes_with("SINTER_ACCUMULATED_RECOMPILE_LIMIT=5", "[accumulated-child]"));
}
TEST_CASE("child: 5 variants in the process", "[.][accumulated-child]") {
  const Tensor x = randn({4});
  const auto path = [](const Tensor& t, double k, int n) { return turns(t * k, n); };
  auto a = compile(path), b = compile(path);
  for (int n = 0; n < 4; ++n)
    for (int i = 0; i < 3; ++i) {
      REQUIRE(same_bits(a(x, 2.0, n), path(x, 2.0, n)));
      REQUIRE(same_bits(b(x, 3.0, n), path(x, 3.0, n)));
    }
  REQUIRE(a.stats().eager_fallbacks + b.stats().eager_fallbacks > 0);
}

TEST_CASE("the limit of recorded events") { REQUIRE(passes_with("SINTER_NODE_LIMIT=100", "[nodes-child]")); }
TEST_CASE("child: 100 events a function", "[.][nodes-child]") {
  auto g = compile(turns);
  const Tensor x = randn({4});
  for (int n : {120, 5, 120, 7}) REQUIRE(same_bits(g(x, n), turns(x, n)));
  REQUIRE(g.stats().eager_fallbacks > 0);
}

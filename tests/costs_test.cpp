// What explain() says about costs: bytes, floating-point operations and times of each step, planned memory, rates of the machine.
#include "engine/program/costs.h"
#include "codegen/kernel.h"
#include "engine/frame/explain.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// The only region of a call that replays.
template <class F, class... A>
RegionExplanation explained(F f, const A&... args) {
  auto g = compile(f);
  const NoGradGuard no_grad;
  g(args...);
  Explanation e = explain(g)(args...);
  INFO(e.str());
  REQUIRE(e.regions.size() == 1);
  const RegionExplanation& r = e.regions[0];
  CHECK(r.costs.size() == r.kernels.size());
  for (const StepCost& cost : r.costs) {
    CHECK(cost.us > 0);
    CHECK(cost.attainable_us(e.rates) > 0);
  }
  return r;
}

bool compiles() { return codegen::jit_available(); }

}  // namespace

TEST_CASE("costs of a pointwise kernel: operands once, what is broadcast once") {
  if (!compiles()) return;
  const Tensor x = randn({30, 40}), row = randn({40});
  const auto r = explained([](const Tensor& a, const Tensor& b) { return (a + b) * a; }, x, row);
  REQUIRE(r.costs.size() == 1);
  CHECK(r.costs[0].name == r.kernels[0]);
  CHECK(r.costs[0].bytes == (2 * 30 * 40 + 40) * 4);
  CHECK(r.costs[0].flops == 2 * 30 * 40);
  CHECK_FALSE(r.costs[0].wide);
  CHECK(r.arena_bytes == 0);
  CHECK(r.output_bytes == 30 * 40 * 4);
}

TEST_CASE("costs of a kernel of any size, in float64") {
  if (!compiles()) return;
  const Tensor x = randn({1000}, kDouble);
  const auto r = explained([](const Tensor& a) { return a * a + 1; }, x);
  REQUIRE(r.costs.size() == 1);
  CHECK(r.costs[0].bytes == 2 * 1000 * 8);
  CHECK(r.costs[0].flops == 2 * 1000);
  CHECK(r.costs[0].wide);
}

TEST_CASE("costs of a reduction: an operation for each element, and those of each row") {
  if (!compiles()) return;
  const Tensor x = randn({20, 300});
  const auto r = explained([](const Tensor& a) { return a.sum(-1) * 2; }, x);
  REQUIRE(r.costs.size() == 1);
  CHECK(r.costs[0].bytes == (20 * 300 + 20) * 4);
  CHECK(r.costs[0].flops == 20 * 300 + 20);
}

TEST_CASE("costs of matrix products are 2 M N K, and temporaries are planned") {
  if (!compiles()) return;
  const Tensor x = randn({16, 64}), w = randn({64, 48}), v = randn({48, 8});
  const auto r = explained([](const Tensor& a, const Tensor& b, const Tensor& c) { return relu(a.mm(b) + 1).mm(c); }, x, w, v);
  double flops = 0;
  for (const StepCost& cost : r.costs)
    if (cost.name.find("mm") != std::string::npos) flops += cost.flops;
  CHECK(flops >= 2 * 16 * (64 * 48 + 48 * 8));
  CHECK(flops <= 2 * 16 * (64 * 48 + 48 * 8) + 2 * 16 * 48);  // what is fused into a product comes on top
  CHECK(r.arena_bytes >= 16 * 48 * 4);
  CHECK(r.output_bytes == 16 * 8 * 4);
}

TEST_CASE("the text has a line for each step, and the planned memory") {
  if (!compiles()) return;
  auto f = compile([](const Tensor& a) { return a.exp() + 1; });
  const Explanation e = explain(f)(randn({50}));
  CHECK_THAT(e.str(), Catch::Contains("Costs:") && Catch::Contains("400 bytes") && Catch::Contains(" attainable (") &&
                          Catch::Contains("Planned memory: 0 bytes of temporaries, 200 bytes of results"));
}

TEST_CASE("the attainable time is that of the slower of arithmetic and memory") {
  machine::Rates rates;
  rates.flops_f32 = 100e9, rates.flops_f64 = 50e9;
  const double capacities[] = {1e3, 1e6, 1e9, 1e300};
  for (int i = 0; i < 4; ++i) rates.levels[i] = {capacities[i], 200e9 / (i + 1)};
  StepCost cost;
  cost.bytes = 1e6, cost.flops = 1e6;
  CHECK(cost.attainable_us(rates) == Approx(10.0));  // both
  cost.flops = 2e6;
  CHECK(cost.attainable_us(rates) == Approx(20.0));
  CHECK_FALSE(cost.memory_bound(rates));
  cost.wide = true;
  CHECK(cost.attainable_us(rates) == Approx(40.0));
  cost.flops = 0;
  CHECK(cost.memory_bound(rates));
  cost.bytes = 2e9;
  CHECK(cost.attainable_us(rates) == Approx(2e9 / 50e3));
}

TEST_CASE("the machine's rates are measured once, for each instruction set") {
  for (const Isa level : {Isa::Avx2, Isa::Avx512}) {
    if (level > detected_isa()) continue;
    const machine::Rates& rates = machine::measured_rates(level);
    CHECK(rates.flops_f32 > 0);
    CHECK(rates.flops_f64 > 0);
    for (const auto& l : rates.levels) CHECK(l.rate > 0);
    CHECK(&machine::measured_rates(level) == &rates);
  }
  CHECK(machine::measured_rates(Isa::None).flops_f32 == 0);
}

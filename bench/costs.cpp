// Costs of the engine itself, apart from any kernel.
//
// The replayed operators' results are dropped before the region closes, so nothing is alive there and no kernel runs: what is
// left is opening the frame, the compares, and the pooled tensors. A long call less a short one gives the cost of an operator.
#include <sinter/sinter.h>
#include <array>
#include "cold.h"
#include "suites.h"

namespace bench {
namespace {
using sinter::Tensor;

constexpr int kOps = 64;
constexpr int kCallsPerBatch = 50;
constexpr int kSamples = 40;

/// `ops` operators, every second one with two tensors; the result is dropped. Returns a plain number.
int dead_chain(const Tensor& x, int ops) {
  Tensor y = x;
  for (int i = 0; i < ops; i += 2) {
    y = sinter::relu(y);
    y = y + x;
  }
  return ops;
}

/// The best of a few batches of calls: an interruption must not end up in a difference of two times.
template <class F>
double seconds_per_call(F& f, int argument) {
  double best = 1;
  for (int batch = 0; batch < 5; ++batch) {
    best = std::min(best, call_seconds([&] {
                      int sum = 0;
                      for (int i = 0; i < kCallsPerBatch; ++i) sum += f(argument);
                      return sum;
                    }));
  }
  return best / kCallsPerBatch;
}

/// Sets the time to ((a call of `more` with kOps + 2) - (a call of `less` with 2)) / kOps.
template <class More, class Less>
void time_difference(benchmark::State& state, More& more, Less& less) {
  for (int i = 0; i < 5; ++i) more(kOps + 2), less(2);
  for (auto _ : state) {
    const double difference = seconds_per_call(more, kOps + 2) - seconds_per_call(less, 2);
    state.SetIterationTime(std::max(0.0, difference) / kOps);
  }
}

/// Frame open and close around nothing.
void frame(benchmark::State& state) {
  auto f = sinter::compile([](int v) { return v; });
  int v = f(1);
  for (auto _ : state) benchmark::DoNotOptimize(v = f(v));
}

/// One replayed operator of a chain on a small tensor.
void replay(benchmark::State& state) {
  sinter::NoGradGuard no_grad;
  const Tensor x = sinter::randn({16});
  auto longer = sinter::compile([&x](int ops) { return dead_chain(x, ops); });
  auto shorter = sinter::compile([&x](int ops) { return dead_chain(x, ops); });
  time_difference(state, longer, shorter);
}

/// The same with an operand that requires grad: autograd's nodes are built and dropped.
void replay_grad(benchmark::State& state) {
  const Tensor x = sinter::randn({16}, sinter::TensorOptions().requires_grad(true));
  auto longer = sinter::compile([&x](int ops) { return dead_chain(x, ops); });
  auto shorter = sinter::compile([&x](int ops) { return dead_chain(x, ops); });
  time_difference(state, longer, shorter);
}

/// An input's guard and binding: a chain whose every operator has an input of its own, less one that repeats a single input.
void guard(benchmark::State& state) {
  sinter::NoGradGuard no_grad;
  std::array<Tensor, kOps> inputs;
  for (Tensor& t : inputs) t = sinter::randn({16});
  auto sum_of = [&inputs](int distinct) {
    Tensor y = inputs[0];
    for (int i = 0; i < kOps; ++i) y = y + inputs[i % distinct];
    return distinct;
  };
  auto all = sinter::compile(sum_of);
  auto one = sinter::compile(sum_of);
  for (int i = 0; i < 5; ++i) all(kOps), one(1);
  for (auto _ : state) {
    const double difference = seconds_per_call(all, kOps) - seconds_per_call(one, 1);
    state.SetIterationTime(std::max(0.0, difference) / (kOps - 1));
  }
}

/// One replayed operator, frame included, after 4 MiB of other memory were touched.
void replay_cold(benchmark::State& state) {
  sinter::NoGradGuard no_grad;
  const Tensor x = sinter::randn({16});
  auto f = sinter::compile([&x](int ops) { return dead_chain(x, ops); });
  for (int i = 0; i < 5; ++i) f(kOps);
  for (auto _ : state) state.SetIterationTime(cold_call_seconds([&] { return f(kOps); }) / kOps);
}

}  // namespace

void register_costs() {
  benchmark::RegisterBenchmark("frame_ns", frame);
  benchmark::RegisterBenchmark("replay_ns_per_op", replay)->UseManualTime()->Iterations(kSamples);
  benchmark::RegisterBenchmark("replay_grad_ns_per_op", replay_grad)->UseManualTime()->Iterations(kSamples);
  benchmark::RegisterBenchmark("guard_ns_per_input", guard)->UseManualTime()->Iterations(kSamples);
  benchmark::RegisterBenchmark("replay_cold_ns_per_op", replay_cold)->UseManualTime()->Iterations(500);
}

}  // namespace bench

// What training costs beside time: programs compiled in an epoch, memory kept by thousands of steps, the most memory of a step.
#include "engine/frame/verify.h"
#include "fault_injection.h"
#include "runtime/allocator.h"
#include "training_world.h"

using namespace sinter;
using namespace sinter::test;

namespace {

struct NetImpl : nn::Module {
  NetImpl(int64_t in, int64_t hidden) {
    first = register_module("first", nn::Linear(in, hidden));
    second = register_module("second", nn::Linear(hidden, hidden));
    third = register_module("third", nn::Linear(hidden, 10));
  }
  Tensor forward(const Tensor& x) { return third(relu(second(relu(first(x))))); }
  nn::Linear first{nullptr}, second{nullptr}, third{nullptr};
};
SINTER_MODULE(Net);

/// A training in one of the ways; outside, the optimizer is compiled too.
class Training {
 public:
  Training(Way way, int64_t in, int64_t hidden) : net_(in, hidden), sgd_(net_->parameters(), optim::SGDOptions(0.05)) {
    const auto step = [](auto& forward, auto& update, const Tensor& x, const Tensor& y) {
      const Tensor loss = nn::functional::cross_entropy(forward(x), y);
      update.zero_grad();
      loss.backward();
      update.step();
      return loss;
    };
    step_ = [this, step](const Tensor& x, const Tensor& y) { return step(net_, sgd_, x, y); };
    if (way == Way::kInside) {
      auto whole = compile(step_);
      step_ = whole;
      counts_ = [whole] { return std::vector{whole.stats().regions_compiled}; };
    } else if (way == Way::kOutside) {
      auto forward = compile(net_);
      auto update = compile(sgd_);
      step_ = [step, forward, update](const Tensor& x, const Tensor& y) mutable { return step(forward, update, x, y); };
      counts_ = [forward, update] {
        return std::vector{forward.stats().regions_compiled, forward.backward_stats().regions_compiled,
                           update.stats().regions_compiled};
      };
    }
  }
  Training(const Training&) = delete;

  Tensor step(const Tensor& x) { return step_(x, randint(0, 10, {x.size(0)}, kLong)); }
  optim::SGD& optimizer() { return sgd_; }
  /// Programs compiled so far, of each compiled function.
  std::vector<int64_t> compiled() const { return counts_(); }

 private:
  Net net_;
  optim::SGD sgd_;
  std::function<Tensor(const Tensor&, const Tensor&)> step_;
  std::function<std::vector<int64_t>()> counts_;
};

/// The heap's bytes without those kept for reuse.
int64_t bytes_in_use() {
  release_cached_memory();
  return live_bytes();
}

}  // namespace

TEST_CASE("an epoch with a schedule and a smaller last batch: two programs in the first, none from the third on") {
  for (const Way way : {Way::kInside, Way::kOutside}) {
    Training training(way, 12, 16);
    optim::ExponentialLR schedule(training.optimizer(), 0.9);
    std::vector<int64_t> before_third;
    for (int epoch = 0; epoch < 6; ++epoch) {
      INFO("epoch " << epoch);
      for (int batch = 0; batch < 10; ++batch) training.step(randn({batch == 9 ? 3 : 8, 12}));
      schedule.step();
      if (epoch == 0)
        for (const int64_t n : training.compiled()) {
          CHECK(n >= 1);
          CHECK(n <= 2);
        }
      if (epoch == 1) before_third = training.compiled();
    }
    CHECK(training.compiled() == before_third);
  }
}

TEST_CASE("thousands of steps keep nothing") {
  for (const Way way : {Way::kEager, Way::kInside, Way::kOutside}) {
    Training training(way, 12, 16);
    optim::ExponentialLR schedule(training.optimizer(), 0.999);
    const auto steps = [&](int n) {
      for (int i = 0; i < n; ++i) {
        training.step(randn({i % 10 == 9 ? 3 : 8, 12}));
        if (i % 10 == 9) schedule.step();
      }
      return bytes_in_use();
    };
    const int64_t before = steps(200);
    CHECK(steps(3000) <= before);
  }
}

TEST_CASE("a compiled step needs no more memory than an eager one") {
  const auto peak_of = [](Way way) {
    const Tensor x = randn({64, 784});
    const int64_t before = bytes_in_use();
    Training training(way, 784, 512);
    for (int i = 0; i < 5; ++i) training.step(x);
    release_cached_memory();
    reset_peak_bytes();
    training.step(x);
    return peak_bytes() - before;
  };
  const int64_t eager = peak_of(Way::kEager), inside = peak_of(Way::kInside);
  INFO("eager " << eager << " bytes, compiled " << inside);
  CHECK(eager > 2 * (784 * 512 + 512 * 512) * 4);    // parameters and gradients
  if (verify_interval <= 0) CHECK(inside <= eager);  // what is verified runs twice
}

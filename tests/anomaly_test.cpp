// Anomaly mode: what it throws and says, in eager code, in a compiled step, and for a backward outside of a compiled forward.
#include <cmath>
#include <limits>
#include "runtime/log.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;
using autograd::AnomalyMode;
using autograd::DetectAnomalyGuard;

namespace {

std::string& logged() {
  static std::string text;
  return text;
}
struct Capture {
  Capture() {
    logged().clear();
    set_logs("breaks");
    set_log_sink([](std::string_view line) { logged() += std::string(line) + "\n"; });
  }
  ~Capture() {
    set_log_sink(nullptr);
    set_logs("");
  }
};

const std::string kHere = "anomaly_test.cpp:";

// The derivative of sqrt at 0 is infinite, and 0 * inf is NaN.
const int kSqrtLine = __LINE__ + 1;
Tensor scaled_root(const Tensor& x) { return x.sqrt() * 0.0; }
const std::string kNan = "AutogradError: Function 'Sqrt' returned nan values in its 0th output. The forward call was sqrt at " +
                         kHere + std::to_string(kSqrtLine) + ".";

Tensor zeros_leaf() { return zeros({3}).requires_grad_(); }

}  // namespace

TEST_CASE("the mode, its guard, other modes changed meanwhile") {
  REQUIRE(!AnomalyMode::is_enabled());
  REQUIRE(AnomalyMode::should_check_nan());
  {
    const DetectAnomalyGuard outer;
    REQUIRE(AnomalyMode::is_enabled());
    {
      const DetectAnomalyGuard inner(false);
      REQUIRE(AnomalyMode::is_enabled());
      REQUIRE(!AnomalyMode::should_check_nan());
      const NoGradGuard no_grad;
      AnomalyMode::set_enabled(false);
    }
    REQUIRE(AnomalyMode::is_enabled());
    REQUIRE(AnomalyMode::should_check_nan());
  }
  REQUIRE(!AnomalyMode::is_enabled());
  {
    const NoGradGuard no_grad;
    AnomalyMode::set_enabled(true);
    set_default_dtype(kDouble);
  }
  CHECK(AnomalyMode::is_enabled());  // a guard gives back its own bit only
  CHECK(default_dtype() == kDouble);
  AnomalyMode::set_enabled(false);
  set_default_dtype(kFloat);
}

TEST_CASE("a NaN in a gradient names function, output, operator and line") {
  const auto step = [](const Tensor& x) { scaled_root(x).sum().backward(); };
  const auto forward = [](const Tensor& x) { return scaled_root(x); };
  const Tensor plain = zeros_leaf();
  step(plain);
  REQUIRE(std::isnan(plain.grad()[0].item<float>()));

  auto whole = compile(step);
  auto half = compile(forward);
  const auto outside = [&](const Tensor& x) { half(x).sum().backward(); };
  for (int i = 0; i < 3; ++i) {
    REQUIRE(error_of([&] { whole(zeros_leaf()); }).empty());
    REQUIRE(error_of([&] { outside(zeros_leaf()); }).empty());
    const auto known = compiles(whole) + compiles(half) + half.backward_stats().regions_compiled;
    {
      const DetectAnomalyGuard guard;
      const Tensor x = zeros_leaf();
      REQUIRE(error_of([&] { step(x); }) == kNan);
      REQUIRE(!x.grad().defined());  // thrown before the gradient was kept
      const Tensor y = zeros_leaf();
      REQUIRE(error_of([&] { whole(y); }) == kNan);
      REQUIRE(!y.grad().defined());
      REQUIRE(error_of([&] { outside(zeros_leaf()); }) == kNan);
    }
    REQUIRE(compiles(whole) + compiles(half) + half.backward_stats().regions_compiled == known);
    // On for the backward pass alone: the forward's program still is the compiled one.
    const Tensor z = half(zeros_leaf()).sum();
    {
      const DetectAnomalyGuard guard;
      REQUIRE(error_of([&] { z.backward(); }) == kNan);
    }
  }
  CHECK(whole.stats().replays > 0);
}

TEST_CASE("switched on inside a compiled function: the region ends there, with a reason") {
  bool watch = false;
  const auto step = [&](const Tensor& x) {
    const Tensor y = scaled_root(x);
    const DetectAnomalyGuard guard(watch);
    if (!watch) AnomalyMode::set_enabled(false);
    y.sum().backward();
    return x.grad() * 2;
  };
  auto f = compile(step);
  const auto run = [&](bool on) {
    watch = on;
    return error_of([&] { f(zeros_leaf()); });
  };
  for (int i = 0; i < 3; ++i) {
    REQUIRE(run(false) == "");
    REQUIRE(run(true) == kNan);
  }
  Capture capture;
  sinter::reset();
  REQUIRE(run(true) == kNan);
  CHECK(logged().find("(anomaly_mode)") != std::string::npos);
  auto strict = compile(step, {.fullgraph = true});
  REQUIRE_THROWS_AS(strict(zeros_leaf()), GraphBreakError);

  const auto plain = [](const Tensor& x) { return x + 1; };
  auto always = compile(plain);
  auto strict_too = compile(plain, {.fullgraph = true});
  REQUIRE_NOTHROW(strict_too(ones({2})));
  const DetectAnomalyGuard guard;
  REQUIRE_THROWS_AS(strict_too(ones({2})), GraphBreakError);  // no region was open, but there is to be one
  const Explanation e = explain(always)(ones({2}));
  CHECK(e.graph_count == 0);
  REQUIRE(e.graph_break_count == 1);
  CHECK(e.regions[0].break_name == "anomaly_mode");
  CHECK(e.str().find("No region (eager)") != std::string::npos);
}

TEST_CASE("where no NaN is, and where none is looked for") {
  const auto step = [](const Tensor& x) {
    const Tensor y = (x.exp() * x).sum();
    y.backward();
    return y.detach();
  };
  auto f = compile(step);
  manual_seed(1);
  const Tensor values = randn({5});
  const Tensor a = values.clone().requires_grad_(), b = values.clone().requires_grad_(), c = values.clone().requires_grad_();
  const Tensor plain = step(a);
  {
    const DetectAnomalyGuard guard;
    REQUIRE(same_bits(f(b), plain));
    REQUIRE(same_bits(step(c), plain));
  }
  REQUIRE(same_bits(a.grad(), b.grad()));
  REQUIRE(same_bits(a.grad(), c.grad()));

  const DetectAnomalyGuard errors_only(false);
  const Tensor x = zeros_leaf();
  REQUIRE(error_of([&] { scaled_root(x).sum().backward(); }).empty());
  REQUIRE(std::isnan(x.grad()[0].item<float>()));
  // A NaN where no gradient is wanted is no error either.
  AnomalyMode::set_enabled(true);
  const Tensor u = ones({3}).requires_grad_(), w = full({3}, std::numeric_limits<float>::infinity()).requires_grad_();
  const auto gradient = [&](const Tensor& of) { (void)autograd::grad({((u * w) * 0.0).sum()}, {of}); };
  REQUIRE(error_of([&] { gradient(w); }).empty());
  REQUIRE(error_of([&] { gradient(u); }).find("'Mul' returned nan values in its 0th output") != std::string::npos);
}

TEST_CASE("a gradient that becomes NaN when it is summed to the operand's shape") {
  const auto inf = std::numeric_limits<float>::infinity();
  const Tensor x = ones({1}).requires_grad_(), g = cat({full({1}, inf), full({1}, -inf)});
  const DetectAnomalyGuard guard;
  const int line = __LINE__ + 1;
  const Tensor y = x + zeros({2});
  REQUIRE(error_of([&] { y.backward(g); }) ==
          "AutogradError: Function 'Add' returned nan values in its 0th output. The forward call was add at " + kHere +
              std::to_string(line) + ".");
}

TEST_CASE("the second output, an in-place call, a call on a view") {
  const DetectAnomalyGuard guard;
  const auto inf = std::numeric_limits<float>::infinity();
  const Tensor a = full({2}, 0.0), b = full({2}, inf).requires_grad_();
  REQUIRE(error_of([&] { (a * b).sum().backward(); }).empty());
  const Tensor w = ones({2}).requires_grad_();
  REQUIRE(error_of([&] { ((full({2}, inf) * w) * 0.0).sum().backward(); })
              .find("'Mul' returned nan values in its 1th output. The "
                    "forward call was mul at ") != std::string::npos);
  const Tensor x = ones({2}).requires_grad_(), y = x * 1, v = y.select(0, 0);
  v.mul_(inf);
  REQUIRE(error_of([&] { (y * 0.0).sum().backward(); })
              .find("'CopySlices' returned nan values in its 0th output. The forward call "
                    "was mul_ at ") != std::string::npos);
}

TEST_CASE("errors of derivatives name the forward call and keep their type") {
  const int line = __LINE__ + 2;
  const auto step = [](const Tensor& x) {
    const Tensor y = x.exp();
    y.add_(1);
    y.sum().backward();
  };
  const std::string plain = error_of([&] { step(ones({2}).requires_grad_()); });
  REQUIRE(plain.find("modified by an inplace operation") != std::string::npos);
  const std::string longer = plain + " Error detected in Exp. The forward call was exp at " + kHere + std::to_string(line) + ".";
  auto f = compile(step);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(error_of([&] { f(ones({2}).requires_grad_()); }) == plain);
    const DetectAnomalyGuard guard(i > 0);
    REQUIRE(error_of([&] { f(ones({2}).requires_grad_()); }) == longer);
    REQUIRE(error_of([&] { step(ones({2}).requires_grad_()); }) == longer);
  }
  const Tensor y = ones({2}).requires_grad_().exp().sum();
  y.backward();
  const DetectAnomalyGuard guard;
  REQUIRE(error_of([&] { y.backward(); }).find("a second time") != std::string::npos);
}

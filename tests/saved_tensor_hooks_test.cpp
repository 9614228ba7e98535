// Saved-tensor hooks: what is packed, when it is unpacked, and that compiled functions take them like eager code.
#include <optional>
#include <thread>
#include "runtime/log.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;
using autograd::SavedTensorHooksGuard;

namespace {

std::string g_seen;  // "pack [3] ", "unpack [3] ", in order

std::any pack_and_say(const Tensor& t) {
  g_seen += "pack " + to_string(t.sizes()) + " ";
  if (t.requires_grad()) g_seen += "with grad ";
  return t.clone();
}
Tensor unpack_and_say(const std::any& packed) {
  const auto& t = std::any_cast<const Tensor&>(packed);
  g_seen += "unpack " + to_string(t.sizes()) + " ";
  return t;
}
std::string seen() { return std::exchange(g_seen, ""); }

/// As long as it lives, saved tensors are kept as copies. With a factor they come back changed.
struct Copies : SavedTensorHooksGuard {
  explicit Copies(double factor = 1)
      : SavedTensorHooksGuard([](const Tensor& t) -> std::any { return t.clone(); },
                              [factor](const std::any& t) { return std::any_cast<const Tensor&>(t) * factor; }) {}
};

Tensor leaf(IntArrayRef sizes, uint64_t seed = 1) {
  manual_seed(seed);
  return randn(sizes).requires_grad_();
}

std::string& logged() {
  static std::string text;
  return text;
}

}  // namespace

TEST_CASE("what is packed, and when it is unpacked") {
  const Tensor x = leaf({3}), w = leaf({2, 3});
  Tensor y;
  {
    const SavedTensorHooksGuard guard(pack_and_say, unpack_and_say);
    y = x * w;
    CHECK(seen() == "pack [3] pack [2, 3] ");
    (void)(x + w);
    (void)x.view({3, 1});
    CHECK(seen() == "");
    (void)x.exp();
    CHECK(seen() == "pack [3] ");
    const Tensor z = x * 1.0;
    z.mul_(w.select(0, 0));  // z is packed as it was before
    CHECK(seen() == "pack [3] pack [3] ");
    const NoGradGuard no_grad;
    (void)(x * w);
    (void)x.exp();
    CHECK(seen() == "");
  }
  (void)x.exp();
  CHECK(seen() == "");
  y.sum().backward({}, true);
  CHECK(seen() == "unpack [2, 3] unpack [3] ");
  y.sum().backward();
  CHECK(seen() == "unpack [2, 3] unpack [3] ");
  REQUIRE_THROWS_WITH(y.sum().backward(), Catch::Contains("a second time"));
  CHECK(seen() == "");
}

TEST_CASE("a derivative that reads a tensor more than once unpacks it once") {
  const Tensor x = leaf({2, 4}), m = leaf({4}), b = leaf({4});
  const auto both = [&](const Tensor& y) {
    y.sum().backward();
    return seen();
  };
  const SavedTensorHooksGuard guard(pack_and_say, unpack_and_say);
  Tensor y = x / m.view({1, 4});
  CHECK(seen() == "pack [2, 4] pack [1, 4] ");
  CHECK(both(y).size() == std::string("unpack [2, 4] unpack [1, 4] ").size());
  y = x.var(1);
  CHECK(seen() == "pack [2, 4] ");
  CHECK(both(y) == "unpack [2, 4] ");
  y = x.sigmoid();
  CHECK(seen() == "pack [2, 4] ");
  CHECK(both(y) == "unpack [2, 4] ");
}

TEST_CASE("gradients with hooks, in eager code, a compiled step, and outside of a compiled forward") {
  const auto forward = [](const Tensor& x, const Tensor& w) {
    Tensor h = mm(x, w).tanh();
    h = h * h.exp();
    h.select(1, 0).mul_(2);
    return softmax(h, 1).sigmoid();
  };
  const auto step = [&](const Tensor& x, const Tensor& w) {
    const Tensor loss = forward(x, w).square().sum();
    loss.backward();
    return loss.detach();
  };
  auto whole = compile(step);
  auto half = compile(forward);
  const auto outside = [&](const Tensor& x, const Tensor& w) {
    const Tensor loss = half(x, w).square().sum();
    loss.backward();
    return loss.detach();
  };
  const auto check = [&](auto&& run, double factor, bool hooks) {
    const Tensor x = leaf({4, 5}, 7), a = leaf({5, 3}, 8), b = leaf({5, 3}, 8);
    std::optional<Copies> guard;
    if (hooks) guard.emplace(factor);
    const Tensor expected = step(x, a), got = run(x, b);
    REQUIRE(same_bits(got, expected));
    REQUIRE(same_bits(a.grad(), b.grad()));
    return bits(b.grad());
  };
  int64_t known = 0;
  for (int i = 0; i < 4; ++i) {
    const std::string plain = check(whole, 1, false);
    REQUIRE(check(outside, 1, false) == plain);
    if (i == 1) known = compiles(whole) + compiles(half) + half.backward_stats().regions_compiled;
    REQUIRE(check(whole, 1, true) == plain);
    REQUIRE(check(outside, 1, true) == plain);
    const std::string other = check(whole, 3, true);  // other hooks: what they return is what is used
    REQUIRE(other != plain);
    REQUIRE(check(outside, 3, true) == other);
  }
  CHECK(compiles(whole) + compiles(half) + half.backward_stats().regions_compiled == known);
  // Hooks for the forward only; the backward is a compiled pass that unpacks.
  for (int i = 0; i < 4; ++i) {
    const Tensor x = leaf({4, 5}, 7), a = leaf({5, 3}, 8), b = leaf({5, 3}, 8);
    const auto under_hooks = [&](auto& f, const Tensor& w) {
      const Copies guard(2);
      return f(x, w);
    };
    under_hooks(forward, a).square().sum().backward();
    under_hooks(half, b).square().sum().backward();
    REQUIRE(same_bits(a.grad(), b.grad()));
  }
}

TEST_CASE("a guard inside a compiled function, nested ones, one that is left") {
  int way = 0;
  const auto f = [&](const Tensor& x) {
    Tensor y = x.sin();
    if (way == 1) {
      const Copies outer(2);
      y = y * x;
      {
        const Copies inner(3);
        y = y * x;
      }
      y = y * x;
    } else {
      y = y * x * x * x;
    }
    y = y.exp();
    y.sum().backward();
    return x.grad() + y.detach();
  };
  auto g = compile(f);
  int64_t known = 0;
  for (int i = 0; i < 4; ++i)
    for (int w : {0, 1}) {
      way = w;
      const Tensor a = leaf({6}), b = leaf({6});
      REQUIRE(same_bits(f(a), g(b)));
      REQUIRE(same_bits(a.grad(), b.grad()));
      if (i < 2) known = compiles(g);
      else REQUIRE(compiles(g) == known);
    }
  way = 1;
  logged().clear();
  set_logs("breaks");
  set_log_sink([](std::string_view line) { logged() += std::string(line) + "\n"; });
  sinter::reset();
  g(leaf({6}));
  set_log_sink(nullptr);
  set_logs("");
  CHECK(logged().find("(host_callback)") != std::string::npos);
  auto strict = compile(f, {.fullgraph = true});
  CHECK_THROWS_AS(strict(leaf({6})), GraphBreakError);
  way = 0;
  CHECK_NOTHROW(strict(leaf({6})));
}

TEST_CASE("nested guards: the innermost counts, with both of its hooks") {
  const Tensor x = ones({1}).requires_grad_(), w = full({1}, 5.0);
  Tensor a, b, c;
  {
    const Copies outer(2);
    a = x * w;
    {
      const Copies inner(3);
      b = x * w;
    }
    c = x * w;
  }
  const auto gradient = [&](const Tensor& y) { return autograd::grad({y}, {x})[0].item<float>(); };
  CHECK(gradient(a) == 10);
  CHECK(gradient(b) == 15);
  CHECK(gradient(c) == 10);
  CHECK(gradient(x * w) == 5);
}

TEST_CASE("second derivatives through packed leaves, operands and results") {
  const auto second = [](const Tensor& x, const Tensor& w) {
    const Tensor y = ((x * w).exp() * (x * x).tanh()).sum();
    const auto g = autograd::grad({y}, {x, w}, {}, true, true);
    (g[0].square().sum() + (g[1] * x).sum()).backward();
  };
  auto compiled = compile(second);
  const Tensor x = leaf({4}, 1), w = leaf({4}, 2);
  second(x, w);
  for (int i = 0; i < 3; ++i)
    for (const bool in_frame : {false, true}) {
      const Tensor a = leaf({4}, 1), b = leaf({4}, 2);
      const Copies guard;
      if (in_frame) compiled(a, b);
      else second(a, b);
      REQUIRE(same_bits(a.grad(), x.grad()));
      REQUIRE(same_bits(b.grad(), w.grad()));
    }
  // The forward under hooks only: the differentiable backward unpacks in a frame.
  const auto forward = [](const Tensor& x, const Tensor& w) {
    const Copies guard;
    return ((x * w).exp() * (x * x).tanh()).sum();
  };
  const auto of = [&](auto& f, const Tensor& x, const Tensor& w) {
    const auto g = autograd::grad({f(x, w)}, {x, w}, {}, true, true);
    (g[0].square().sum() + (g[1] * x).sum()).backward();
  };
  auto half = compile(forward);
  for (int i = 0; i < 3; ++i) {
    const Tensor a = leaf({4}, 1), b = leaf({4}, 2);
    of(half, a, b);
    REQUIRE(same_bits(a.grad(), x.grad()));
    REQUIRE(same_bits(b.grad(), w.grad()));
  }
}

TEST_CASE("what is packed goes with the graph") {
  auto owner = std::make_shared<int>(1);
  const Tensor x = leaf({3});
  const auto forward = [&] {
    const SavedTensorHooksGuard guard(
        [owner](const Tensor& t) -> std::any { return std::pair(owner, t); },
        [](const std::any& p) { return std::any_cast<const std::pair<std::shared_ptr<int>, Tensor>&>(p).second; });
    return (x * x).sum();
  };
  Tensor y = forward();
  const long with_graph = owner.use_count();
  REQUIRE(with_graph > 1);
  y.backward({}, true);
  CHECK(owner.use_count() == with_graph);
  y.backward();
  CHECK(owner.use_count() == 1);
  y = forward();
  y.reset();
  CHECK(owner.use_count() == 1);
}

TEST_CASE("wrong hooks") {
  const auto keep = [](const Tensor& t) -> std::any { return t; };
  const auto give = [](const std::any& t) { return std::any_cast<const Tensor&>(t); };
  CHECK_THROWS_AS(SavedTensorHooksGuard(nullptr, give), ValueError);
  CHECK_THROWS_AS(SavedTensorHooksGuard(keep, nullptr), ValueError);
  CHECK(ambient::word == ambient::kGradMode);
  const Tensor x = leaf({3}), w = leaf({3});
  const auto f = [](const Tensor& x, const Tensor& w) { return (x * w).sum(); };
  auto g = compile(f);
  const auto both = [&](const SavedTensorHooksGuard&, auto&& check) {
    check([&] { return f(x, w); });
    check([&] { return g(x, w); });
  };
  both(SavedTensorHooksGuard([](const Tensor& t) -> std::any { return t.add_(1); }, give), [](auto&& run) {
    REQUIRE_THROWS_AS(run(), AutogradError);
    REQUIRE_THROWS_WITH(run(), Catch::StartsWith("A saved tensor pack hook is modifying its input in place."));
  });
  both(SavedTensorHooksGuard([](const Tensor&) -> std::any { throw std::runtime_error("from pack"); }, give),
       [](auto&& run) { REQUIRE_THROWS_WITH(run(), "from pack"); });
  both(SavedTensorHooksGuard(keep, [](const std::any&) { return Tensor(); }), [](auto&& run) {
    const Tensor y = run();
    REQUIRE_THROWS_AS(y.backward({}, true), AutogradError);
    REQUIRE_THROWS_WITH(y.backward(), "Output of saved tensor unpack_hook expected to be a Tensor but got an undefined Tensor");
  });
  both(SavedTensorHooksGuard(keep, [](const std::any&) -> Tensor { throw std::runtime_error("from unpack"); }),
       [](auto&& run) { REQUIRE_THROWS_WITH(run().backward(), "from unpack"); });
  // What the call overwrites itself is beyond a hook that runs after it.
  both(SavedTensorHooksGuard(keep, give), [&](auto&&) {
    const Tensor y = x * 1.0;
    y.mul_(y.view({3}));
    REQUIRE_THROWS_WITH(y.sum().backward(), Catch::Contains("modified by an inplace operation"));
  });
}

TEST_CASE("hooks that run compiled functions and backward passes, and one on another thread") {
  auto half = compile([](const Tensor& t) { return t * 0.5; });
  auto twice = compile([](const Tensor& t) { return t * 2.0; });
  const auto f = [](const Tensor& x) { return (x.sin() * x).sum(); };
  auto g = compile(f);
  const Tensor a = leaf({5}), b = leaf({5}), c = leaf({5});
  f(a).backward();
  for (int i = 0; i < 3; ++i) {
    b.mutable_grad().reset();
    Tensor y;
    {
      const SavedTensorHooksGuard guard([&](const Tensor& t) -> std::any { return half(t); },
                                        [&](const std::any& t) {
                                          const AutoGradMode on(true);
                                          c.sin().sum().backward();
                                          return twice(std::any_cast<const Tensor&>(t));
                                        });
      y = g(b);
      std::thread([&] { REQUIRE(ambient::word == ambient::kGradMode); }).join();
    }
    std::thread([&] { y.backward(); }).join();
    REQUIRE(same_bits(a.grad(), b.grad()));
    REQUIRE(c.grad().defined());
  }
}

// Backward passes outside of compiled calls, through nodes made inside: one program of the compiled function's, eager's results.
#include <optional>
#include <thread>
#include "engine/autograd/autograd.h"
#include "engine/program/program.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// The same model twice, one with its forward compiled, trained by the same eager loop.
struct Training {
  explicit Training(bool compiled)
      : first(6, 8),
        second(8, 3),
        sgd({first->weight, first->bias, second->weight, second->bias}, optim::SGDOptions(0.1).momentum(0.9)) {
    manual_seed(5);
    for (const Tensor& p : parameters()) {
      NoGradGuard no_grad;
      p.copy_(randn(p.sizes()) * 0.3);
    }
    const auto eager = [this](const Tensor& x) { return second(gelu(first(x))); };
    forward.emplace(compile(std::function<Tensor(const Tensor&)>(eager), {.name = "net"}));
    if (compiled) net = [this](const Tensor& x) { return (*forward)(x); };
    else net = eager;
  }
  std::vector<Tensor> parameters() const { return {first->weight, first->bias, second->weight, second->bias}; }
  void require_same(const Training& other) const {
    for (size_t i = 0; i < 4; ++i) {
      REQUIRE(same_bits(parameters()[i], other.parameters()[i]));
      const Tensor a = parameters()[i].grad(), b = other.parameters()[i].grad();
      REQUIRE(a.defined() == b.defined());
      if (!a.defined()) continue;
      REQUIRE(same_bits(a, b));
      REQUIRE(a.strides() == b.strides());
      REQUIRE(a._version() == b._version());
    }
  }
  CompileStats backward_stats() const { return forward->backward_stats(); }

  nn::Linear first, second;
  optim::SGD sgd;
  std::optional<Compiled<std::function<Tensor(const Tensor&)>>> forward;
  std::function<Tensor(const Tensor&)> net;
};

Tensor loss_of(const Tensor& y, int64_t n) { return nn::functional::cross_entropy(y, arange(n, kLong) % 3); }

/// Runs `step` for both, and compares after each of ten calls.
template <class F>
void check(F&& step) {
  Training a(false), b(true);
  for (int i = 0; i < 10; ++i) {
    manual_seed(100 + i);
    step(a, i);
    manual_seed(100 + i);
    step(b, i);
    a.require_same(b);
  }
}

}  // namespace

TEST_CASE("an eager training loop around a compiled forward: its backward is one program") {
  Training a(false), b(true);
  for (int i = 0; i < 8; ++i)
    for (Training* t : {&a, &b}) {
      manual_seed(i);
      t->sgd.zero_grad();
      const Tensor x = randn({5, 6});
      const Tensor loss = loss_of(t->net(x), 5);
      loss.backward();
      t->sgd.step();
      t->sgd.param_groups()[0].options().set_lr(0.1 / (i + 1));
    }
  a.require_same(b);
  const CompileStats s = b.backward_stats();
  CHECK(s.regions_compiled <= 2);  // gradients kept at first, then added to
  CHECK(s.replays >= 4);
  CHECK(s.eager_fallbacks == 0);
}

TEST_CASE("gradients that accumulate, several losses, retained graphs") {
  check([](Training& t, int i) {
    if (i % 3 == 0) t.sgd.zero_grad(i % 2 == 0);
    const Tensor y = t.net(randn({4, 6}));
    const Tensor loss = loss_of(y, 4), other = y.square().mean() * 0.1;
    loss.backward({}, true);
    other.backward();
    REQUIRE_THROWS_WITH(loss.backward(), Catch::Contains("Trying to backward through the graph a second time"));
    t.sgd.step();
  });
}

TEST_CASE("autograd::grad, and a second derivative through a compiled forward") {
  check([](Training& t, int) {
    t.sgd.zero_grad();
    const Tensor x = randn({4, 6}).requires_grad_();
    const Tensor y = t.net(x);
    const auto g = autograd::grad({y.sum()}, {x, t.first->weight}, {}, true, true);
    const Tensor penalty = g[0].square().sum() + g[1].square().sum();
    (loss_of(y, 4) + penalty * 0.01).backward();
    t.sgd.step();
  });
}

TEST_CASE("hooks of tensors inside and of parameters, that read, change and throw") {
  check([](Training& t, int i) {
    t.sgd.zero_grad();
    const Tensor y = t.net(randn({4, 6}));
    double seen = 0;
    const unsigned on_y = y.register_hook([&](const Tensor& g) { return g * 0.5; });
    const unsigned on_p = t.first->weight.register_hook([&](const Tensor& g) {
      seen = g.abs().sum().item<double>();
      if (i == 4) throw std::runtime_error("from a hook");
      return Tensor();
    });
    if (i == 4) REQUIRE_THROWS_WITH(loss_of(y, 4).backward(), "from a hook");
    else loss_of(y, 4).backward();
    REQUIRE(seen > 0);
    y.remove_hook(on_y);
    t.first->weight.remove_hook(on_p);
    t.sgd.step();
  });
}

TEST_CASE("frozen parameters, parts without gradients, values clipped and scaled between backward and step") {
  check([](Training& t, int i) {
    t.sgd.zero_grad();
    t.first->weight.set_requires_grad(i % 4 != 1);
    Tensor y = t.net(randn({4, 6}));
    {
      NoGradGuard no_grad;
      y = y + t.net(randn({4, 6}));
    }
    if (!y.requires_grad()) y = t.net(randn({4, 6}));
    (loss_of(y, 4) * 8).backward();
    for (const Tensor& p : t.parameters())
      if (p.grad().defined()) p.grad().mul_(1.0 / 8);
    nn::utils::clip_grad_norm_(t.parameters(), 0.5);
    t.sgd.step();
  });
}

TEST_CASE("other sizes: generalised, no recompile for each") {
  Training a(false), b(true);
  for (int64_t n : {4, 4, 7, 9, 4, 12, 3, 9, 15, 6})
    for (Training* t : {&a, &b}) {
      manual_seed(n);
      t->sgd.zero_grad();
      loss_of(t->net(randn({n, 6})), n).backward();
      t->sgd.step();
    }
  a.require_same(b);
  CHECK(b.backward_stats().eager_fallbacks == 0);
  CHECK(b.backward_stats().recompiles <= 9);
}

TEST_CASE("two compiled functions in one step, and one whose backward runs on another thread") {
  check([](Training& t, int i) {
    t.sgd.zero_grad();
    auto head = compile([](const Tensor& y) { return (y * 0.5).tanh(); });
    const Tensor loss = loss_of(t.forward && i % 2 ? head(t.net(randn({4, 6}))) : (t.net(randn({4, 6})) * 0.5).tanh(), 4);
    if (i % 3 == 0) std::thread([&] { loss.backward(); }).join();
    else loss.backward();
    t.sgd.step();
  });
}

TEST_CASE("the function is gone, reset, or everything eager, when backward runs") {
  const Tensor w = randn({4, 4}), x = randn({3, 4});
  const auto f = [](const Tensor& x, const Tensor& w) { return x.matmul(w).sin().square(); };
  const auto gradient = [&](auto&& between) {
    const Tensor v = w.detach().clone().requires_grad_();
    std::optional<Compiled<std::decay_t<decltype(f)>>> g(compile(f));
    Tensor y;
    for (int i = 0; i < 3; ++i) {
      y = (*g)(x, v);
      if (i < 2) y.sum().backward();
    }
    between(g);
    y.sum().backward();
    return v.grad();
  };
  const Tensor v = w.detach().clone().requires_grad_();
  for (int i = 0; i < 3; ++i) f(x, v).sum().backward();
  const auto nothing = [](auto&) {};
  REQUIRE(same_bits(gradient(nothing), v.grad()));
  REQUIRE(same_bits(gradient([](auto& g) { g.reset(); }), v.grad()));
  REQUIRE(same_bits(gradient([](auto& g) { g->reset(); }), v.grad()));
  REQUIRE(same_bits(gradient([](auto&) { sinter::reset(); }), v.grad()));
  set_stance(Stance::ForceEager);
  const struct Back {
    ~Back() { set_stance(Stance::Default); }
  } back;
  REQUIRE(same_bits(gradient(nothing), v.grad()));
}

TEST_CASE("dropping the function frees what its backward passes had recorded") {
  const Tensor w = randn({8, 8}).requires_grad_();
  const auto once = [&] {
    auto g = compile([&](const Tensor& x) { return x.matmul(w).tanh(); });
    for (int i = 0; i < 3; ++i) g(randn({4, 8})).sum().backward();
    REQUIRE(g.backward_stats().regions_compiled + g.backward_stats().interpreted > 0);
  };
  once();
  const auto before = program_cache_stats();
  for (int i = 0; i < 5; ++i) once();
  CHECK(program_cache_stats().programs == before.programs);
}

// What a compiled forward saves for a backward pass outside of it: kept or computed again there, always eager's gradients.
#include <optional>
#include <thread>
#include "codegen/kernel.h"
#include "engine/autograd/autograd.h"
#include "runtime/allocator.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

constexpr int64_t kN = 96;  // 96 x 96 floats: more than the least value worth computing again

/// Saves its operands and results: of five saved values one needs to be kept.
Tensor chain(const Tensor& x, const Tensor& w, const Tensor& b) {
  const Tensor y = x.matmul(w) + b;
  return ((y.sin() * y).tanh() * (y * 0.5).sigmoid()).exp().square();
}

/// All of it is computed again, from the parameters themselves.
Tensor from_parameters(const Tensor&, const Tensor& w, const Tensor& b) { return (w + b).sin().tanh().exp(); }

struct Model {
  Tensor x, w, b;
  Model() {
    manual_seed(11);
    x = randn({kN, kN}) * 0.1;
    w = (randn({kN, kN}) * 0.1).set_requires_grad(true);
    b = (randn({kN}) * 0.1).set_requires_grad(true);
  }
  std::vector<Tensor> gradients() const { return {w.grad(), b.grad()}; }
};

void require_same(const Model& eager, const Model& compiled) {
  for (size_t i = 0; i < 2; ++i) REQUIRE(same_bits(eager.gradients()[i], compiled.gradients()[i]));
}

using Function = std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>;

/// Runs `step(model, forward)` on two equal models, one with a compiled forward, several times.
template <class F>
void check(F&& step, CompileOptions options = {}, const Function& plain = chain) {
  Model eager, compiled;
  auto wrapped = compile(plain, options);
  const Function forward = [&](const Tensor& x, const Tensor& w, const Tensor& b) { return wrapped(x, w, b); };
  for (int i = 0; i < 5; ++i) {
    step(eager, plain, i);
    step(compiled, forward, i);
    require_same(eager, compiled);
  }
}

bool defers() { return isa() != Isa::None && codegen::jit_available(); }

}  // namespace

TEST_CASE("explain says what is saved and what is computed again; a switch saves everything") {
  for (const bool recompute : {true, false}) {
    Model m;
    auto forward = compile(Function(chain), {.recompute = recompute});
    const Explanation e = explain(forward)(m.x, m.w, m.b);
    REQUIRE(e.regions.size() == 1);
    INFO(e.str());
    constexpr int64_t kValue = kN * kN * 4;
    if (recompute && defers()) {
      CHECK(e.regions[0].recomputed_bytes == 4 * kValue);
      CHECK(e.regions[0].saved_bytes == kValue);
      CHECK_THAT(e.str(), Catch::Contains("Saved for backward:"));
    } else {
      CHECK(e.regions[0].recomputed_bytes == 0);
      CHECK(e.regions[0].saved_bytes == 5 * kValue);
    }
  }
}

TEST_CASE("gradients of recomputed values: plain, accumulated, twice through a retained graph") {
  check([](Model& m, const Function& f, int) { f(m.x, m.w, m.b).sum().backward(); });
  check([](Model& m, const Function& f, int i) {
    const Tensor y = f(m.x, m.w, m.b), loss = y.sum();
    loss.backward({}, true);
    if (i % 2 == 0) y.mean().backward({}, true);
    loss.backward();
  });
}

TEST_CASE("the backward pass is one program of the function, and replays") {
  Model m;
  auto forward = compile(Function(chain));
  for (int i = 0; i < 6; ++i) {
    m.w.mutable_grad().reset();
    m.b.mutable_grad().reset();
    forward(m.x, m.w, m.b).sum().backward();
  }
  CHECK(forward.backward_stats().regions_compiled == 1);
  CHECK(forward.backward_stats().replays >= 4);
  CHECK(forward.stats().regions_compiled == 1);
}

TEST_CASE("sources written between forward and backward") {
  for (const auto& f : {Function(chain), Function(from_parameters)})
    check(
        [](Model& m, const Function& forward, int i) {
          const Tensor y = forward(m.x, m.w, m.b);
          {
            const NoGradGuard no_grad;
            if (i % 3 == 0) m.b.add_(1);
            if (i % 3 == 1) m.b.data_ptr<float>()[3] = 2;
            if (i % 3 == 2) compile([&] { m.b.mul_(2); })();
          }
          y.sum().backward();
        },
        {}, f);
  // Each kind of write alone: after a pointer was taken, the memory is no source any more.
  for (const int way : {0, 1, 2})
    check(
        [way](Model& m, const Function& forward, int) {
          const Tensor y = forward(m.x, m.w, m.b);
          {
            const NoGradGuard no_grad;
            if (way == 0) m.b.add_(1);
            if (way == 1) m.b.data_ptr<float>()[3] += 2;
            if (way == 2) compile([&] { m.b.mul_(2); })();
          }
          y.sum().backward();
        },
        {}, from_parameters);
  // Through a pointer that was there before: such memory is no source.
  for (const auto& f : {Function(chain), Function(from_parameters)}) {
    Model eager, compiled;
    auto forward = compile(f);
    for (Model* m : {&eager, &compiled}) {
      float* b = m->b.data_ptr<float>();
      const Tensor y = m == &eager ? f(m->x, m->w, m->b) : forward(m->x, m->w, m->b);
      b[0] = 100;
      y.sum().backward();
    }
    require_same(eager, compiled);
  }
}

TEST_CASE("saved values that somebody looks at") {
  check([](Model& m, const Function& f, int i) {
    Tensor kept;
    const Tensor y = f(m.x, m.w, m.b);
    const Tensor g =
        autograd::grad({y.sum()}, {m.b}, {}, true, i % 2 == 0)[0];  // also with a graph: needs the tensors themselves
    if (g.requires_grad()) (g.square().sum() + y.sum()).backward();
    else y.sum().backward();
  });
  // Intermediates that the function hands out, sometimes.
  Model eager, compiled;
  std::vector<Tensor> held[2];
  bool hold = false;
  const auto with_held = [&](Model& m, std::vector<Tensor>& out) {
    const Tensor y = m.x.matmul(m.w) + m.b, s = y.sin(), t = (s * y).tanh();
    if (hold) out = {s, t};
    return t.exp();
  };
  auto forward = compile([&] { return with_held(compiled, held[1]); });
  for (int i = 0; i < 8; ++i) {
    hold = i % 3 == 2;
    with_held(eager, held[0]).sum().backward();
    forward().sum().backward();
    require_same(eager, compiled);
    for (size_t k = 0; k < held[0].size(); ++k) REQUIRE(same_bits(held[0][k], held[1][k]));
  }
}

TEST_CASE("a source that the caller held in some calls only") {
  for (const bool first : {true, false}) {
    Model eager, compiled;
    Tensor held;
    bool hold = false;
    const auto body = [&](Model& m) {
      const Tensor product = m.x.matmul(m.w), y = product + m.b;  // saved by nobody, but what the rest is computed from
      if (hold) held = product;
      return ((y.sin() * y).tanh() * (y * 0.5).sigmoid()).exp().square();
    };
    auto forward = compile([&] { return body(compiled); });
    for (int i = 0; i < 8; ++i) {
      hold = (i % 3 == 0) == first;
      body(eager).sum().backward();
      const Tensor want = std::exchange(held, Tensor());
      forward().sum().backward();
      require_same(eager, compiled);
      REQUIRE(want.defined() == held.defined());
      if (want.defined()) REQUIRE(same_bits(want, held));
      held.reset();
    }
  }
}

TEST_CASE("graphs that are dropped, kept past the function, walked on another thread, under force_eager") {
  check([](Model& m, const Function& f, int i) {
    { const Tensor dropped = f(m.x, m.w, m.b); }
    Tensor y = f(m.x, m.w, m.b);
    if (i % 2 == 0) std::thread([&] { y.sum().backward(); }).join();
    else y.sum().backward();
  });
  Model eager, compiled;
  chain(eager.x, eager.w, eager.b).sum().backward();
  Tensor y;
  {
    auto forward = compile(Function(chain));
    y = forward(compiled.x, compiled.w, compiled.b);
  }
  y.sum().backward();
  require_same(eager, compiled);
  auto forward = compile(Function(chain));
  y = forward(compiled.x, compiled.w, compiled.b);
  set_stance(Stance::ForceEager);
  y.sum().backward();
  set_stance(Stance::Default);
  chain(eager.x, eager.w, eager.b).sum().backward();
  require_same(eager, compiled);
}

TEST_CASE("two threads walk one graph whose values are deferred") {
  Model eager, compiled;
  auto forward = compile(Function(chain));
  for (int round = 0; round < 20; ++round) {
    const Tensor a = chain(eager.x, eager.w, eager.b), b = forward(compiled.x, compiled.w, compiled.b);
    std::vector<Tensor> gradients[2];
    const auto walk = [](const Tensor& y, const Model& m, std::vector<Tensor>& out) {
      out = autograd::grad({y.sum()}, {m.w, m.b}, {}, true);
    };
    walk(a, eager, gradients[0]);
    std::vector<Tensor> other;
    std::thread second([&] { walk(b, compiled, other); });
    walk(b, compiled, gradients[1]);
    second.join();
    for (size_t i = 0; i < 2; ++i) {
      REQUIRE(same_bits(gradients[0][i], gradients[1][i]));
      REQUIRE(same_bits(gradients[0][i], other[i]));
    }
  }
}

TEST_CASE("a graph break between forward and backward, default dtypes, rounding") {
  Model eager, compiled;
  const auto step = [](Model& m) {
    const Tensor y = chain(m.x, m.w, m.b), loss = y.sum();
    const double before = loss.item<double>();
    loss.backward();
    return before;
  };
  auto wrapped = compile([&](int) { return step(compiled); });
  for (int i = 0; i < 4; ++i) {
    REQUIRE(step(eager) == wrapped(i));
    require_same(eager, compiled);
  }
  check([](Model& m, const Function& f, int i) {
    const Tensor y = f(m.x, m.w, m.b);
    if (i % 2 == 0) set_default_dtype(kDouble);
    y.sum().backward();
    set_default_dtype(kFloat);
  });
}

TEST_CASE("memory: less between forward and backward, none afterwards") {
  if (!defers()) return;
  Model m;
  auto peak = [&](bool recompute) {
    auto forward = compile(Function(chain), {.recompute = recompute});
    for (int i = 0; i < 3; ++i) forward(m.x, m.w, m.b).sum().backward();
    const int64_t before = thread_allocated_bytes();
    const Tensor y = forward(m.x, m.w, m.b);
    return thread_allocated_bytes() - before;
  };
  const int64_t kept = peak(false), recomputed = peak(true);
  CHECK(kept - recomputed == 4 * kN * kN * 4);
}

// Autograd inside compiled calls does what it does in eager.
#include <catch2/catch.hpp>
#include "engine/autograd/autograd.h"
#include "engine/creation.h"
#include "engine/frame/compiled.h"
#include "engine/frame/explain.h"
#include "engine/functions.h"
#include "gradcheck.h"
#include "runtime/cpu.h"

using namespace sinter;

namespace {

/// Three calls eager and three compiled, each on leaves of its own that live through the calls; the .grad of the leaves and
/// the values of the result must agree to the bit after every call.
template <class F>
void same_as_eager(F f, int n_leaves = 2, IntArrayRef sizes = {3, 4}) {
  std::vector<Tensor> eager, traced;
  for (int i = 0; i < n_leaves; ++i) {
    eager.push_back(gradcheck::values(sizes, static_cast<uint64_t>(i) + 1));
    traced.push_back(gradcheck::values(sizes, static_cast<uint64_t>(i) + 1));
  }
  auto compiled = compile(f);
  for (int turn = 0; turn < 4; ++turn) {
    const Tensor want = f(eager), got = compiled(traced);
    INFO("turn " << turn);
    CHECK(equal(want.detach(), got.detach()));
    for (int i = 0; i < n_leaves; ++i) {
      INFO("leaf " << i);
      const Tensor a = eager[static_cast<size_t>(i)].grad(), b = traced[static_cast<size_t>(i)].grad();
      REQUIRE(a.defined() == b.defined());
      if (!a.defined()) continue;
      CHECK(equal(a, b));
      CHECK(a.strides() == b.strides());
    }
    for (int i = 0; i < n_leaves; ++i)
      CHECK(equal(eager[static_cast<size_t>(i)].detach(), traced[static_cast<size_t>(i)].detach()));
  }
}

using Leaves = const std::vector<Tensor>&;

}  // namespace

TEST_CASE("backward in a frame accumulates") {
  same_as_eager([](Leaves in) {
    Tensor loss = sum(tanh(in[0] * in[1]) + exp(in[0]));
    loss.backward();
    return loss;
  });
}

TEST_CASE("a whole training step in a frame") {
  same_as_eager([](Leaves in) {
    for (const Tensor& t : in) t.mutable_grad().reset();
    Tensor loss = mean(relu(mm(in[0], t(in[1]))));
    loss.backward();
    const NoGradGuard no_grad;
    for (Tensor t : in) t.sub_(t.grad(), 0.1);
    return loss;
  });
  same_as_eager([](Leaves in) {
    for (const Tensor& t : in)
      if (t.grad().defined()) t.mutable_grad().zero_();
    Tensor loss = sum(softmax(in[0] * in[1], 1) * in[0]);
    loss.backward();
    const NoGradGuard no_grad;
    for (Tensor t : in) t -= t.grad() * 0.1;
    return loss;
  });
}

TEST_CASE("a value is read between forward and backward") {
  same_as_eager([](Leaves in) {
    Tensor loss = sum(sigmoid(in[0]) * in[1]);
    if (loss.item<double>() > -1e9) loss.backward();
    return loss;
  });
}

TEST_CASE("forward in a frame, backward outside") {
  const Tensor x = gradcheck::values({3}, 1), y = gradcheck::values({3}, 1);
  auto forward = compile([](const Tensor& t) { return sum(exp(t) * tanh(t)); });
  for (int i = 0; i < 3; ++i) {
    forward(x).backward();
    sum(exp(y) * tanh(y)).backward();
    CHECK(equal(x.grad(), y.grad()));
  }
}

TEST_CASE("forward outside, backward in a frame") {
  const Tensor x = gradcheck::values({3}, 1), y = gradcheck::values({3}, 1);
  auto back = compile([](const Tensor& loss) { loss.backward(); });
  for (int i = 0; i < 3; ++i) {
    back(sum(exp(x) * tanh(x)));
    sum(exp(y) * tanh(y)).backward();
    CHECK(equal(x.grad(), y.grad()));
  }
}

TEST_CASE("hooks in a frame") {
  same_as_eager([](Leaves in) {
    Tensor h = in[0] * in[1];
    h.register_hook([](const Tensor& g) { return g * 2.0 + 1.0; });
    h.retain_grad();
    Tensor loss = sum(h * h);
    loss.backward();
    return h.grad();
  });
  double seen = 0;
  const Tensor x = gradcheck::values({2}, 1);
  x.register_hook([&](const Tensor& g) { seen += sum(g).item<double>(); });  // a read in the middle of the backward
  auto step = compile([&] { sum(x * 3.0).backward(); });
  for (int i = 0; i < 3; ++i) step();
  CHECK(seen == 18);
}

TEST_CASE("retained graphs and second derivatives in a frame") {
  same_as_eager([](Leaves in) {
    Tensor loss = sum(in[0] * in[0] * in[1]);
    loss.backward({}, true);
    loss.backward();
    return loss;
  });
  same_as_eager([](Leaves in) {
    Tensor y = sum(exp(in[0]) * in[1]);
    Tensor penalty = sum(pow(autograd::grad({y}, {in[0]}, {}, std::nullopt, true)[0], 2));
    penalty.backward();
    return penalty;
  });
}

TEST_CASE("in-place calls and views in a frame") {
  same_as_eager([](Leaves in) {
    Tensor y = in[0] * 2.0;
    y *= in[1];
    y.tanh_();
    sum(y).backward();
    return y;
  });
  same_as_eager([](Leaves in) {
    Tensor out = zeros({2, 3, 4}, kDouble);
    select(out, 0, 0).copy_(in[0] * 2.0);
    select(out, 0, 1).copy_(in[1]);
    Tensor row = slice(out, 2, 1, 3);
    row *= 3.0;
    sum(out * out).backward();
    return out;
  });
}

TEST_CASE("errors of autograd in a frame leave it usable") {
  const Tensor x = gradcheck::values({3}, 1), y = gradcheck::values({3}, 1);
  const auto f = [](const Tensor& t, bool wrong) {
    Tensor h = exp(t);
    Tensor loss = sum(h);
    if (wrong) h += 1.0;
    loss.backward();
    if (wrong) return;
    loss.register_hook([](const Tensor&) {});
  };
  auto g = compile(f);
  for (int i = 0; i < 6; ++i) {
    if (i % 3 == 1) {
      CHECK_THROWS_AS(f(y, true), AutogradError);
      CHECK_THROWS_AS(g(x, true), AutogradError);
    } else {
      f(y, false);
      g(x, false);
    }
    CHECK(equal(x.grad(), y.grad()));
  }
}

TEST_CASE("a steady training step is one region and replays") {
  const Tensor w = gradcheck::values({4, 3}, 1), b = gradcheck::values({4}, 2);
  auto step = compile([&](const Tensor& x) {
    w.mutable_grad().reset();
    b.mutable_grad().reset();
    Tensor loss = mean(relu(linear(x, w, b)));
    loss.backward();
    const NoGradGuard no_grad;
    Tensor(w).sub_(w.grad(), 0.1);
    Tensor(b).sub_(b.grad(), 0.1);
    return loss;
  });
  const Tensor x = gradcheck::values({5, 3}, 3).detach();
  for (int i = 0; i < 3; ++i) step(x);
  const auto before = step.stats();
  for (int i = 0; i < 10; ++i) step(x);
  CHECK(step.stats().recompiles == before.recompiles);
  CHECK(step.stats().regions_compiled == before.regions_compiled);
  CHECK(step.stats().replays == before.replays + 10);
  if (isa() != Isa::None) CHECK(step.stats().interpreted == before.interpreted);
}

TEST_CASE("requires_grad changed between two uses inside a call") {
  bool on = false;
  auto f = compile([&](const Tensor& x) {
    const Tensor y = x * 2.0;
    if (on) x.set_requires_grad(true);
    return x * 3.0 + y;
  });
  for (int turn = 0; turn < 6; ++turn) {
    on = turn % 2 == 1;
    const Tensor x = gradcheck::values({3}, 1).detach().clone();
    const Tensor z = f(x);
    REQUIRE(z.requires_grad() == on);
    if (!on) continue;
    sum(z).backward();
    CHECK(x.grad().select(0, 0).item<double>() == 3);  // y was made before
  }
}

TEST_CASE("a result detached between two uses inside a call") {
  bool cut = true;
  auto f = compile([&](const Tensor& x) {
    Tensor y = x * x;
    if (cut) y.detach_();
    return y * 3.0;
  });
  for (int turn = 0; turn < 6; ++turn) {
    cut = turn % 2 == 0;
    const Tensor x = gradcheck::values({3}, 1);
    REQUIRE(f(x).requires_grad() == !cut);
  }
}

TEST_CASE("detach_ inside a call: of a result that is written then, and of an input; no break") {
  bool cut = true;
  const auto f = [&](const Tensor& x, Tensor given) {
    Tensor y = x * 3.0;
    const Tensor before = y + given;
    if (cut) y.detach_(), given.detach_();
    y.mul_(given + 1.0);
    return before + y * given;
  };
  auto g = compile(f, {.fullgraph = true});
  for (int turn = 0; turn < 8; ++turn) {
    cut = turn % 3 != 1;
    const Tensor x = gradcheck::values({3}, turn), a = x.detach().clone().requires_grad_();
    const Tensor w = gradcheck::values({3}, turn + 9), b = w.detach().clone().requires_grad_();
    const Tensor compiled = g(x, w * 2.0), eager = f(a, b * 2.0);
    CHECK(equal(compiled, eager));
    sum(compiled).backward();
    sum(eager).backward();
    CHECK(equal(x.grad(), a.grad()));
    CHECK(equal(w.grad(), b.grad()));
  }
}

TEST_CASE("what a dropped result's node saved is not stored") {
  auto f = compile([](const Tensor& x) {
    {
      const Tensor y = exp(x);  // its node keeps the result, so does the product's
      const Tensor z = y * y;
    }
    return x * 2.0;
  });
  for (int turn = 0; turn < 3; ++turn) {
    const Explanation e = explain(f)(gradcheck::values({3}, 1));
    REQUIRE(e.regions.size() == 1);
    INFO(e.str());
    CHECK(e.regions[0].live_outs.size() == 1);
  }
}

// Backward passes inside compiled functions, replayed from what an earlier pass called: always eager's gradients, and taken only
// while everything that a pass depends on is as it was.
#include <optional>
#include "engine/autograd/autograd.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

struct World {
  World() {
    manual_seed(21);
    a = randn({4, 3}).set_requires_grad(true);
    b = randn({3}).set_requires_grad(true);
    c = randn({3, 2}).set_requires_grad(true);
  }
  std::vector<Tensor> leaves() const { return {a, b, c}; }
  Tensor a, b, c;
  Tensor x = ones({5, 4});
};

using Body = std::function<Tensor(World&, int)>;

/// Runs `body` eager and compiled, 12 times each; all that can be seen is compared after each call. Returns how many backward
/// passes came from a tape.
int64_t check(
    const Body& body, const std::function<void(World&, int)>& before = [](World&, int) {}) {
  World eager, compiled;
  auto f = compile(body);
  for (int i = 0; i < 12; ++i) {
    INFO("call " << i);
    before(eager, i);
    before(compiled, i);
    std::string errors[2];
    Tensor results[2];
    for (const bool is_compiled : {false, true}) try {
        results[is_compiled] = is_compiled ? f(compiled, i) : body(eager, i);
      } catch (const std::exception& e) { errors[is_compiled] = e.what(); }
    CHECK(errors[0].substr(0, errors[0].find('\n')) == errors[1].substr(0, errors[1].find('\n')));
    REQUIRE(results[0].defined() == results[1].defined());
    if (results[0].defined()) REQUIRE(same_bits(results[0], results[1]));
    for (size_t k = 0; k < 3; ++k) {
      INFO("leaf " << k);
      const Tensor p = eager.leaves()[k], q = compiled.leaves()[k];
      REQUIRE(same_bits(p, q));
      REQUIRE(p.grad().defined() == q.grad().defined());
      if (!p.grad().defined()) continue;
      REQUIRE(same_bits(p.grad(), q.grad()));
      REQUIRE(p.grad().strides() == q.grad().strides());
      REQUIRE(p.grad()._version() == q.grad()._version());
    }
  }
  return f.stats().backwards_taped;
}

Tensor forward(World& w) { return (w.x.matmul(w.a) + w.b).tanh().matmul(w.c); }
Tensor loss_of(World& w) { return forward(w).square().mean(); }

void zero(World& w, bool to_none) {
  for (const Tensor& t : w.leaves()) {
    if (!t.grad().defined()) continue;
    if (to_none) t.mutable_grad().reset();
    else t.mutable_grad().zero_();
  }
}
void update(World& w) {
  const NoGradGuard no_grad;
  for (Tensor t : w.leaves())
    if (t.grad().defined()) t.sub_(t.grad(), 0.1);
}

}  // namespace

TEST_CASE("a training step: gradients to zero or none, before or after") {
  for (const bool to_none : {false, true})
    for (const bool first : {false, true}) {
      INFO("to_none " << to_none << ", first " << first);
      CHECK(check([&](World& w, int) {
              if (first) zero(w, to_none);
              const Tensor loss = loss_of(w);
              loss.backward();
              update(w);
              if (!first) zero(w, to_none);
              return loss;
            }) >= 6);
    }
  CHECK(check([](World& w, int) {  // gradients that accumulate from call to call
          loss_of(w).backward();
          return Tensor();
        }) >= 6);
}

TEST_CASE("numbers in the graph: the same, and others in each call") {
  const auto with = [](const std::function<double(int)>& number) {
    return [number](World& w, int i) {
      manual_seed(i);
      zero(w, false);
      const Tensor loss = (dropout(forward(w) * number(i), 0.25, true) / 3).sum();
      loss.backward();
      update(w);
      return loss;
    };
  };
  CHECK(check(with([](int) { return 0.5; })) >= 6);
  check(with([](int i) { return 1.0 / (i + 1); }));
  check(with([](int i) { return i % 2 == 0 ? 0.0 : -0.0; }));
}

TEST_CASE("the kinds of gradients that are there change from call to call") {
  CHECK(check(
            [](World& w, int) {
              const Tensor loss = loss_of(w);
              loss.backward();
              return loss;
            },
            [](World& w, int i) {
              zero(w, i % 3 == 0);
              manual_seed(i);
              if (i % 4 == 2) w.b.mutable_grad().reset();
              if (i % 4 == 3) w.a.mutable_grad() = randn({3, 4}).t();                       // another layout
              if (i == 9) w.c.mutable_grad() = w.a.detach().slice(0, 0, 3).slice(1, 0, 2);  // memory of another tensor
            }) >= 1);
}

// Found by a walk (seed 355): zero_grad() overwrites the weight that the forward has saved.
TEST_CASE("a gradient in the memory of a saved tensor") {
  const auto share = [](World& w, int i) {
    if (i == 5) w.c.mutable_grad() = w.c.detach();
    if (i == 6) w.c.mutable_grad() = w.x.reshape({20}).slice(0, 0, 6).reshape({3, 2});  // read after it is written
    if (i == 7) w.c.mutable_grad() = zeros({3, 2});
    if (i == 7) w.x = ones({5, 4});
    if (i == 9) w.b.mutable_grad() = w.a.detach().select(0, 1);
  };
  const auto step = [](World& w, int) {
    const Tensor loss = loss_of(w);
    zero(w, false);
    loss.backward();
    return loss;
  };
  check(step, share);
  for (const bool zeroed : {false, true})  // the pass itself writes what it has not read yet
    check(
        [zeroed](World& w, int) {
          if (zeroed) zero(w, false);
          const Tensor loss = loss_of(w);
          loss.backward();
          return loss;
        },
        share);
}

TEST_CASE("several losses, shared nodes, retained graphs, a second pass that must fail") {
  CHECK(check([](World& w, int i) {
          zero(w, false);
          const Tensor y = forward(w), one = y.sum(), two = y.square().sum();
          if (i % 2 == 0) {
            one.backward({}, true);
            two.backward();
          } else {
            two.backward({}, true);
            one.backward();
          }
          update(w);
          return two;
        }) >= 6);
  check([](World& w, int i) {
    const Tensor loss = loss_of(w);
    loss.backward();
    if (i % 4 == 3) loss.backward();
    return loss;
  });
}

TEST_CASE("the same operators, another root") {
  check([](World& w, int i) {
    zero(w, true);
    const Tensor y = forward(w), one = y.sum(), two = y.mean();
    (i % 3 == 1 ? one : two).backward();
    return one + two;
  });
}

TEST_CASE("hooks that come and go, retained gradients, frozen leaves") {
  static double seen = 0;
  std::optional<unsigned> id[2];
  World* worlds[2] = {};
  check(
      [](World& w, int i) {
        zero(w, false);
        const Tensor y = forward(w);
        if (i == 5) y.register_hook([](const Tensor& g) { return g * 3; });
        if (i == 8) y.retain_grad();
        const Tensor loss = y.square().sum();
        loss.backward();
        update(w);
        return i == 8 ? y.grad() : loss;
      },
      [&](World& w, int i) {
        const bool second = worlds[0] != nullptr && worlds[0] != &w;
        worlds[second] = &w;
        if (i == 6) id[second] = w.b.register_hook([](const Tensor& g) { return seen += 1, g * 0.5; });
        if (i == 9) w.b.remove_hook(*id[second]);
        if (i == 10) w.c.set_requires_grad(false);
        if (i == 11) w.c.set_requires_grad(true);
      });
  CHECK(seen > 0);
}

TEST_CASE("inputs that are no leaves, in-place calls and views on the way") {
  CHECK(check([](World& w, int) {
          zero(w, false);
          Tensor y = forward(w);
          y = y.t().reshape({-1});
          Tensor z = y * 2;
          z.add_(y);
          const Tensor loss = (z.slice(0, 1, 8) * z.slice(0, 0, 7)).sum();
          loss.backward();
          update(w);
          return loss;
        }) >= 0);
  World eager, compiled;
  const auto body = [](World& w, const Tensor& a) {
    const Tensor loss = (w.x.matmul(a) * w.b).sum();
    loss.backward();
    return loss;
  };
  auto f = compile([&](World& w, const Tensor& a) { return body(w, a); });
  for (int i = 0; i < 10; ++i) {
    const auto input = [&](World& w) { return i % 3 == 2 ? w.a * 2 : w.a; };
    REQUIRE(same_bits(body(eager, input(eager)), f(compiled, input(compiled))));
    for (size_t k = 0; k < 2; ++k) REQUIRE(same_bits(eager.leaves()[k].grad(), compiled.leaves()[k].grad()));
  }
}

TEST_CASE("targets out of range are found in the pass; a graph break in it; other sizes; another default dtype") {
  check([](World& w, int i) {
    zero(w, false);
    Tensor target = full({5}, 1, kLong);
    if (i == 7) target.fill_(-3);
    const Tensor loss = nn::functional::cross_entropy(forward(w), target);
    loss.backward();
    update(w);
    return loss;
  });
  check([](World& w, int i) {
    zero(w, true);
    const Tensor loss = loss_of(w);
    if (i % 3 == 1) (void)loss.item<float>();
    loss.backward();
    return loss;
  });
  check(
      [](World& w, int) {
        zero(w, false);
        const Tensor loss = loss_of(w);
        loss.backward();
        return loss;
      },
      [](World& w, int i) {
        w.x = ones({i % 4 < 2 ? 5 : 3 + i, 4});
      });
  check([](World& w, int i) {
    zero(w, false);
    const Tensor loss = loss_of(w);
    if (i % 2 == 0) set_default_dtype(kDouble);
    loss.backward();
    set_default_dtype(kFloat);
    return loss;
  });
}

TEST_CASE("a second derivative, gradients with respect to some, a gradient given") {
  check([](World& w, int i) {
    zero(w, true);
    const Tensor y = forward(w), loss = y.square().mean();
    if (i % 4 == 1) loss.backward({}, true, true);
    else if (i % 4 == 2) autograd::backward({loss}, {}, std::nullopt, false, {w.a});
    else if (i % 4 == 3) loss.backward(full({}, 2.0));
    else loss.backward();
    for (const Tensor& t : w.leaves())
      if (t.grad().defined() && t.grad().requires_grad()) t.mutable_grad() = t.grad().detach();
    return loss.detach();
  });
}

// Found by a random training (seed 3002010): the derivative of a loss's derivative checks values too.
TEST_CASE("a second derivative of a loss with targets") {
  check([](World& w, int) {
    zero(w, true);
    const Tensor target = full({5}, 1, kLong);
    const Tensor loss = nn::functional::cross_entropy(forward(w), target);
    autograd::grad({loss}, {w.b}, {}, true, true)[0].square().sum().backward();
    return loss.detach();
  });
}

// Differences that random programs found, by name: eager and compiled must agree on each.
#include "frontend/nn/set_data.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

TEST_CASE("inputs that begin to overlap are refused by a replayed in-place call as by eager") {
  const auto f = [](const Tensor& x, const Tensor& y) { x.sub_(y); };
  auto g = compile(f);
  for (int i = 0; i < 3; ++i) g(randn({3, 4}), randn({3, 4}));
  const Tensor base = randn({4, 4}), before = base.clone();
  REQUIRE_THROWS_AS(f(base.slice(0, 1, 4), base.slice(0, 0, 3)), ValueError);
  REQUIRE_THROWS_AS(g(base.slice(0, 1, 4), base.slice(0, 0, 3)), ValueError);
  REQUIRE(same_bits(base, before));
  std::vector<float> memory(16, 1.0f);  // borrowed memory: found by address
  const Tensor a = from_blob(memory.data(), {3, 4}), b = from_blob(memory.data() + 4, {3, 4});
  REQUIRE_THROWS_AS(g(a, b), ValueError);
}

TEST_CASE("a loss of one row of classes with a target of shape [1]") {
  const auto f = [](const Tensor& x, const Tensor& target) {
    const Tensor loss = cross_entropy(x, target);
    loss.backward();
    return loss;
  };
  auto g = compile(f);
  const Tensor x = randn({5}).set_requires_grad(true), y = x.detach().clone().set_requires_grad(true);
  const Tensor target = tensor({int64_t{3}});
  REQUIRE(same_bits(f(x, target), g(y, target)));
  REQUIRE(same_bits(x.grad(), y.grad()));
}

TEST_CASE("an expanded input is read before it is filled") {
  const auto f = [](const Tensor& x) {
    const Tensor before = x.abs();
    x.fill_(1);
    return before + x;
  };
  auto g = compile(f);
  for (int i = 0; i < 3; ++i) {
    const Tensor a = randn({1, 4}), b = a.clone();
    REQUIRE(same_bits(f(a.expand({3, 4})), g(b.expand({3, 4}))));
    REQUIRE(same_bits(a, b));
  }
}

TEST_CASE("a view gets its gradient when an in-place call gave one to its base") {
  // Recorded on tensors that have nothing to do with each other; then two views of one base.
  const auto f = [](const Tensor& a, const Tensor& b, const Tensor& w, bool early) {
    Tensor first;
    if (early) first = a.abs();
    b.add_(w);
    return a.sin() + 1;
  };
  for (const bool early : {false, true}) {
    auto g = compile(f);
    const Tensor w = randn({1}).set_requires_grad(true);
    for (int i = 0; i < 3; ++i) g(randn({3, 4}), randn({3, 4}), w, early);
    for (int i = 0; i < 3; ++i) {
      const Tensor x = randn({4, 4}), y = x.clone();
      const Tensor vx = w.detach().clone().set_requires_grad(true), vy = vx.detach().clone().set_requires_grad(true);
      const Tensor eager = f(x.slice(0, 1, 4), x.slice(0, 0, 3), vx, early);
      const Tensor compiled = g(y.slice(0, 1, 4), y.slice(0, 0, 3), vy, early);
      REQUIRE(same_bits(eager, compiled));
      REQUIRE(eager.requires_grad());
      REQUIRE(compiled.requires_grad());
      eager.sum().backward();
      compiled.sum().backward();
      REQUIRE(same_bits(vx.grad(), vy.grad()));
    }
  }
}

// Backward reads the sizes of a leaf when it runs; where the leaf was given other data since, it wrote outside of its gradient.
TEST_CASE("what was taken of a leaf that was given smaller data since: an error, nothing is written") {
  for (const bool selected : {false, true})
    for (int i = 0; i < 3; ++i) {
      const auto f = [selected](const Tensor& x) {
        const Tensor part = selected ? x.select(0, 4) : x.slice(0, -2);
        sinter::detail::set_data(x, randn({2, 4}));
        part.sum().backward();
      };
      auto g = compile(f);
      const Tensor x = randn({5, 4}).requires_grad_(), y = randn({5, 4}).requires_grad_();
      REQUIRE_THROWS_AS(f(x), IndexError);
      REQUIRE_THROWS_AS(g(y), IndexError);
      REQUIRE_FALSE(x.grad().defined());
      REQUIRE_FALSE(y.grad().defined());
    }
}

// Results took over the strides that their operands had in dimensions of size 1, which are no guard: in a replay they were the
// recorded ones.
TEST_CASE("strides of results do not depend on what operands have where a size is 1") {
  const auto f = [](const Tensor& x) { return x * 3; };
  const auto h = [](const Tensor& x) { return x.unsqueeze(0).expand({2, -1, -1}).to(kDouble); };
  auto g = compile(f);
  auto e = compile(h);
  const auto block = [](int64_t n) { return randn({1, 1, n, 1, 2}).transpose(0, -1).slice(2, 0, 3); };
  const auto column = [](int64_t n) { return (randn({1, n}) > 0).t().slice(0, 0, 2); };
  for (int64_t n : {3, 5, 4, 3, 5}) {
    const Tensor x = block(n), y = column(n);
    REQUIRE(g(x).strides() == f(x).strides());
    REQUIRE(e(y).strides() == h(y).strides());
    REQUIRE(same_bits(g(x), f(x)));
    REQUIRE(same_bits(e(y), h(y)));
  }
  REQUIRE(g.stats().regions_compiled == 1);
  REQUIRE(e.stats().regions_compiled == 1);
}

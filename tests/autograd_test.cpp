// The autograd engine: accumulation, retained graphs, hooks, modes, in-place calls, views, errors, long chains.
#include "engine/autograd/autograd.h"
#include <malloc.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <thread>
#include "engine/creation.h"
#include "engine/functions.h"
#include "gradcheck.h"

using namespace sinter;
using Catch::Matchers::Contains;

namespace {

std::vector<double> numbers(const Tensor& t) {
  const Tensor c = contiguous(to(t.detach(), kDouble));
  const double* p = c.const_data_ptr<double>();
  return {p, p + c.numel()};
}

using Numbers = std::vector<double>;
Tensor leaf(const TensorData& data) { return tensor(data).requires_grad_(); }

}  // namespace

TEST_CASE("gradients of a small expression") {
  const Tensor x = leaf({1.0, 2.0, 3.0});
  const Tensor y = leaf({4.0, 5.0, 6.0});
  const Tensor loss = sum(x * y + x);
  CHECK(loss.requires_grad());
  CHECK_FALSE(loss.is_leaf());
  CHECK(x.is_leaf());
  CHECK_FALSE(x.grad().defined());
  loss.backward();
  CHECK(numbers(x.grad()) == Numbers{5, 6, 7});
  CHECK(numbers(y.grad()) == Numbers{1, 2, 3});
  CHECK_FALSE(x.grad().requires_grad());
  CHECK(x.grad().is_contiguous());
}

TEST_CASE("gradients add up in .grad, in the same tensor") {
  const Tensor x = leaf({1.0, 2.0});
  sum(x * 2.0).backward();
  const Tensor held = x.grad();
  sum(x * 3.0).backward();
  CHECK(numbers(x.grad()) == Numbers{5, 5});
  CHECK(held.is_same(x.grad()));
  x.mutable_grad().reset();
  sum(x * 3.0).backward();
  CHECK(numbers(x.grad()) == Numbers{3, 3});
  CHECK(numbers(held) == Numbers{5, 5});
}

TEST_CASE("a tensor used many times gets the sum of its gradients") {
  const Tensor x = leaf({3.0});
  const Tensor h = x * x;
  (h * h + h * x + x).backward();  // x^4 + x^3 + x
  CHECK(numbers(x.grad()) == Numbers{4 * 27 + 3 * 9 + 1});
}

TEST_CASE("leaves that get the same gradient do not share its memory") {
  const Tensor a = leaf({1.0, 2.0}), b = leaf({1.0, 2.0}), c = leaf({1.0, 2.0});
  sum((a + b) + view(c, {2}) * 1.0).backward();
  CHECK_FALSE(a.grad().is_alias_of(b.grad()));
  sum(a).backward();
  CHECK(numbers(a.grad()) == Numbers{2, 2});
  CHECK(numbers(b.grad()) == Numbers{1, 1});

  const Tensor d = leaf({1.0, 2.0}), e = leaf({1.0, 2.0});
  const Tensor seed = tensor({1.0, 1.0});
  (d + view(e, {2})).backward(seed);
  CHECK_FALSE(d.grad().is_alias_of(e.grad()));
  CHECK_FALSE(d.grad().is_alias_of(seed));
  CHECK_FALSE(e.grad().is_alias_of(seed));
}

TEST_CASE("a gradient expanded from a number is stored densely") {
  const Tensor x = leaf({{1.0, 2.0}, {3.0, 4.0}});
  sum(x).backward();
  CHECK(x.grad().is_contiguous());
  sum(x).backward();
  CHECK(numbers(x.grad()) == Numbers{2, 2, 2, 2});
}

TEST_CASE("broadcast operands and mixed types get gradients of their own shape and type") {
  const Tensor x = leaf({{1.0, 2.0}, {3.0, 4.0}});
  const Tensor s = tensor({10.0}, kDouble).requires_grad_();
  const Tensor z = tensor(2.0, kDouble).requires_grad_();
  const Tensor out = x * s + z;
  CHECK(out.dtype() == kDouble);
  sum(out).backward();
  CHECK(x.grad().dtype() == kFloat);
  CHECK(s.grad().dtype() == kDouble);
  CHECK(numbers(x.grad()) == Numbers{10, 10, 10, 10});
  CHECK(numbers(s.grad()) == Numbers{10});
  CHECK(z.grad().dim() == 0);
  CHECK(numbers(z.grad()) == Numbers{4});
  const Tensor w = leaf({0.5, 1.5});
  sum(to(w, kDouble) * tensor({2.0, 4.0}, kDouble)).backward();
  CHECK(w.grad().dtype() == kFloat);
  CHECK(numbers(w.grad()) == Numbers{2, 4});
  const Tensor w2 = leaf({0.5, 1.5});
  sum(w2, kDouble).backward();
  CHECK(numbers(w2.grad()) == Numbers{1, 1});
}

TEST_CASE("the graph is freed by backward unless retained") {
  const Tensor x = leaf({1.0, 2.0});
  const Tensor loss = sum(x * x);
  loss.backward({}, true);
  loss.backward();
  CHECK(numbers(x.grad()) == Numbers{4, 8});
  CHECK_THROWS_WITH(loss.backward(), Contains("Trying to backward through the graph a second time"));
  CHECK_THROWS_AS(loss.backward(), AutogradError);
  // Nodes that saved nothing can be walked again, as in PyTorch.
  const Tensor linear_loss = sum(x + 1.0);
  linear_loss.backward();
  CHECK_NOTHROW(linear_loss.backward());
}

TEST_CASE("what backward starts from") {
  const Tensor x = leaf({1.0, 2.0});
  const Tensor y = x * 2.0;
  CHECK_THROWS_WITH(y.backward(), Contains("grad can be implicitly created only for scalar outputs"));
  CHECK_THROWS_AS(y.backward(ones({3})), ShapeError);
  CHECK_THROWS_WITH(tensor({1.0}).backward(), Contains("element 0 of tensors does not require grad and does not have a grad_fn"));
  y.backward(tensor({1.0, 10.0}));
  CHECK(numbers(x.grad()) == Numbers{2, 20});
  const Tensor single = leaf({{5.0}});
  single.backward();  // a leaf itself
  CHECK(numbers(single.grad()) == Numbers{1});
  CHECK(single.grad().sizes() == IntArrayRef({1, 1}));
  const Tensor a = leaf(1.0), b = leaf(2.0);
  autograd::backward({a * b, a * 3.0}, {Tensor(), tensor(2.0)});
  CHECK(numbers(a.grad()) == Numbers{8});
  CHECK_THROWS_AS(autograd::backward({a * b}, {Tensor(), Tensor()}), AutogradError);
}

TEST_CASE("a root inside the graph of another root") {
  const Tensor x = leaf(3.0);
  const Tensor y = x * x;
  const Tensor z = y * y;
  autograd::backward({y, z});
  CHECK(numbers(x.grad()) == Numbers{6 + 4 * 27});
}

TEST_CASE("autograd::grad") {
  const Tensor x = leaf({1.0, 2.0}), w = leaf({3.0, 4.0}), unused = leaf({1.0});
  const Tensor h = x * w;
  const Tensor loss = sum(h * h);
  const auto g = autograd::grad({loss}, {h, x}, {}, true);
  CHECK(numbers(g[0]) == Numbers{6, 16});
  CHECK(numbers(g[1]) == Numbers{18, 64});
  CHECK_FALSE(x.grad().defined());
  CHECK_FALSE(w.grad().defined());
  CHECK_THROWS_WITH(autograd::grad({loss}, {unused}, {}, true), Contains("not have been used in the graph"));
  CHECK_FALSE(autograd::grad({loss}, {unused}, {}, true, false, true)[0].defined());
  CHECK_THROWS_WITH(autograd::grad({loss}, {tensor({1.0})}, {}, true), Contains("does not require grad"));
  CHECK(numbers(autograd::grad({loss}, {loss}, {}, true)[0]) == Numbers{1});
  // Only what lies on the way to the inputs runs: the graph below h is still there.
  (void)autograd::grad({loss}, {h});
  CHECK_NOTHROW(autograd::grad({h}, {x}, {ones({2})}));
}

TEST_CASE("backward restricted to some leaves") {
  const Tensor x = leaf({1.0, 2.0}), w = leaf({3.0, 4.0});
  autograd::backward({sum(x * w)}, {}, std::nullopt, false, {w});
  CHECK_FALSE(x.grad().defined());
  CHECK(numbers(w.grad()) == Numbers{1, 2});
}

TEST_CASE("second derivatives") {
  const Tensor x = leaf({2.0, 3.0});
  const Tensor y = sum(x * x * x);
  const Tensor g = autograd::grad({y}, {x}, {}, std::nullopt, true)[0];
  CHECK(g.requires_grad());
  CHECK(numbers(g) == Numbers{12, 27});
  sum(g).backward();
  CHECK(numbers(x.grad()) == Numbers{12, 18});
  // backward with create_graph leaves a .grad that can be differentiated.
  const Tensor z = leaf(2.0);
  pow(z, 3).backward({}, std::nullopt, true);
  CHECK(z.grad().requires_grad());
  const Tensor third = autograd::grad({autograd::grad({z.grad()}, {z}, {}, true, true)[0]}, {z})[0];
  CHECK(numbers(third) == Numbers{6});
  z.mutable_grad().reset();  // it holds the graph that made it, and so z itself
}

TEST_CASE("modes and detached tensors") {
  const Tensor x = leaf({1.0, 2.0});
  {
    const NoGradGuard no_grad;
    CHECK_FALSE((x * 2.0).requires_grad());
    const AutoGradMode on(true);
    CHECK((x * 2.0).requires_grad());
  }
  const Tensor d = (x * 2.0).detach();
  CHECK_FALSE(d.requires_grad());
  CHECK(d.is_leaf());
  CHECK_THROWS_AS(sum(d * 3.0).backward(), AutogradError);
  sum(x * d).backward();
  CHECK(numbers(x.grad()) == Numbers{2, 4});
  Tensor y = x * 2.0;
  y.detach_();
  CHECK_FALSE(y.requires_grad());
  CHECK(y.is_leaf());
  CHECK_THROWS_WITH(select(x * 1.0, 0, 0).detach_(), Contains("Can't detach views in-place"));
}

TEST_CASE("requires_grad_") {
  CHECK_THROWS_WITH(tensor({1, 2}).requires_grad_(), Contains("only Tensors of floating point dtype can require gradients"));
  const Tensor x = leaf({1.0});
  const Tensor y = x * 2.0;
  CHECK_NOTHROW(y.requires_grad_());
  CHECK_THROWS_WITH(y.requires_grad_(false), Contains("you can only change requires_grad flags of leaf variables."));
  x.requires_grad_(false);
  CHECK_FALSE((x * 2.0).requires_grad());
  sum(y).backward();  // x no longer wants one
  CHECK_FALSE(x.grad().defined());
  CHECK_FALSE((x == 1.0).requires_grad());
}

TEST_CASE("hooks") {
  const Tensor x = leaf({1.0, 2.0});
  const Tensor y = x * 2.0;
  std::vector<Numbers> seen;
  const unsigned first = y.register_hook([&](const Tensor& g) { seen.push_back(numbers(g)); });
  y.register_hook([](const Tensor& g) { return g * 10.0; });
  y.register_hook([&](const Tensor& g) { seen.push_back(numbers(g)); });
  x.register_hook([](const Tensor& g) { return g + 1.0; });
  sum(y * y).backward({}, true);
  CHECK(seen == std::vector<Numbers>{{4, 8}, {40, 80}});
  CHECK(numbers(x.grad()) == Numbers{81, 161});
  y.remove_hook(first);
  seen.clear();
  sum(y).backward();
  CHECK(seen == std::vector<Numbers>{{10, 10}});
  CHECK_THROWS_AS(y.remove_hook(17), AutogradError);
  CHECK_THROWS_AS(tensor({1.0}).register_hook([](const Tensor&) {}), AutogradError);
  const Tensor z = x * 1.0;
  z.register_hook([](const Tensor&) { return ones({7}); });
  CHECK_THROWS_WITH(sum(z).backward(), Contains("hook"));
}

TEST_CASE("a hook may keep the gradient or run a backward of its own") {
  const Tensor x = leaf({1.0, 2.0}), other = leaf({1.0, 1.0});
  Tensor kept;
  x.register_hook([&](const Tensor& g) {
    kept = g;
    const AutoGradMode on(true);
    sum(other * 5.0).backward();
  });
  sum(x * 2.0).backward();
  sum(x * 2.0).backward();
  CHECK(numbers(kept) == Numbers{2, 2});
  CHECK(numbers(x.grad()) == Numbers{4, 4});
  CHECK(numbers(other.grad()) == Numbers{10, 10});
}

TEST_CASE("retain_grad") {
  const Tensor x = leaf({1.0, 2.0});
  const Tensor y = x * 2.0;
  CHECK_FALSE(y.grad().defined());
  y.retain_grad();
  CHECK(y.retains_grad());
  sum(y * y).backward();
  CHECK(numbers(y.grad()) == Numbers{4, 8});
  CHECK(numbers(x.grad()) == Numbers{8, 16});
  CHECK_THROWS_AS(tensor({1.0}).retain_grad(), AutogradError);
}

TEST_CASE("in-place calls") {
  const Tensor x = leaf({1.0, 2.0});
  Tensor w = x;
  CHECK_THROWS_WITH(w += 1.0, Contains("a leaf Variable that requires grad is being used in an in-place operation."));
  {
    const NoGradGuard no_grad;
    w += 1.0;
  }
  Tensor y = x * 2.0;  // 4, 6
  y *= y.detach() * 0.0 + 3.0;
  y += x;
  sum(y).backward();
  CHECK(numbers(x.grad()) == Numbers{7, 7});
  // A buffer that did not require grad becomes part of the graph.
  Tensor buffer = zeros({2});
  buffer += x * 5.0;
  CHECK(buffer.requires_grad());
  CHECK_FALSE(buffer.is_leaf());
  x.mutable_grad().reset();
  sum(buffer).backward();
  CHECK(numbers(x.grad()) == Numbers{5, 5});
}

TEST_CASE("in-place calls whose derivative reads the old value") {
  const Tensor x = leaf({2.0, 3.0}), w = leaf({5.0, 7.0});
  Tensor y = x * 1.0;
  y *= w;
  sum(y).backward();
  CHECK(numbers(x.grad()) == Numbers{5, 7});
  CHECK(numbers(w.grad()) == Numbers{2, 3});
  const Tensor z = leaf({0.5});
  Tensor e = z * 1.0;
  e.sin_();
  e.exp_();
  e.backward();
  CHECK(numbers(z.grad())[0] == Approx(std::exp(std::sin(0.5)) * std::cos(0.5)));
  const Tensor v = leaf({-1.0, 2.0});
  Tensor r = v * 1.0;
  r.relu_();
  sum(r * r).backward();
  CHECK(numbers(v.grad()) == Numbers{0, 4});
}

TEST_CASE("a saved tensor that was changed in place is noticed") {
  const Tensor x = leaf({{1.0, 2.0}, {3.0, 4.0}});
  Tensor y = relu(x);
  const Tensor z = sum(y * y);
  y += 1.0;
  CHECK_THROWS_AS(z.backward(), AutogradError);
  CHECK_THROWS_WITH(z.backward(), Contains("has been modified by an inplace operation: [float [2, 2]]"));
  Tensor h = relu(x);
  h += 1.0;
  CHECK_THROWS_WITH(sum(h).backward(), Contains("which is output 0 of Relu, is at version 1; expected version 0 instead."));
  Tensor data = tensor({1.0, 2.0});
  const Tensor loss = sum(leaf({1.0, 1.0}) * data);
  data.zero_();
  CHECK_THROWS_WITH(loss.backward(), Contains("[float [2]] is at version 1; expected version 0 instead."));
  // Multiplying a tensor by itself in place destroys what the derivative reads.
  Tensor self = leaf({3.0}) * 1.0;
  self *= self;
  CHECK_THROWS_AS(self.backward(), AutogradError);
}

TEST_CASE("views: the gradient goes to the base") {
  const Tensor x = leaf({{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  const Tensor v = select(t(x), 0, 1);
  sum(v * 10.0).backward();
  CHECK(numbers(x.grad()) == Numbers{0, 10, 0, 0, 10, 0});
}

TEST_CASE("in-place calls on views change the base's history") {
  const Tensor x = leaf({{1.0, 2.0}, {3.0, 4.0}});
  Tensor y = x * 1.0;
  const Tensor older = select(y, 1, 0);
  Tensor row = select(y, 0, 0);
  row *= 10.0;
  CHECK(numbers(y) == Numbers{10, 20, 3, 4});
  sum(y).backward({}, true);
  CHECK(numbers(x.grad()) == Numbers{10, 10, 1, 1});
  x.mutable_grad().reset();
  sum(older).backward({}, true);  // made before the write, reads through it
  CHECK(numbers(x.grad()) == Numbers{10, 0, 1, 0});
  x.mutable_grad().reset();
  sum(row).backward();
  CHECK(numbers(x.grad()) == Numbers{10, 10, 0, 0});
  Tensor leaf_row = select(x, 0, 0);
  CHECK_THROWS_WITH(leaf_row *= 2.0,
                    Contains("a view of a leaf Variable that requires grad is being used in an in-place operation."));
}

TEST_CASE("rows written into a buffer that did not require grad") {
  const Tensor x = leaf({1.0, 2.0, 3.0});
  Tensor out = zeros({2, 3});
  const Tensor flat = view(out, {6});
  select(out, 0, 0).copy_(x * 2.0);
  slice(select(out, 0, 1), 0, 1, 3).copy_(slice(x, 0, 0, 2) * 5.0);
  CHECK(out.requires_grad());
  sum(out * out).backward({}, true);  // (2x)^2 + (5 x[0..1])^2
  CHECK(numbers(x.grad()) == Numbers{8 + 50, 16 + 100, 24});
  x.mutable_grad().reset();
  sum(flat * 1.0).backward();  // a view from before the writes
  CHECK(numbers(x.grad()) == Numbers{7, 7, 2});
}

TEST_CASE("in-place on a view through gradcheck") {
  const gradcheck::Function f = [](const std::vector<Tensor>& in) {
    Tensor y = in[0] * 2.0;
    Tensor v = slice(t(y), 0, 1, 3);
    v *= in[1];
    v.exp_();
    return y * y;
  };
  const std::vector<Tensor> inputs = {gradcheck::values({2, 3}, 1, -0.5, 0.5), gradcheck::values({2, 2}, 2, -0.5, 0.5)};
  CHECK(gradcheck::check(f, inputs) == "");
  CHECK(gradcheck::check_second(f, inputs) == "");
}

TEST_CASE("ties of amax share the gradient; ties of maximum halve it") {
  const Tensor x = leaf({1.0, 3.0, 3.0, 0.0});
  amax(x).backward();
  CHECK(numbers(x.grad()) == Numbers{0, 0.5, 0.5, 0});
  const Tensor a = leaf({1.0, 2.0}), b = leaf({1.0, 3.0});
  sum(maximum(a, b)).backward();
  CHECK(numbers(a.grad()) == Numbers{0.5, 0});
  CHECK(numbers(b.grad()) == Numbers{0.5, 1});
}

TEST_CASE("embedding leaves the padding row alone") {
  const Tensor w = leaf({{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}});
  sum(embedding(w, tensor({0, 1, 1, 2}), 1)).backward();
  CHECK(numbers(w.grad()) == Numbers{1, 1, 0, 0, 1, 1});
}

TEST_CASE("gradients at special points are those of PyTorch") {
  const Tensor x = leaf({0.0, -2.0});
  sum(pow(x, 2)).backward();
  CHECK(numbers(x.grad()) == Numbers{0, -4});
  const Tensor z = leaf({0.0});
  sum(pow(z, 0)).backward();
  CHECK(numbers(z.grad()) == Numbers{0});
  const Tensor r = leaf({0.0, -1.0, 1.0});
  sum(relu(r)).backward();
  CHECK(numbers(r.grad()) == Numbers{0, 0, 1});
  const Tensor c = leaf({-1.0, -0.5, 0.0, 0.5, 1.0});
  sum(clamp(c, -0.5, 0.5)).backward();
  CHECK(numbers(c.grad()) == Numbers{0, 1, 1, 1, 0});
  const Tensor far = leaf({1.0, 2.0});
  sum(where(tensor({true, false}), far, exp(far * 1000.0).detach())).backward();
  CHECK(numbers(far.grad()) == Numbers{1, 0});
}

TEST_CASE("chains of a hundred thousand calls need little stack") {
  const Tensor x = leaf(1.0);
  {
    Tensor y = x;
    for (int i = 0; i < 100000; ++i) y = y + 1.0;
    y.backward();
    CHECK(numbers(x.grad()) == Numbers{1});
    Tensor z = x;
    for (int i = 0; i < 100000; ++i) z = tanh(z);  // dropped without a backward, with saved results
  }
  Tensor v = zeros({2, 2});
  for (int i = 0; i < 100000; ++i) v = t(v);  // each view keeps the one before
  v = Tensor();
  Tensor w = x * ones({2, 2});
  for (int i = 0; i < 100000; ++i) w = t(w);
  sum(w).backward();
  CHECK(numbers(x.grad()) == Numbers{5});
}

TEST_CASE("a large fan-out") {
  const Tensor x = leaf({1.0, 2.0});
  Tensor total = x * 0.0;
  for (int i = 0; i < 2000; ++i) total = total + x * static_cast<double>(i % 3);
  std::vector<Tensor> parts(300, total);
  sum(cat(parts)).backward();
  CHECK(numbers(x.grad()) == Numbers{300 * 1999.0, 300 * 1999.0});
}

TEST_CASE("nodes die with the tensors that need them") {
  const Tensor x = leaf({1.0, 2.0});
  const Tensor a = tensor({3.0, 4.0});
  const uint32_t before = a.impl()->count();
  {
    const Tensor y = x * a;
    CHECK(a.impl()->count() == before + 1);  // saved
    const Tensor r = exp(y);
  }
  CHECK(a.impl()->count() == before);
  const Tensor loss = sum(x * a);
  CHECK(a.impl()->count() == before + 1);
  loss.backward();
  CHECK(a.impl()->count() == before);  // freed by backward, though the loss lives on
}

TEST_CASE("no memory is left behind") {
  const auto turn = [] {
    const Tensor x = leaf({{1.0, 2.0}, {3.0, 4.0}});
    Tensor y = exp(x) * x;
    const Tensor older = select(y, 1, 0);
    Tensor row = select(y, 0, 0);
    row *= 2.0;
    y.relu_();
    y.register_hook([x](const Tensor& g) { return g + x.detach(); });
    y.retain_grad();
    const Tensor loss = sum(softmax(y, 1) * y) + sum(older);
    loss.backward({}, std::nullopt, true);
    sum(x.grad() * x.grad()).backward();  // .grad holds the graph that made it
    x.mutable_grad().reset();
    Tensor unused = tanh(x);
    unused.mul_(unused.detach() + 1.0);
  };
  for (int i = 0; i < 50; ++i) turn();  // the caches are warm
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 400; ++i) turn();
  CHECK(mallinfo2().uordblks < before + 400 * 32);  // a tensor or node per turn would be more
}

TEST_CASE("only what a derivative reads is kept") {
  const Tensor x = leaf({1.0, 2.0}), c = tensor({3.0, 4.0});
  const uint32_t n = x.impl()->count();
  const Tensor y = x * c;  // c for x's gradient; x itself only by the edge
  CHECK(x.impl()->count() == n + 1);
  const Tensor z = c + y;
  CHECK(c.impl()->count() == 2);
}

TEST_CASE("backward on several threads into one leaf") {
  const Tensor w = leaf({1.0, 1.0});
  constexpr int kThreads = 4, kTurns = 500;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&w] {
      for (int k = 0; k < kTurns; ++k) sum(w * 2.0).backward();
    });
  for (std::thread& t : threads) t.join();
  CHECK(numbers(w.grad()) == Numbers{2.0 * kThreads * kTurns, 2.0 * kThreads * kTurns});
}

TEST_CASE("a graph built on one thread and walked on another") {
  const Tensor x = leaf({1.0, 2.0});
  Tensor y;
  std::thread([&] { y = exp(x) * x; }).join();
  Tensor z = sum(y * 2.0);
  std::thread([&] {
    z.backward();
    z = Tensor();
  }).join();
  CHECK(numbers(x.grad())[0] == Approx(2 * std::exp(1.0) * 2));
}

TEST_CASE("a graph that goes on in a thread of fewer calls, restricted to a leaf") {
  const Tensor x = leaf({1.0, 2.0}), w = leaf({3.0, 4.0});
  for (int i = 0; i < 1000; ++i) (void)(x * 2.0);  // this thread's numbers are ahead
  const Tensor h = x * w;
  Tensor y;
  std::thread([&] { y = sum(h * 2.0); }).join();
  CHECK(numbers(autograd::grad({y}, {x})[0]) == Numbers{6, 8});
}

TEST_CASE("a graph that goes on in a thread of fewer calls: what leads to no wanted leaf is not walked") {
  const Tensor x = leaf({1.0, 2.0}), w = leaf({3.0, 4.0});
  for (int i = 0; i < 1000; ++i) (void)(x * 2.0);  // this thread's numbers are ahead
  const Tensor h = w * 2.0;
  Tensor y;
  std::thread([&] {
    const Tensor e = exp(h * 0.0);
    sum(e).backward();  // a walk through it would be refused from here on
    y = sum(x * e);
  }).join();
  CHECK(numbers(autograd::grad({y}, {x})[0]) == Numbers{1, 1});
}

TEST_CASE("a gradient passed in stays the caller's") {
  const Tensor x = leaf({1.0, 2.0, 3.0, 4.0});
  const Tensor g = ones({2, 2});  // of x's type: another one would be converted on the way
  x.view({2, 2}).backward(g, true);
  x.view({2, 2}).backward(g);
  CHECK(numbers(x.grad()) == Numbers{2, 2, 2, 2});
  CHECK(numbers(g.view({4})) == Numbers{1, 1, 1, 1});
  CHECK_FALSE(x.grad().is_alias_of(g));
}

TEST_CASE("an error in the middle of a backward leaves the engine usable") {
  const Tensor x = leaf({1.0, 2.0});
  const Tensor y = x * 2.0;
  y.register_hook([](const Tensor&) { throw ValueError("no"); });
  CHECK_THROWS_AS(sum(y).backward(), ValueError);
  sum(x * 3.0).backward();
  CHECK(numbers(x.grad()) == Numbers{3, 3});
}

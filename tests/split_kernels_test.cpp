// Kernels divided over threads: the same bits for any number of them, compiled and eager.
#include <functional>
#include <string>
#include <thread>
#include <vector>
#include "runtime/threads.h"
#include "set_threads.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

using Fn = std::function<std::vector<Tensor>(const Tensor&, const Tensor&)>;

std::string all_bits(const std::vector<Tensor>& tensors) {
  std::string all;
  for (const Tensor& t : tensors) all += bits(t);
  return all;
}

/// `f` eager on one thread against eager and compiled on several; both must have been divided if `divided` says so.
void check(const char* what, const Tensor& x, const Tensor& y, const Fn& f, bool divided = true) {
  INFO(what);
  std::string want;
  {
    const SetThreads one(1);
    want = all_bits(f(x.clone(), y.clone()));
  }
  auto g = compile(f);
  for (int threads : {1, 2, 3, 7}) {
    INFO(threads << " threads");
    const SetThreads set(threads);
    const uint64_t split = thread_stats().split;
    for (int i = 0; i < 2; ++i) REQUIRE(all_bits(g(x.clone(), y.clone())) == want);
    if (divided) REQUIRE((thread_stats().split > split) == (threads > 1));
    REQUIRE(all_bits(f(x.clone(), y.clone())) == want);
  }
}

Tensor values(IntArrayRef sizes, ScalarType t = kFloat) { return randn(sizes, t); }

}  // namespace

TEST_CASE("pointwise kernels give the same bits for any number of threads") {
  manual_seed(1);
  check("one dimension, a tail", values({300'007}), values({300'007}), [](const Tensor& x, const Tensor& y) {
    return std::vector{(x.sin() + y.cos()) * 2, x > y};
  });
  check("rows and a bias", values({513, 777}), values({777}),
        [](const Tensor& x, const Tensor& y) { return std::vector{gelu(x + y) * 2}; });
  check("a column beside rows", values({513, 777}), values({513, 1}),
        [](const Tensor& x, const Tensor& y) { return std::vector{(x * y).tanh()}; });
  check("a transposed operand", values({700, 600}), values({600, 700}),
        [](const Tensor& x, const Tensor& y) { return std::vector{x.exp() + y.t()}; });
  check("every second row, few of them", values({6, 100'003}), values({100'003}),
        [](const Tensor& x, const Tensor& y) { return std::vector{x.slice(0, 0, 6, 2).exp() - y}; });
  check("float64", values({100'001}, kDouble), values({100'001}, kDouble),
        [](const Tensor& x, const Tensor& y) { return std::vector{(x.sin() * y).exp()}; });
  check("int64 and a mask", randint(-9, 9, {200'001}), randint(-9, 9, {200'001}),
        [](const Tensor& x, const Tensor& y) { return std::vector{where(x > y, x, y) * 3 - x}; });
  check("in place", values({400'003}), values({400'003}), [](const Tensor& x, const Tensor& y) {
    Tensor z = x;
    z.mul_(0.5).add_(y.exp());
    return std::vector{z, z + 1};
  });
  check("past the caches", values({9'000'001}), values({9'000'001}),
        [](const Tensor& x, const Tensor& y) { return std::vector{x * 0.5 + y}; });
}

TEST_CASE("reductions along kept dimensions give the same bits for any number of threads") {
  manual_seed(2);
  check("rows", values({700, 1001}), values({1}), [](const Tensor& x, const Tensor&) {
    return std::vector{x.sum(-1), (x * 2).mean(-1), x.amax(-1)};
  });
  check("columns", values({700, 1001}), values({1}), [](const Tensor& x, const Tensor&) {
    return std::vector{x.exp().sum(0), x.mean(0)};
  });
  check("columns in the middle", values({40, 100, 203}), values({1}),
        [](const Tensor& x, const Tensor&) { return std::vector{x.exp().sum(1)}; });
  check("softmax", values({400, 1500}), values({1500}), [](const Tensor& x, const Tensor& y) {
    return std::vector{softmax(x + y, -1), log_softmax(x, -1)};
  });
  check("softmax of a masked batch", values({2, 6, 130, 130}), values({130, 130}),
        [](const Tensor& x, const Tensor& y) { return std::vector{softmax(x * 0.125 + y, -1)}; });
  check("softmax along columns", values({300, 1100}), values({1}),
        [](const Tensor& x, const Tensor&) { return std::vector{softmax(x, 0)}; });
  check("softmax of long rows", values({40, 20'000}), values({1}),
        [](const Tensor& x, const Tensor&) { return std::vector{softmax(x.sin(), -1)}; });
  check("a norm by hand", values({500, 800}), values({800}), [](const Tensor& x, const Tensor& y) {
    const Tensor d = x - x.mean(-1, true);
    return std::vector{d * (d * d).mean(-1, true).add(1e-5).rsqrt() * y};
  });
}

TEST_CASE("layer norm gives the same bits for any number of threads") {
  manual_seed(3);
  check("layer_norm", values({500, 800}), values({800}), [](const Tensor& x, const Tensor& y) {
    return std::vector{nn::functional::layer_norm(x, nn::functional::LayerNormFuncOptions({800}).weight(y))};
  });
}

TEST_CASE("a training step gives the same bits for any number of threads") {
  const auto train = [](int threads, bool compiled) {
    const SetThreads set(threads);
    manual_seed(7);
    nn::Sequential net(nn::Linear(300, 400), nn::ReLU(), nn::LayerNorm(nn::LayerNormOptions({400})), nn::Linear(400, 10));
    optim::Adam adam(net->parameters(), optim::AdamOptions(0.01));
    const Tensor x = randn({128, 300}), y = randint(0, 10, {128}, kLong);
    auto step = [&] {
      adam.zero_grad();
      const Tensor loss = nn::functional::cross_entropy(net->forward(x), y);
      loss.backward();
      adam.step();
      return loss;
    };
    auto g = compile(step);
    std::string all;
    for (int i = 0; i < 3; ++i) all += bits(compiled ? g() : step());
    for (const Tensor& p : net->parameters()) all += bits(p);
    return all;
  };
  const std::string want = train(1, false);
  for (int threads : {1, 2, 3, 7}) {
    INFO(threads << " threads");
    REQUIRE(train(threads, true) == want);
    REQUIRE(train(threads, false) == want);
  }
}

TEST_CASE("small kernels stay on the caller") {
  const SetThreads set(2);
  auto g = compile([](const Tensor& x) { return x.sin() * 2; });
  const Tensor x = randn({1000});
  (void)g(x);
  const ThreadStats before = thread_stats();
  for (int i = 0; i < 100; ++i) (void)g(x);
  REQUIRE(thread_stats().split == before.split);
  REQUIRE(thread_stats().busy == before.busy);
}

TEST_CASE("many user threads call divided kernels at once") {
  const SetThreads set(3);
  manual_seed(5);
  const Tensor x = randn({400, 700});
  const auto f = [](const Tensor& t) { return softmax(t.sin() * 3, -1); };
  auto g = compile(f);
  const std::string want = bits(f(x));
  std::vector<int> wrong(6);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) wrong[t] += bits(g(x)) != want;
    });
  for (auto& t : threads) t.join();
  REQUIRE(wrong == std::vector<int>(6, 0));
}

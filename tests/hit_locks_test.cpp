// Calls that hit take no lock: in this program every lock of a mutex goes through a counter (linked with --wrap).
#include <pthread.h>
#include <atomic>
#include <thread>
#include "set_threads.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {
std::atomic<int64_t> locks{0};
}

extern "C" {
int __real_pthread_mutex_lock(pthread_mutex_t* m);
int __real_pthread_mutex_trylock(pthread_mutex_t* m);
int __wrap_pthread_mutex_lock(pthread_mutex_t* m) {
  ++locks;
  return __real_pthread_mutex_lock(m);
}
int __wrap_pthread_mutex_trylock(pthread_mutex_t* m) {
  ++locks;
  return __real_pthread_mutex_trylock(m);
}
}

namespace {

/// Locks taken by 200 calls, after some that record, compile and fill caches.
template <class F>
int64_t locks_of_hits(F&& call) {
  for (int i = 0; i < 20; ++i) call();
  const int64_t before = locks;
  for (int i = 0; i < 200; ++i) call();
  return locks - before;
}

struct NetImpl : nn::Module {
  nn::Linear first{nullptr}, second{nullptr};
  NetImpl() {
    first = register_module("first", nn::Linear(10, 5));
    second = register_module("second", nn::Linear(5, 2));
  }
  Tensor forward(const Tensor& x) { return second(relu(first(x))); }
};
SINTER_MODULE(Net);

}  // namespace

TEST_CASE("locks are counted") {
  const int64_t before = locks;
  sinter::reset();
  REQUIRE(locks > before);
}

TEST_CASE("an inference call that hits takes no lock") {
  const NoGradGuard no_grad;
  Net net;
  auto f = compile([&](const Tensor& x) { return net(x).softmax(1); });
  const Tensor x = randn({4, 10});
  REQUIRE(locks_of_hits([&] { (void)f(x); }) == 0);
  const Tensor big = randn({300, 400});  // results beyond the small lists of a thread
  auto g = compile([](const Tensor& t) { return (t * 2).exp().sum(1) + t.amax(1); });
  REQUIRE(locks_of_hits([&] { (void)g(big); }) == 0);
  auto h = compile([](const Tensor& t) { return t.exp() * 2; });
  REQUIRE(locks_of_hits([&] { (void)h(big); }) == 0);
}

TEST_CASE("a training step that hits takes no lock") {
  Net net;
  optim::Adam adam(net->parameters(), optim::AdamOptions(0.01));
  const Tensor x = randn({6, 10}), y = randint(0, 2, {6}, kLong);
  auto step = compile([&] {
    adam.zero_grad();
    const Tensor loss = nn::functional::cross_entropy(net(x), y);
    loss.backward();
    adam.step();
    return loss;
  });
  REQUIRE(locks_of_hits([&] { (void)step(); }) == 0);
}

TEST_CASE("a call over frozen weights takes no lock") {
  const NoGradGuard no_grad;
  nn::Linear layer(40, 30);
  auto f = compile([&](const Tensor& x) { return relu(layer(x)); });
  const Tensor x = randn({20, 40});
  REQUIRE(freeze(layer) == 1);
  REQUIRE(locks_of_hits([&] { (void)f(x); }) == 0);
  REQUIRE(frozen_bytes() > 0);
  layer->weight.detach().mul_(2);
  REQUIRE(locks_of_hits([&] { (void)f(x); }) == 0);
}

TEST_CASE("a divided kernel takes no lock") {
  const NoGradGuard no_grad;
  const SetThreads set(2);
  auto f = compile([](const Tensor& t) { return softmax(t.sin(), -1); });
  const Tensor x = randn({300, 900});
  const uint64_t split = thread_stats().split;
  REQUIRE(locks_of_hits([&] { (void)f(x); }) == 0);
  REQUIRE(thread_stats().split > split);
}

// Frames of several threads: values pending in another thread's frame, first calls at once, forgetting while others call.
#include <malloc.h>
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <thread>
#include "child_process.h"
#include "codegen/kernel.h"
#include "engine/autograd/autograd.h"
#include "engine/program/cache.h"
#include "sandbox.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// Runs f on a thread of its own, to its end.
template <class F>
void elsewhere(F&& f) {
  std::thread t(std::forward<F>(f));
  t.join();
}

}  // namespace

TEST_CASE("foreign reads: results, views, written inputs, dead results") {
  const auto f = [](const Tensor& x, const Tensor& w, bool foreign) {
    Tensor a = x.sin();
    Tensor v = a.select(0, 1);
    w.add_(a);
    Tensor dead = a * 3;
    double sum = 0;
    const auto read = [&] { sum = v.sum().item<double>() + w.sum().item<double>(); };
    if (foreign) elsewhere(read);
    else read();
    dead.reset();
    Tensor b = a + v;  // the region after the visit
    return std::vector<Tensor>{b, v, full({}, sum, kDouble)};
  };
  auto g = compile(f);
  for (int i = 0; i < 6; ++i) {
    manual_seed(i);
    const Tensor x = randn({3, 5}, kDouble);
    Tensor w1 = ones({3, 5}, kDouble), w2 = ones({3, 5}, kDouble);
    const auto eager = f(x, w1, false);
    const auto compiled = g(x, w2, i % 2 == 0);
    for (size_t k = 0; k < eager.size(); ++k) {
      REQUIRE(same_bits(eager[k], compiled[k]));
      REQUIRE(eager[k]._version() == compiled[k]._version());
    }
    REQUIRE(same_bits(w1, w2));
    REQUIRE(w1._version() == w2._version());
    REQUIRE(compiled[1].is_alias_of(compiled[0]) == false);
  }
}

TEST_CASE("a foreign thread computes with pending values: eager, in its own frame, in place, with gradients") {
  auto inner = compile([](const Tensor& t) { return t * t + 1; });
  auto outer = compile([&](const Tensor& x, int way) {
    Tensor h = (x * 2).tanh();
    Tensor r;
    elsewhere([&] {
      if (way == 0) r = h.exp();
      if (way == 1) r = inner(h);
      if (way == 2) h.mul_(0.5), r = h.clone();
    });
    return r + h;
  });
  const auto eager = [](const Tensor& x, int way) {
    Tensor h = (x * 2).tanh();
    Tensor r;
    if (way == 0) r = h.exp();
    if (way == 1) r = h * h + 1;
    if (way == 2) h.mul_(0.5), r = h.clone();
    return r + h;
  };
  for (int round = 0; round < 4; ++round)
    for (int way = 0; way < 3; ++way) {
      const Tensor x = randn({4, 4});
      REQUIRE(same_bits(eager(x, way), outer(x, way)));
    }
}

TEST_CASE("a foreign thread makes views of a pending value") {
  auto g = compile([](const Tensor& x) {
    Tensor h = (x * 2).tanh();
    Tensor view;
    elsewhere([&] { view = h.slice(0, 1, 3); });  // of a region that is closed by the making
    h.reset();
    return view + 1;
  });
  for (int round = 0; round < 4; ++round) {
    const Tensor x = randn({4, 4});
    REQUIRE(same_bits((x * 2).tanh().slice(0, 1, 3) + 1, g(x)));
  }
}

TEST_CASE("G45 backward on another thread, through a pending result") {
  auto g = compile([](const Tensor& x) {
    Tensor y = (x * x).sum();
    elsewhere([&] { y.backward(); });
    return y + 1;
  });
  for (int i = 0; i < 4; ++i) {
    Tensor x = randn({5}).set_requires_grad(true);
    (void)g(x);
    REQUIRE(same_bits(x.grad(), x.detach() * 2));
  }
}

TEST_CASE("a foreign thread drops the last handle of a pending result, and of one with gradients") {
  auto g = compile([](const Tensor& x) {
    Tensor a = x * 3, b = a.exp();
    elsewhere([a = std::move(a), b = std::move(b)]() mutable { a.reset(), b.reset(); });
    return x + 1;
  });
  for (int i = 0; i < 6; ++i) {
    Tensor x = ones({4}).set_requires_grad(i % 2);
    REQUIRE(g(x).select(0, 0).item<float>() == 2.0f);
  }
}

TEST_CASE("only one thread ever calls compiled functions: the child of the case below", "[.][one_caller]") {
  Tensor x = ones({100}, kDouble);
  std::barrier<> turn(2);
  Tensor y;
  std::thread caller([&] {
    auto f = compile([&] {
      const Tensor h = x * 2;
      turn.arrive_and_wait();  // done with x
      turn.arrive_and_wait();
      return h + 1;
    });
    y = f();
  });
  turn.arrive_and_wait();
  x.reset();
  const Tensor takes_its_memory = full({100}, 7.0, kDouble);
  turn.arrive_and_wait();
  caller.join();
  REQUIRE(same_bits(y, full({100}, 3.0, kDouble)));
}
TEST_CASE("an input dropped by a thread that never called a compiled function") { REQUIRE(run_child("[one_caller]") == 0); }

TEST_CASE("membarrier is forbidden after it has worked: the child of the case below", "[.][no_membarrier]") {
  const auto f = [](const Tensor& x) { return (x * 2).sin(); };
  const Tensor x = randn({64});
  auto g = compile([&](const Tensor& x) {
    const Tensor y = f(x);
    elsewhere([&] { REQUIRE(same_bits(y.clone(), f(x))); });
    return y + 1;
  });
  REQUIRE(same_bits(g(x), f(x) + 1));
  REQUIRE(refuse_membarrier());
  for (int i = 0; i < 20; ++i) REQUIRE(same_bits(g(x), f(x) + 1));
}
TEST_CASE("membarrier is forbidden after it has worked") { REQUIRE(run_child("[no_membarrier]") == 0); }

// A view's grad_fn is made anew at its first use after its base was changed in place: only a read to those who use it.
TEST_CASE("threads that use one view of a base changed in place: each has the gradient") {
  for (int round = 0; round < 200; ++round) {
    const Tensor leaf = ones({4, 4}).requires_grad_();
    const Tensor base = leaf * 1, view = base.slice(0, 0, 2), column = view.select(1, 1);
    base.mul_(3);
    std::barrier start(4);
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        const Tensor x = ones({2}) * (t + 1.0);
        start.arrive_and_wait();
        const Tensor loss = (t % 2 ? column * x : view.sum(1) * x).sum();
        const Tensor copy = column;
        const auto g = autograd::grad({loss}, {leaf}, {}, true);
        right += g[0].sum().item<double>() == (t % 2 ? 2 : 8) * 3.0 * (t + 1) && copy.is_same(column);
      });
    for (std::thread& t : threads) t.join();
    REQUIRE(right == 4);
  }
}

TEST_CASE("two frames that need each other's values do not wait for ever") {
  for (int round = 0; round < 200; ++round) {
    Tensor values[2];
    std::barrier meet(2);
    auto g = compile([&](int me) {
      values[me] = full({4}, 1.0 + me) * 2;
      meet.arrive_and_wait();
      Tensor mine = values[me] + values[1 - me];
      meet.arrive_and_wait();
      return mine;
    });
    Tensor results[2];
    std::thread other([&] { results[1] = g(1); });
    results[0] = g(0);
    other.join();
    REQUIRE(results[0].select(0, 0).item<float>() == 6.0f);
    REQUIRE(results[1].select(0, 3).item<float>() == 6.0f);
  }
}

TEST_CASE("values published in the middle of frames are right wherever they are read") {
  std::mutex mutex;
  std::vector<std::pair<Tensor, float>> published;
  std::atomic<bool> stop{false};
  std::atomic<int64_t> reads{0};
  auto make = compile([&](float s) {
    Tensor t = full({16}, s);
    for (int k = 0; k < 8; ++k) {
      t = t + 1;
      const std::lock_guard lock(mutex);
      if (published.size() < 64) published.emplace_back(t, s + static_cast<float>(k) + 1);
    }
    return t;
  });
  auto use = compile([](const Tensor& t) { return t * 2 + t; });
  std::vector<std::thread> readers;
  std::atomic<int64_t> wrong{0};
  for (int r = 0; r < 2; ++r)
    readers.emplace_back([&, r] {
      while (!stop) {
        std::pair<Tensor, float> p;
        {
          const std::lock_guard lock(mutex);
          if (published.empty()) continue;
          p = std::move(published.back());
          published.pop_back();
        }
        const float got = r == 0 ? p.first.select(0, 3).item<float>() * 3 : use(p.first).select(0, 3).item<float>();
        wrong += got != p.second * 3;
        ++reads;
      }
    });
  double total = 0;
  int calls = 0;
  for (; calls < 1500 || reads < 200; ++calls)
    total += make(static_cast<float>(calls % 7)).select(0, 0).item<float>() - static_cast<float>(calls % 7);
  stop = true;
  for (auto& t : readers) t.join();
  REQUIRE(total == calls * 8.0);
  REQUIRE(wrong == 0);
}

namespace {
/// Eight threads meet, then each calls an object of its own that has the same region: one of them compiles it.
void first_calls_at_once(int rounds) {
  constexpr int kThreads = 8;
  std::barrier meet(kThreads + 1);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int r = 0; r < rounds; ++r) {
        meet.arrive_and_wait();
        auto g = compile([](const Tensor& x, int n) {
          Tensor y = x * 2;
          for (int i = 0; i < n; ++i) y = y.sin() + 1;
          return y;
        });
        (void)g(ones({3, r + 1}), 1 + r % 4);
        wrong += g.stats().regions_compiled != 1;
        meet.arrive_and_wait();  // all objects live until everyone has called
      }
    });
  int more_than_one = 0;
  for (int r = 0; r < rounds; ++r) {
    const size_t before = program_cache_stats().misses;
    meet.arrive_and_wait();
    meet.arrive_and_wait();
    more_than_one += program_cache_stats().misses - before != 1;
  }
  for (auto& t : threads) t.join();
  REQUIRE(more_than_one == 0);
  REQUIRE(wrong == 0);
}

/// Calls a second of n threads, each with inputs of its own.
template <class C>
double calls_per_second(C& g, int n) {
  std::atomic<bool> stop{false};
  std::atomic<int64_t> calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < n; ++t)
    threads.emplace_back([&] {
      const Tensor x = full({32, 32}, 0.5), y = full({32, 32}, 0.25);
      int64_t mine = 0;
      for (; !stop; ++mine) (void)g(x, y);
      calls += mine;
    });
  const auto start = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  stop = true;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  for (auto& t : threads) t.join();
  return static_cast<double>(calls) / took.count();
}
}  // namespace

TEST_CASE("G89 first calls at once: one compile per key") { first_calls_at_once(100); }
TEST_CASE("first calls at once: one compile per key, 10,000 rounds", "[.][soak]") { first_calls_at_once(10'000); }

// Needs two cores that nobody else uses.
TEST_CASE("calls that hit scale with threads", "[.][scaling]") {
  auto g = compile([](const Tensor& x, const Tensor& y) { return (x.sin() + y.cos()) * 2; });
  (void)g(full({32, 32}, 0.5), full({32, 32}, 0.25));
  std::vector<double> ratios;
  for (int i = 0; i < 9; ++i) {
    const double one = calls_per_second(g, 1), two = calls_per_second(g, 2);
    ratios.push_back(two / one);
  }
  std::sort(ratios.begin(), ratios.end());
  WARN("throughput of 2 threads against 1: median " << ratios[4] << ", best " << ratios[8]);
  REQUIRE(ratios[8] >= 1.8);
}

TEST_CASE("G89 first calls at once of one compiled object: one compile") {
  for (int r = 0; r < 50; ++r) {
    auto g = compile([](const Tensor& x) { return (x + 1).exp().sum(); });
    std::barrier meet(8);
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
      threads.emplace_back([&] {
        const Tensor x = ones({2, 3});
        meet.arrive_and_wait();
        (void)g(x);
      });
    for (auto& t : threads) t.join();
    REQUIRE(g.stats().regions_compiled == 1);
    REQUIRE(g.stats().replays + g.stats().interpreted == 7);
  }
}

TEST_CASE("a dropped compiled object frees its programs and code, also in other threads' contexts") {
  (void)compile([](const Tensor& x) { return x + 1; })(ones({3}));  // what is made once and kept
  const size_t code = codegen::code_stats().code_bytes, programs = program_cache_stats().programs;
  std::barrier meet(2);
  {
    auto g = compile([](const Tensor& x) { return (x * 2).tanh().sum(); });
    std::thread other([&] {
      (void)g(ones({7}));
      meet.arrive_and_wait();
      meet.arrive_and_wait();  // alive, with a context, while the object goes
    });
    meet.arrive_and_wait();
    (void)g(ones({7}));
    REQUIRE(program_cache_stats().programs == programs + 1);
    { auto gone = std::move(g); }
    REQUIRE(program_cache_stats().programs == programs);
    REQUIRE(codegen::code_stats().code_bytes == code);
    meet.arrive_and_wait();
    other.join();
  }
}

TEST_CASE("an object dropped while a frame of it is open: the frame ends with what it has") {
  using F = std::function<Tensor(const Tensor&)>;
  std::optional<Compiled<F>> g;
  const F f = [&](const Tensor& x) {
    Tensor y = x * 2;
    sinter::reset();
    return y + 1;
  };
  for (int i = 0; i < 3; ++i) {
    g.emplace(compile(f));
    REQUIRE((*g)(ones({2})).select(0, 0).item<float>() == 3.0f);
    REQUIRE((*g)(ones({2})).select(0, 0).item<float>() == 3.0f);
  }
}

// Contexts go when their thread ends, after the caches of objects and bytes that it gives its results back to.
TEST_CASE("threads that end leave nothing behind") {
  auto f = compile([](const Tensor& x) { return ((x * 2).sin() + 1).sum(0); });
  const Tensor x = randn({4, 6}), w = randn({4, 6}).requires_grad_();
  const auto growth = [](auto&& body) {
    const auto of_threads = [&](int n) {
      for (int i = 0; i < n; ++i) elsewhere(body);
      return static_cast<int64_t>(mallinfo2().uordblks);
    };
    const int64_t before = of_threads(50);
    return of_threads(300) - before;
  };
  Tensor out;
  CHECK(growth([&] { f(x); }) < 32'000);
  CHECK(growth([&] { out = f(x); }) < 32'000);
  CHECK(growth([&] { f(x * w).sum().backward(); }) < 32'000);
  CHECK(growth([&] { out = x * 2 + randn({300, 300}).sum(); }) < 32'000);
}

TEST_CASE("nothing keeps the outputs of the last call alive") {
  std::atomic<int> freed{0};
  auto g = compile([](const Tensor& x) { return x.select(0, 0); });
  {
    std::vector<float> memory(8, 1.0f);
    const Tensor x = from_blob(memory.data(), {2, 4}, [&](void*) { ++freed; });
    Tensor y = g(x);
    y = g(x);
    REQUIRE(freed == 0);
  }
  REQUIRE(freed == 1);
}

TEST_CASE("G90 first calls at once with different keys and options: no cross-talk") {
  constexpr int kThreads = 6;
  for (int r = 0; r < 20; ++r) {
    std::barrier meet(kThreads);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        CompileOptions options;
        options.name = "number " + std::to_string(t);
        options.fullgraph = t % 2;
        auto g = compile([t](const Tensor& x) { return t % 3 == 0 ? x + t : t % 3 == 1 ? x * t : x - t; }, options);
        const Tensor x = full({2 + t % 2, 3}, 4.0, t < 3 ? kFloat : kDouble);
        meet.arrive_and_wait();
        const Tensor y = g(x);
        wrong += !same_bits(y, t % 3 == 0 ? x + t : t % 3 == 1 ? x * t : x - t);
      });
    for (auto& t : threads) t.join();
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("G91 calls while another thread resets and evicts") {
  auto g = compile([](const Tensor& x) { return (x * 2).tanh().sum(0); });
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) {
      g.reset();
      while (ProgramCache::get().evict_one()) {}
    }
  });
  int wrong = 0;
  for (int i = 0; i < 3000; ++i) {
    const Tensor x = full({1 + i % 3, 4}, i);
    wrong += !same_bits(g(x), (x * 2).tanh().sum(0));
  }
  stop = true;
  other.join();
  REQUIRE(wrong == 0);
  REQUIRE(program_cache_stats().programs <= 8);
}

TEST_CASE("G92 a captured parameter is replaced by another thread meanwhile: old or new, never a mixture") {
  // Each state is a whole tensor that replaces the handle under the user's lock, as C++ demands of a shared handle.
  std::mutex mutex;
  Tensor current = full({4, 4}, 1.0);
  auto g = compile([&](const Tensor& x) {
    Tensor w;
    {
      const std::lock_guard lock(mutex);
      w = current;
    }
    return x.mm(w) + w.sum();
  });
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int i = 0; !stop; ++i) {
      Tensor next = full({4, 4}, 1.0 + i % 2);
      const std::lock_guard lock(mutex);
      current = next;
    }
  });
  int wrong = 0;
  for (int i = 0; i < 2000; ++i) {
    const float v = g(ones({2, 4})).select(0, 0).select(0, 0).item<float>();
    wrong += v != 4.0f + 16.0f && v != 8.0f + 32.0f;
  }
  stop = true;
  other.join();
  REQUIRE(wrong == 0);
}

// What deferral may not hide: each hazard of running operators later than the C++ around them, by name.
#include <array>
#include <atomic>
#include <functional>
#include <thread>
#include "runtime/allocator.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {
/// Runs f eager and compiled (several times) on equal inputs and compares bits.
template <class F>
void agree(F f, int calls = 4) {
  auto g = compile(f);
  for (int i = 0; i < calls; ++i) {
    manual_seed(7 + static_cast<uint64_t>(i));
    const Tensor x = randn({3, 4});
    const Tensor y = x.clone();
    const Tensor expected = f(x);
    const Tensor got = g(y);
    INFO("call " << i);
    REQUIRE(same_bits(expected, got));
    REQUIRE(same_bits(x, y));
    REQUIRE(expected.strides() == got.strides());
  }
}
}  // namespace

TEST_CASE("three operators end to end") {
  agree([](const Tensor& x) { return (x.sin() + x.cos()) * 2.0; });
}

TEST_CASE("a replay compiles nothing") {
  auto g = compile([](const Tensor& x) { return relu(x * 2) + 1; });
  const Tensor x = randn({5});
  g(x);
  const auto compiled = compiles(g);
  REQUIRE(compiled == 1);
  for (int i = 0; i < 10; ++i) g(randn({5}));
  REQUIRE(compiles(g) == compiled);
  REQUIRE(g.stats().replays == 10);
}

TEST_CASE("from_blob over a local array") {
  agree([](const Tensor& x) {
    Tensor r;
    {
      std::array<float, 4> local = {1, 2, 3, 4};
      const Tensor b = from_blob(local.data(), {4});
      r = x + b;
      local.fill(-100);  // eager has read it already
    }
    return r * 2;
  });
}

TEST_CASE("an input dropped in mid-frame") {
  agree([](const Tensor& x) {
    Tensor t = tensor({1.0f, 2.0f, 3.0f, 4.0f});
    Tensor r = x * t;
    t.reset();
    const Tensor other = tensor({9.0f, 9.0f, 9.0f, 9.0f});  // may take the same address
    return r + other;
  });
}

TEST_CASE("a view made before the frame") {
  auto f = [](Tensor& x, const Tensor& v) {
    x.add_(1);
    const float seen = v.sum().item<float>();  // v shares x's storage: it must see the write
    return x * seen;
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    Tensor x = arange(6).to(kFloat).reshape({2, 3}), y = x.clone();
    const Tensor vx = x.select(0, 0), vy = y.select(0, 0);
    REQUIRE(same_bits(f(x, vx), g(y, vy)));
    REQUIRE(same_bits(vx, vy));
  }
}

TEST_CASE("a view made before the frame, read after the write without being an operand") {
  auto f = [](Tensor& x, const Tensor& v) {
    x.mul_(3);
    return v.select(0, 1).item<float>();
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    Tensor x = arange(6).to(kFloat), y = x.clone();
    REQUIRE(f(x, x.view({3, 2}).select(1, 0)) == g(y, y.view({3, 2}).select(1, 0)));
  }
}

TEST_CASE("try and catch around a bad index") {
  agree([](const Tensor& x) {
    Tensor r = x * 2;
    try {
      r = index_select(r, 0, tensor({int64_t{0}, int64_t{99}}));
    } catch (const IndexError&) { r = r + 1; }
    return r;
  });
}

TEST_CASE("try and catch around a bad shape costs no recompile") {
  auto g = compile([](const Tensor& x) {
    Tensor r = x * 2;
    try {
      r = r + zeros({7});
    } catch (const ShapeError&) { r = r + 1; }
    return r;
  });
  for (int i = 0; i < 5; ++i) g(randn({3, 4}));
  REQUIRE(compiles(g) == 1);
}

TEST_CASE("an exception with an escaped tensor") {
  auto f = [](const Tensor& x, Tensor& escaped) -> Tensor {
    escaped = x * 3;
    if (x.size(0) == 3) throw std::runtime_error("user");
    return escaped + 1;
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({3, 4});
    Tensor a, b;
    REQUIRE_THROWS_AS(f(x, a), std::runtime_error);
    REQUIRE_THROWS_AS(g(x, b), std::runtime_error);
    REQUIRE(same_bits(a, b));
  }
  REQUIRE(compiles(g) == 1);
}

TEST_CASE("writes before an exception are applied") {
  auto f = [](Tensor& x) -> Tensor {
    x.add_(1);
    throw std::runtime_error("user");
  };
  auto g = compile(f);
  Tensor a = zeros({4}), b = zeros({4});
  for (int i = 0; i < 4; ++i) {
    REQUIRE_THROWS_AS(f(a), std::runtime_error);
    REQUIRE_THROWS_AS(g(b), std::runtime_error);
    REQUIRE(same_bits(a, b));
    REQUIRE(a._version() == b._version());
  }
}

TEST_CASE("a barrier in user code on two threads") {
  // Nobody may wait for a recording: both threads meet inside the compiled function.
  std::atomic<int> arrived{0};
  auto g = compile([&](const Tensor& x) {
    Tensor r = x * 2;
    ++arrived;
    while (arrived.load() < 2) std::this_thread::yield();
    return r + 1;
  });
  for (int round = 0; round < 20; ++round) {
    arrived = 0;
    Tensor results[2];
    std::thread other([&] { results[1] = g(full({8}, 2.0)); });
    results[0] = g(full({8}, 1.0));
    other.join();
    REQUIRE(results[0].select(0, 0).item<float>() == 3.0f);
    REQUIRE(results[1].select(0, 7).item<float>() == 5.0f);
  }
}

TEST_CASE("a value pending in another thread's frame is read there, while its owner is in user code") {
  auto g = compile([](const Tensor& x) {
    const Tensor pending = x * 2;
    float sum = 0;
    std::thread other([&] { sum = pending.sum().item<float>(); });
    other.join();  // the owner waits: the other thread must get on by itself
    REQUIRE(sum == 4.0f);
    return pending + 1;
  });
  for (int i = 0; i < 4; ++i) REQUIRE(g(ones({2})).sum().item<float>() == 6.0f);
}

TEST_CASE("a mutable pointer") {
  agree([](const Tensor& x) {
    Tensor r = x * 2;
    float* p = r.data_ptr<float>();
    Tensor a = r + 1;
    p[0] = 50;  // after the add, before the mul
    Tensor b = r * 3;
    return a + b;
  });
}

TEST_CASE("metadata changed on a returned tensor does not reach the next call") {
  auto g = compile([](const Tensor& x) { return x * 2; });
  const Tensor x = ones({2, 3});
  for (int i = 0; i < 4; ++i) {
    Tensor r = g(x);
    REQUIRE_FALSE(r.requires_grad());
    REQUIRE(r._version() == 0);
    r.set_requires_grad(true);
    r.detach().add_(1);
  }
}

TEST_CASE("the result of the last call stays as it is") {
  auto g = compile([](const Tensor& x) { return x + 1; });
  std::vector<Tensor> kept;
  for (int i = 0; i < 5; ++i) kept.push_back(g(full({3}, static_cast<double>(i))));
  for (int i = 0; i < 5; ++i) REQUIRE(kept[static_cast<size_t>(i)].sum().item<float>() == 3.0f * static_cast<float>(i + 1));
}

TEST_CASE("a loop with a value read per turn is one region per kind of turn") {
  auto f = [](Tensor h) {
    int turns = 0;
    while (h.max().item<float>() > 0.1f) {
      h = h * 0.5;
      ++turns;
    }
    return std::pair(h, turns);
  };
  auto g = compile(f);
  for (double start : {3.0, 100.0, 0.5, 7.0, 1e6, 3.0}) {
    const auto [a, n] = f(full({4}, start));
    const auto [b, m] = g(full({4}, start));
    REQUIRE(n == m);
    REQUIRE(same_bits(a, b));
  }
  REQUIRE(compiles(g) <= 4);
}

TEST_CASE("twelve data-dependent branches cost regions linear in their number") {
  auto f = [](const Tensor& x) {
    Tensor r = x;
    for (int i = 0; i < 12; ++i) r = r.select(0, i).item<float>() > 0 ? r + 1 : r * 2;
    return r;
  };
  auto g = compile(f);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    manual_seed(seed);
    const Tensor x = randn({12});
    REQUIRE(same_bits(f(x), g(x)));
  }
  REQUIRE(compiles(g) <= 40);
  REQUIRE(g.stats().eager_fallbacks == 0);
}

TEST_CASE("a batch-size sweep generalises after the second size") {
  auto f = [](const Tensor& x) { return softmax(x.reshape({x.size(0), 6}) * 2, 1).sum(0); };
  auto g = compile(f);
  for (int64_t n = 1; n <= 32; ++n) {
    const Tensor x = randn({n, 2, 3});
    REQUIRE(same_bits(f(x), g(x)));
  }
  REQUIRE(g.stats().eager_fallbacks == 0);
  const auto compiled = compiles(g);
  for (int64_t n = 1; n <= 32; ++n) g(randn({n, 2, 3}));  // second sight of every size
  REQUIRE(g.stats().eager_fallbacks == 0);
  for (int64_t n = 1; n <= 32; ++n) g(randn({n, 2, 3}));
  REQUIRE(compiles(g) >= compiled);
  REQUIRE(g.stats().recompiles <= 2);
}

TEST_CASE("changing scalars are runtime inputs") {
  auto f = [](Tensor& p, const Tensor& grad, double step, double beta) {
    p.mul_(beta).add_(grad, -step / (1 - beta));
    return p.clone();
  };
  auto g = compile(f);
  Tensor a = ones({5}), b = ones({5});
  for (int t = 1; t < 20; ++t) {
    const Tensor grad = randn({5});
    REQUIRE(same_bits(f(a, grad, 0.1 / t, 1 - 0.5 / t), g(b, grad, 0.1 / t, 1 - 0.5 / t)));
    REQUIRE(same_bits(a, b));
  }
  REQUIRE(compiles(g) == 1);
}

TEST_CASE("raw writes through an old pointer are ordered by sync") {
  std::array<float, 3> memory = {1, 2, 3};
  const Tensor x = from_blob(memory.data(), {3});
  auto g = compile([&](const Tensor& t) {
    Tensor a = t * 2;
    sinter::sync();
    memory[0] = 100;
    return a + t;
  });
  memory[0] = 1;
  REQUIRE(g(x).select(0, 0).item<float>() == 102.0f);
  memory[0] = 1;
  REQUIRE(g(x).select(0, 0).item<float>() == 102.0f);
}

TEST_CASE("a write from outside between use and close is noticed") {
  Tensor shared = ones({4});
  auto g = compile([&](const Tensor& x) {
    const Tensor r = x + shared;
    std::thread([&] { shared.add_(1); }).join();
    return r;
  });
  REQUIRE_THROWS_AS(g(ones({4})), ConcurrentWriteError);
  shared = zeros({4});
}

TEST_CASE("out of memory at a close leaves the state from before the region") {
  auto f = [](Tensor& x) {
    x.add_(1);
    return x * 2;
  };
  auto g = compile(f);
  Tensor x = zeros({64});
  g(x);
  g(x);
  fail_allocation_after(1);
  REQUIRE_THROWS_AS(g(x), OutOfMemoryError);
  fail_allocation_after(0);
  REQUIRE(x.select(0, 0).item<float>() == 2.0f);
  g(x);
  REQUIRE(x.select(0, 0).item<float>() == 3.0f);
}

TEST_CASE("after a stance or limit sent a region to eager, later operators do not match old events") {
  const auto f = [](const Tensor& x, const Tensor& y) {
    const Tensor a = relu(x);
    const Tensor b = relu(y);
    return a.sum() + b.sum();
  };
  auto g = compile(f);
  g(ones({4}), ones({4}));
  set_stance(Stance::EagerOnRecompile);
  for (int i = 0; i < 3; ++i) REQUIRE(same_bits(f(ones({5}), ones({4})), g(ones({5}), ones({4}))));
  set_stance(Stance::Default);
  REQUIRE(same_bits(f(ones({4}), ones({4})), g(ones({4}), ones({4}))));
}

TEST_CASE("the result of a failed region is refused as an operand, not read") {
  Tensor kept;
  auto g = compile([&](const Tensor& x) { kept = x * 2; });
  g(ones({64}));
  g(ones({64}));
  fail_allocation_after(2);  // 1 is the argument's own
  REQUIRE_THROWS_AS(g(ones({64})), OutOfMemoryError);
  fail_allocation_after(0);
  auto h = compile([](const Tensor& a) { return relu(a); });
  REQUIRE_THROWS_AS(h(kept), FailedRegionError);
  REQUIRE_THROWS_AS(relu(kept), FailedRegionError);
  REQUIRE(h(ones({64})).sum().item<float>() == 64.0f);
  REQUIRE_THROWS_AS(h(kept), FailedRegionError);
}

TEST_CASE("a deleter that calls a compiled function in the middle of a frame runs it eager") {
  std::array<float, 2> memory = {1, 2};
  int deleted = 0;
  std::function<Tensor(const Tensor&)> self;
  auto f = compile([&](const Tensor& x) {
    if (x.size(0) == 2) {
      Tensor y = x + from_blob(memory.data(), {2}, [&](void*) {
                   ++deleted;
                   self(ones({3}));
                 });
      graph_break();
      return y * 2;
    }
    return x * 2;
  });
  self = [&](const Tensor& x) { return f(x); };
  for (int i = 1; i < 4; ++i) {
    REQUIRE(f(ones({2})).sum().item<float>() == 10.0f);
    REQUIRE(deleted == i);
  }
}

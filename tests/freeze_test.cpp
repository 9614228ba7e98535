// Frozen weights: packed once, read as they lie again once they were written, and the same bits throughout.
#include <random>
#include <thread>
#include "runtime/allocator.h"
#include "runtime/cpu.h"
#include "runtime/frozen_weight.h"
#include "runtime/kernels/gemm_order.h"
#include "runtime/log.h"
#include "set_threads.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// A weight and what is done with it: x W^T (as Linear has it), or x W.
struct WeightImpl : nn::Module {
  Tensor w, bias;
  bool rows;
  WeightImpl(Tensor weight, bool row_major, Tensor b = {}) : bias(std::move(b)), rows(row_major) {
    w = register_parameter("w", std::move(weight));
  }
  Tensor forward(const Tensor& x) {
    if (!rows) return nn::functional::linear(x, w, bias);
    return bias.defined() ? x.mm(w) + bias : x.mm(w);
  }
};
SINTER_MODULE(Weight);

Weight make_weight(int64_t n, int64_t k, bool row_major, bool bias, ScalarType t = kFloat) {
  return Weight(row_major ? randn({k, n}, t) : randn({n, k}, t), row_major, bias ? randn({n}, t) : Tensor());
}

/// Bytes of panels that a call's products read.
template <class F>
int64_t panel_bytes(F& f, const Tensor& x) {
  int64_t bytes = 0;
  for (const RegionExplanation& r : explain(f)(x).regions)
    for (const StepCost& cost : r.costs) bytes += cost.frozen_bytes;
  return bytes;
}

int64_t packed() { return FrozenWeight::all_packed; }

bool compiles() { return codegen::jit_available(); }

/// A frozen weight whose panels are there, and the function that uses them.
struct Ready {
  NoGradGuard no_grad;
  Weight net = make_weight(40, 70, false, true);
  Tensor x = randn({20, 70});
  decltype(compile(std::declval<Weight>())) f = compile(net);
  Ready() {
    (void)f(x);
    REQUIRE(freeze(net) == 1);
    REQUIRE(panel_bytes(f, x) == bytes());
    REQUIRE(frozen_bytes() == bytes());
  }
  ~Ready() { unfreeze(net); }
  /// Whole panels of two vectors.
  static int64_t bytes() { return (isa() == Isa::Avx512 ? 64 : 48) * 70 * 4; }
  /// After a write: the new weight's answer, not from panels, and none are packed.
  void check_written() {
    const int64_t before = packed();
    const Tensor want = net(x);
    CHECK(same_bits(f(x), want));
    CHECK(same_bits(f(x), want));
    CHECK(panel_bytes(f, x) == 0);
    CHECK(packed() == before);
  }
};

void check_bits(std::mt19937_64& rng, Isa level) {
  const auto size = [&](int64_t least, int64_t most) {
    return least + static_cast<int64_t>(rng() % static_cast<uint64_t>(most - least + 1));
  };
  const int64_t m = rng() % 4 == 0 ? size(1, 9) : size(9, 70);
  int64_t n = size(1, 100), k = rng() % 3 ? size(1, 100) : size(1, 1100);
  if (rng() % 16 == 0) k = size(4097, 5000), n = 1 + n % 50;
  const bool rows = rng() % 2, bias = rng() % 2;
  const ScalarType t = rng() % 2 ? kFloat : kDouble;
  CAPTURE(m, n, k, rows, bias, dtype_name(t), isa_name(level));
  Weight net = make_weight(n, k, rows, bias, t);
  const Tensor x = randn({m, k}, t), want = net(x);
  auto f = compile(net);
  CHECK(same_bits(f(x), want));
  CHECK(panel_bytes(f, x) == 0);
  REQUIRE(freeze(net) == 1);
  const int64_t before = packed();
  for (int i = 0; i < 3; ++i) CHECK(same_bits(f(x), want));
  const bool uses = m > 2 && !is_dot_product(m, n, k, 1, rows ? n : 1);
  CHECK(packed() - before == uses);
  CHECK((panel_bytes(f, x) > 0) == uses);
  REQUIRE(unfreeze(net) == 1);
  CHECK(same_bits(f(x), want));
  CHECK(frozen_bytes() == 0);
}

}  // namespace

TEST_CASE("frozen, unfrozen and eager give the same bits") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  std::mt19937_64 rng(7);
  for (const Isa level : {Isa::Avx2, Isa::Avx512}) {
    if (level > detected_isa()) continue;
    set_isa_cap(level);
    for (int i = 0; i < 150; ++i) check_bits(rng, level);
  }
  set_isa_cap(detected_isa());
}

TEST_CASE("frozen weights on several threads, and in a module of modules") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  const SetThreads set(2);
  nn::Sequential net(nn::Linear(300, 500), nn::ReLU(), nn::Linear(500, 200), nn::ReLU(), nn::Linear(200, 10));
  const Tensor x = randn({150, 300});
  auto f = compile(net);
  const Tensor want = net->forward(x);
  REQUIRE(freeze(net) == 3);
  CHECK(same_bits(f(x), want));
  CHECK(panel_bytes(f, x) == frozen_bytes());
  CHECK(frozen_bytes() >= (300 * 500 + 500 * 200 + 200 * 10) * 4);
  const nn::Module& module = *net;
  CHECK(unfreeze(module) == 3);
  CHECK(freeze(module) == 3);
  CHECK(unfreeze(module) == 3);
}

TEST_CASE("explain says what ran on frozen weights") {
  if (!compiles()) return;
  Ready r;
  CHECK_THAT(explain(r.f)(r.x).str(), Catch::Contains(fmt::format("on frozen weights, {} bytes packed", Ready::bytes())));
}

TEST_CASE("a frozen weight that is written is read as it lies") {
  if (!compiles()) return;
  SECTION("copy_") {
    Ready r;
    r.net->w.copy_(randn({40, 70}));
    r.check_written();
  }
  SECTION("add_ to a part") {
    Ready r;
    r.net->w[3].add_(1);
    r.check_written();
  }
  SECTION("in a compiled function, beside its use") {
    Ready r;
    auto g = compile([&r](const Tensor& x) {
      const Tensor before = r.net(x);
      r.net->w.mul_(2);
      return before + r.net(x);
    });
    const Tensor weight = r.net->w.detach().clone();
    const Tensor once = g(r.x), twice = g(r.x);
    CHECK(same_bits(r.net->w, weight * 4));
    r.net->w.copy_(weight);
    const Tensor y = r.net(r.x);
    r.net->w.mul_(2);
    CHECK(same_bits(once, y + r.net(r.x)));
    r.net->w.copy_(weight * 4);
    r.check_written();
  }
  SECTION("an optimizer's step") {
    Ready r;
    const AutoGradMode grad(true);
    optim::SGD sgd(r.net->parameters(), optim::SGDOptions(0.1));
    auto step = compile([&] {
      sgd.zero_grad();
      r.net(r.x).pow(2).sum().backward();
      sgd.step();
    });
    step();
    const NoGradGuard off;
    r.check_written();
    r.net->w.copy_(r.net->w * 0.5);
    freeze(r.net);
    CHECK(panel_bytes(r.f, r.x) > 0);
    const AutoGradMode again(true);
    step();
    const NoGradGuard no_more;
    r.check_written();
  }
  SECTION("through data_ptr") {
    Ready r;
    auto* p = static_cast<float*>(r.net->w.data_ptr());
    r.check_written();
    p[5] = 100;
    r.check_written();
    CHECK(freeze(r.net) == 0);  // it may be written at any time
    p[6] = 100;
    r.check_written();
  }
  SECTION("new memory: to() and back") {
    Ready r;
    r.net->to(kDouble);
    CHECK(frozen_bytes() == 0);
    r.net->to(kFloat);
    r.check_written();
  }
}

TEST_CASE("const reads leave a weight frozen") {
  if (!compiles()) return;
  Ready r;
  (void)r.net->w.const_data_ptr<float>()[0];
  (void)r.net->w[0][0].item<float>();
  (void)(r.net->w * 2);
  CHECK(panel_bytes(r.f, r.x) > 0);
}

TEST_CASE("freezing again packs again") {
  if (!compiles()) return;
  Ready r;
  r.net->w.mul_(3);
  r.check_written();
  REQUIRE(freeze(r.net) == 1);
  CHECK(frozen_bytes() == 0);  // the stale panels are gone
  const int64_t before = packed();
  const Tensor want = r.net(r.x);
  CHECK(same_bits(r.f(r.x), want));
  CHECK(same_bits(r.f(r.x), want));
  CHECK(packed() == before + 1);
  CHECK(panel_bytes(r.f, r.x) > 0);
}

TEST_CASE("what is not frozen") {
  const NoGradGuard no_grad;
  std::vector<float> memory(200);
  const Tensor base = randn({20, 10});
  CHECK(freeze(Weight(from_blob(memory.data(), {20, 10}), false)) == 0);
  CHECK(freeze(Weight(base.narrow(0, 2, 10).detach(), false)) == 0);
  CHECK(freeze(Weight(base.t().detach(), false)) == 0);
  CHECK(freeze(Weight(randn({10}), false)) == 0);
  CHECK(freeze(Weight(zeros({0, 10}), false)) == 0);
  CHECK(unfreeze(make_weight(3, 4, false, false)) == 0);
  CHECK_THROWS_AS(freeze(nn::Linear(nullptr)), Error);
}

TEST_CASE("views of a frozen weight are operands of their own") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  Weight net = make_weight(90, 40, false, false);
  const Tensor x = randn({12, 40}), y = randn({12, 90});
  REQUIRE(freeze(net) == 1);
  const auto all = [&net](const Tensor& a) {
    const Tensor& w = net->w;
    return cat({a.mm(w.t()), a.mm(w.narrow(0, 0, 30).t()), a.mm(w.narrow(0, 30, 30).t()), a.mm(w.narrow(0, 60, 30).t())}, 1);
  };
  auto f = compile(all);
  const Tensor want = all(x);
  CHECK(same_bits(f(x), want));
  CHECK(same_bits(f(x), want));
  CHECK(frozen_bytes() == (96 + 3 * 32) * 40 * 4);
  auto g = compile([&net](const Tensor& a) { return a.mm(net->w); });  // a fifth way is one too many
  CHECK(same_bits(g(y), y.mm(net->w)));
  CHECK(panel_bytes(g, y) == 0);
  unfreeze(net);
  CHECK(frozen_bytes() == 0);
}

TEST_CASE("a weight that is used in two ways: tied embeddings") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  nn::Embedding table(50, 24);
  Weight tied(table->weight, false);
  const auto model = [&](const Tensor& ids) { return tied(table(ids)); };
  auto f = compile(model);
  const Tensor ids = randint(0, 50, {30}, kLong), want = model(ids);
  nn::Sequential both(table, tied);
  REQUIRE(freeze(both) == 1);
  CHECK(same_bits(f(ids), want));
  CHECK(panel_bytes(f, ids) > 0);
  unfreeze(table);
  CHECK(panel_bytes(f, ids) == 0);
}

TEST_CASE("panels go with their weight, the function stays") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  auto f = compile([](const Tensor& x, const Tensor& w) { return x.mm(w); });
  const Tensor x = randn({10, 30});
  for (int i = 0; i < 3; ++i) {
    Weight net = make_weight(20, 30, true, false);
    REQUIRE(freeze(net) == 1);
    CHECK(same_bits(f(x, net->w), x.mm(net->w)));
    CHECK(frozen_bytes() == 32 * 30 * 4);
    net = nullptr;
    CHECK(frozen_bytes() == 0);
  }
}

TEST_CASE("threads that call at once pack once") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  for (int round = 0; round < 20; ++round) {
    Weight net = make_weight(200, 300, false, false);
    const Tensor x = randn({16, 300}), want = net(x);
    REQUIRE(freeze(net) == 1);
    auto f = compile(net);
    const int64_t before = packed();
    std::atomic<int> ready{0}, wrong{0};
    const auto work = [&] {
      const NoGradGuard none;
      for (++ready; ready < 2;) {}
      for (int i = 0; i < 3; ++i) wrong += !same_bits(f(x), want);
    };
    std::thread other(work);
    work();
    other.join();
    CHECK(wrong == 0);
    CHECK(packed() == before + 1);
  }
}

TEST_CASE("freezing inside a compiled function ends the region") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  Weight net = make_weight(20, 30, false, false);
  const Tensor x = randn({10, 30});
  auto f = compile([&](const Tensor& a) {
    net->w.mul_(2);
    freeze(net);
    return net(a);
  });
  for (int i = 0; i < 3; ++i) {
    const Tensor weight = net->w.detach().clone();
    const Tensor y = f(x);
    CHECK(same_bits(net->w, weight * 2));
    CHECK(same_bits(y, net(x)));
    CHECK(frozen_bytes() > 0);
  }
}

TEST_CASE("no memory for panels: the answer is the same") {
  if (!compiles()) return;
  const NoGradGuard no_grad;
  Weight net = make_weight(40, 70, false, true);
  const Tensor x = randn({20, 70}), want = net(x);
  auto f = compile(net);
  (void)f(x);
  REQUIRE(freeze(net) == 1);
  fail_allocation_after(3);  // the result, scratch memory, then the panels
  const Tensor y = f(x);
  fail_allocation_after(0);
  CHECK(same_bits(y, want));
  CHECK(frozen_bytes() == 0);
  CHECK(panel_bytes(f, x) == 0);  // and is not tried at each call
  freeze(net);
  CHECK(panel_bytes(f, x) > 0);
}

TEST_CASE("a written weight is logged once") {
  if (!compiles()) return;
  static int lines;
  lines = 0;
  Ready r;
  set_logs("program");
  set_log_sink([](std::string_view line) { lines += line.find("frozen weight") != std::string_view::npos; });
  r.net->w.mul_(2);
  for (int i = 0; i < 3; ++i) (void)r.f(r.x);
  set_log_sink(nullptr);
  set_logs("");
  CHECK(lines == 1);
}

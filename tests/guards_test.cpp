// Guard rows: what must be noticed between two calls. Each row is flipped back to its first state, with 0 recompiles.
#include <functional>
#include <map>
#include <optional>
#include "runtime/env.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

using Args = std::vector<Tensor>;
using Fn = std::function<Tensor(Args&)>;
using Make = std::function<Args()>;

/// Calls f eager and compiled on equal arguments; results, arguments and versions must agree. Exceptions count as results.
template <class G>
void same_as_eager(const Fn& f, G& g, const Make& make) {
  manual_seed(11);
  Args a = make();
  manual_seed(11);
  Args b = make();
  std::string eager_error, compiled_error;
  Tensor x, y;
  try {
    x = f(a);
  } catch (const Error& e) { eager_error = e.what(); }
  try {
    y = g(b);
  } catch (const Error& e) { compiled_error = e.what(); }
  REQUIRE(eager_error == compiled_error);
  if (eager_error.empty()) {
    REQUIRE(same_bits(x, y));
    REQUIRE(x.strides() == y.strides());
    REQUIRE(x.requires_grad() == y.requires_grad());
  }
  for (size_t i = 0; i < a.size(); ++i) {
    REQUIRE(same_bits(a[i], b[i]));
    REQUIRE(a[i]._version() == b[i]._version());
  }
}

/// State A, state B, then back and forth: right each time, and nothing compiles once both were seen twice.
template <class SetA, class SetB>
void flip(const Fn& f, const Make& a, const Make& b, SetA set_a, SetB set_b) {
  auto g = compile(f);
  for (int i = 0; i < 3; ++i) set_a(), same_as_eager(f, g, a);
  for (int i = 0; i < 3; ++i) set_b(), same_as_eager(f, g, b);
  const auto seen = compiles(g);
  for (int i = 0; i < 3; ++i) {
    set_a(), same_as_eager(f, g, a);
    set_b(), same_as_eager(f, g, b);
  }
  set_a();
  REQUIRE(compiles(g) == seen);
  REQUIRE(g.stats().eager_fallbacks == 0);
}
void flip(const Fn& f, const Make& a, const Make& b) {
  flip(
      f, a, b, [] {}, [] {});
}

Tensor mix(Args& v) {
  Tensor r = v[0] * 2 + 1;
  for (size_t i = 1; i < v.size(); ++i) r = r + v[i].sin();
  return r;
}

}  // namespace

TEST_CASE("G01 dtype") {
  flip(
      mix,
      [] {
        return Args{randn({4, 3})};
      },
      [] {
        return Args{randn({4, 3}, kDouble)};
      });
}
TEST_CASE("G02 rank, and undefined operands") {
  flip(
      mix,
      [] {
        return Args{randn({4, 3})};
      },
      [] { return Args{randn({12})}; });
  const Fn linear_maybe = [](Args& v) { return linear(v[0], v[1], v.size() > 2 ? v[2] : Tensor()); };
  flip(
      linear_maybe,
      [] {
        return Args{randn({4, 3}), randn({2, 3})};
      },
      [] {
        return Args{randn({4, 3}), randn({2, 3}), randn({2})};
      });
}
TEST_CASE("G03 size") {
  flip(
      mix,
      [] {
        return Args{randn({4, 3})};
      },
      [] {
        return Args{randn({4, 5})};
      });
}
TEST_CASE("G04 a generalised size, 0 and 1 included") {
  auto g = compile(Fn(mix));
  for (int round = 0; round < 3; ++round)
    for (int64_t n : {4, 7, 1, 0, 2, 100}) same_as_eager(mix, g, [n] { return Args{randn({n, 3}), randn({n, 1})}; });
  const auto seen = compiles(g);
  for (int64_t n : {4, 7, 1, 0, 2, 100}) same_as_eager(mix, g, [n] { return Args{randn({n, 3}), randn({n, 1})}; });
  REQUIRE(compiles(g) == seen);
}
TEST_CASE("G05 two dims that were equal differ") {
  flip(
      mix,
      [] {
        return Args{randn({4, 1}), randn({1, 4})};
      },
      [] {
        return Args{randn({4, 1}), randn({1, 6})};
      });
}
TEST_CASE("G06 stride; that of a size-1 dim is free") {
  flip(
      mix,
      [] {
        return Args{randn({4, 3})};
      },
      [] {
        return Args{randn({3, 4}).t()};
      });
  auto g = compile([](const Tensor& x) { return x.exp(); });
  const Tensor base = randn({6, 4});
  g(base.slice(0, 0, 1));
  const auto seen = compiles(g);
  const Tensor one_row = base.t().slice(1, 0, 1).t();  // [1, 4] with other strides
  REQUIRE(same_bits(one_row.exp(), g(one_row)));
  REQUIRE(compiles(g) <= seen + 1);
}
TEST_CASE("G07 expanded, transposed, sliced with a step") {
  flip(
      mix,
      [] {
        return Args{randn({4, 6})};
      },
      [] {
        return Args{randn({4, 1}).expand({4, 6})};
      });
  flip(
      mix,
      [] {
        return Args{randn({4, 6})};
      },
      [] {
        return Args{randn({8, 6}).slice(0, 0, 8, 2)};
      });
  flip(
      mix,
      [] {
        return Args{randn({4, 6})};
      },
      [] {
        return Args{randn({4, 12}).slice(1, 0, 12, 2)};
      });
}
TEST_CASE("G08 storage offset is no guard") {
  auto g = compile([](const Tensor& x) { return x * 3; });
  const Tensor base = randn({10, 4});
  g(base.select(0, 0));
  const auto seen = compiles(g);
  for (int64_t i = 0; i < 10; ++i) REQUIRE(same_bits(base.select(0, i) * 3, g(base.select(0, i))));
  REQUIRE(compiles(g) == seen);
}
TEST_CASE("G09 base alignment down to one element") {
  auto g = compile([](const Tensor& x) { return (x * 3).exp(); });
  const Tensor base = randn({200});
  g(base.slice(0, 0, 64));
  const auto seen = compiles(g);
  for (int64_t i = 0; i < 64; ++i) REQUIRE(same_bits((base.slice(0, i, i + 64) * 3).exp(), g(base.slice(0, i, i + 64))));
  REQUIRE(compiles(g) == seen);
}
TEST_CASE("G14 number, rank-0 tensor, one-element tensor") {
  const Fn f = [](Args& v) { return v.size() == 1 ? v[0] * 1.5 : v[0] * v[1]; };
  flip(
      f, [] { return Args{arange(4)}; },
      [] {
        return Args{arange(4), scalar_tensor(1.5, kDouble)};
      });
  flip(
      f,
      [] {
        return Args{arange(4), scalar_tensor(1.5, kDouble)};
      },
      [] {
        return Args{arange(4), full({1}, 1.5, kDouble)};
      });
}
TEST_CASE("G19 distinct arguments, then the same twice") {
  const Fn f = [](Args& v) { return v[0].add_(v[1]) * v[1]; };
  flip(
      f,
      [] {
        return Args{randn({4}), randn({4})};
      },
      [] {
        const Tensor x = randn({4});
        return Args{x, x};
      });
}
TEST_CASE("G20 G21 G22 separate, overlapping, overlapping elsewhere, one mutated") {
  const Fn f = [](Args& v) {
    v[0].mul_(2);
    return v[1] + v[0];
  };
  const Make apart = [] { return Args{randn({4}), randn({4})}; };
  const Make overlap = [] {
    const Tensor b = randn({6});
    return Args{b.slice(0, 0, 4), b.slice(0, 2, 6)};
  };
  const Make other = [] {
    const Tensor b = randn({6});
    return Args{b.slice(0, 1, 5), b.slice(0, 2, 6)};
  };
  const Make disjoint = [] {
    const Tensor b = randn({8});
    return Args{b.slice(0, 0, 4), b.slice(0, 4, 8)};
  };
  flip(f, apart, overlap);
  flip(f, overlap, other);
  flip(f, apart, disjoint);
}
TEST_CASE("G20 overlap through foreign memory") {
  static float memory[16];
  const Fn f = [](Args& v) {
    v[0].add_(1);
    return v[1] * 2;
  };
  const Make apart = [] {
    for (int i = 0; i < 16; ++i) memory[i] = static_cast<float>(i);
    return Args{from_blob(memory, {4}), from_blob(memory + 8, {4})};
  };
  const Make overlap = [] {
    for (int i = 0; i < 16; ++i) memory[i] = static_cast<float>(i);
    return Args{from_blob(memory, {4}), from_blob(memory + 2, {4})};
  };
  auto g = compile(f);
  for (int i = 0; i < 6; ++i) {
    Args a = (i & 1 ? overlap : apart)();
    const Tensor expected = f(a);
    Args b = (i & 1 ? overlap : apart)();
    REQUIRE(same_bits(expected, g(b)));
  }
}
TEST_CASE("G23 an argument aliases a captured tensor") {
  const Tensor captured = ones({4});
  const Fn f = [&](Args& v) {
    v[0].add_(1);
    return captured * v[0];
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    Args a{zeros({4})};
    REQUIRE(g(a).sum().item<float>() == captured.sum().item<float>());
    Args b{captured};
    const float before = captured.select(0, 0).item<float>();
    REQUIRE(g(b).select(0, 0).item<float>() == (before + 1) * (before + 1));
  }
}
TEST_CASE("G24 parameters tied and untied") {
  const Fn f = [](Args& v) { return linear(linear(v[0], v[1]), v[2]); };
  flip(
      f,
      [] {
        return Args{randn({2, 3}), randn({3, 3}), randn({3, 3})};
      },
      [] {
        const Tensor w = randn({3, 3});
        return Args{randn({2, 3}), w, w};
      });
}
TEST_CASE("G25 a mutated argument that overlaps itself is refused as in eager") {
  const Fn f = [](Args& v) { return v[0].add_(1); };
  flip(
      f,
      [] {
        return Args{randn({3, 4})};
      },
      [] {
        return Args{randn({1, 4}).expand({3, 4})};
      });
}
TEST_CASE("G26 a[1:] = a[:-1] inside the region") {
  const Fn f = [](Args& v) {
    Tensor a = v[0] * 1;
    a.slice(0, 1, 5).copy_(a.slice(0, 0, 4).clone());
    return a;
  };
  flip(
      f, [] { return Args{randn({5})}; }, [] { return Args{randn({5}, kDouble)}; });
}
TEST_CASE("G27 an output that is a view of an input or of an output") {
  auto g = compile([](const Tensor& x) {
    const Tensor y = x + 1;
    return std::tuple(y, y.t(), x.slice(0, 1, 3), y.select(1, 2));
  });
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({4, 5});
    const auto [y, yt, xs, ys] = g(x);
    REQUIRE(yt.is_alias_of(y));
    REQUIRE(ys.is_alias_of(y));
    REQUIRE(xs.is_alias_of(x));
    REQUIRE(xs.storage_offset() == 5);
    REQUIRE(ys.storage_offset() == 2);
    REQUIRE(yt.strides() == IntArrayRef({1, 5}));
    Tensor shared = y;
    shared.add_(1);
    REQUIRE(ys._version() == 1);
    REQUIRE(same_bits(yt, y.t()));
  }
}
TEST_CASE("G28 the result of call n survives call n + 1") {
  auto g = compile([](const Tensor& x) { return (x * 2).sum(0); });
  const Tensor a = g(ones({3, 4})), b = g(zeros({3, 4}));
  REQUIRE(a.sum().item<float>() == 24.0f);
  REQUIRE(b.sum().item<float>() == 0.0f);
}
TEST_CASE("G29 a freed tensor, and a new one at the same address") {
  auto g = compile([](const Tensor& x) { return x * 2; });
  for (int i = 0; i < 50; ++i) {
    const Tensor x = i & 1 ? full({4}, static_cast<double>(i)) : full({2, 2}, static_cast<double>(i), kDouble);
    REQUIRE(same_bits(x * 2, g(x)));
  }
}
TEST_CASE("G30 an in-place update of a captured tensor") {
  Tensor w = ones({4});
  auto g = compile([&](const Tensor& x) { return x * w; });
  for (int i = 1; i < 5; ++i) {
    REQUIRE(g(ones({4})).select(0, 0).item<float>() == static_cast<float>(i));
    w.add_(1);
  }
  REQUIRE(compiles(g) == 1);
}
TEST_CASE("G37 grad mode") {
  const Fn f = [](Args& v) { return v[0] * v[1]; };
  const Make make = [] { return Args{randn({3}), randn({3}).set_requires_grad(true)}; };
  const Fn no_grad = [&](Args& v) {
    NoGradGuard guard;
    return v[0] * v[1];
  };
  static bool off = false;
  const Fn either = [&](Args& v) { return off ? no_grad(v) : f(v); };
  flip(
      either, make, make, [] { off = false; }, [] { off = true; });
}
TEST_CASE("G38 requires_grad of one parameter") {
  const Fn f = [](Args& v) { return linear(v[0], v[1]); };
  flip(
      f,
      [] {
        return Args{randn({2, 3}), randn({4, 3}).set_requires_grad(true)};
      },
      [] {
        return Args{randn({2, 3}), randn({4, 3})};
      });
}

namespace {
struct NetImpl : nn::Module {
  nn::Linear a{nullptr}, b{nullptr};
  nn::Dropout drop{nullptr};
  bool flag = false;
  NetImpl() {
    a = register_module("a", nn::Linear(4, 4));
    b = register_module("b", nn::Linear(4, 2));
    drop = register_module("drop", nn::Dropout(0.5));
  }
  Tensor forward(const Tensor& x) {
    Tensor h = drop->forward(relu(a->forward(x)));
    if (flag) h = h * 2;
    return b->forward(h);
  }
};

/// Eager and compiled on one module under two settings, back and forth.
void flip_module(NetImpl& net, const std::function<void()>& set_a, const std::function<void()>& set_b) {
  auto g = compile([&](const Tensor& x) { return net.forward(x); });
  int64_t seen = 0;
  for (int round = 0; round < 6; ++round) {
    if (round == 4) seen = compiles(g);
    for (const auto& set : {set_a, set_b}) {
      set();
      const Tensor x = randn({3, 4});
      manual_seed(5);
      const Tensor expected = net.forward(x);
      manual_seed(5);
      REQUIRE(same_bits(expected, g(x)));
    }
  }
  REQUIRE(compiles(g) == seen);
}
}  // namespace

TEST_CASE("G39 train and eval") {
  NetImpl net;
  flip_module(
      net, [&] { net.train(); }, [&] { net.eval(); });
}
TEST_CASE("G40 the training flag of one nested child") {
  NetImpl net;
  flip_module(
      net, [&] { net.drop->train(); }, [&] { net.drop->eval(); });
}
TEST_CASE("G71 a module attribute read by an if") {
  NetImpl net;
  net.eval();
  flip_module(
      net, [&] { net.flag = false; }, [&] { net.flag = true; });
}
TEST_CASE("G72 a submodule replaced by one of the same and of another shape") {
  NetImpl net;
  net.eval();
  const nn::Linear first = net.a, same(4, 4);
  nn::Linear no_bias(nn::LinearOptions(4, 4).bias(false));
  flip_module(
      net, [&] { net.a = first; }, [&] { net.a = same; });
  flip_module(
      net, [&] { net.a = first; }, [&] { net.a = no_bias; });
}
TEST_CASE("G65 an integer argument") {
  static int64_t dim = 0;
  const Fn f = [](Args& v) { return v[0].sum(dim); };
  flip(
      f,
      [] {
        return Args{randn({4, 4})};
      },
      [] {
        return Args{randn({4, 4})};
      },
      [] { dim = 0; }, [] { dim = 1; });
  static int64_t index = 0;
  const Fn s = [](Args& v) { return v[0].select(0, index) * 2; };
  flip(
      s,
      [] {
        return Args{randn({4, 4})};
      },
      [] {
        return Args{randn({4, 4})};
      },
      [] { index = 0; }, [] { index = 3; });
}
TEST_CASE("G66 a floating argument by bits") {
  static double value = 0;
  auto g = compile([](const Tensor& x) { return x * value; });
  for (double v : {0.0, -0.0, 1.5, std::nan(""), std::nan(""), 1e300}) {
    value = v;
    const Tensor x = randn({4});
    REQUIRE(same_bits(x * v, g(x)));
  }
  REQUIRE(compiles(g) == 1);
}
TEST_CASE("G67 a value capture and a lambda's own state") {
  int calls = 0;
  auto g = compile([calls](const Tensor& x) mutable { return ++calls % 2 ? x + calls : x * calls; });
  for (int i = 1; i < 9; ++i)
    REQUIRE(g(ones({2})).select(0, 0).item<float>() == (i % 2 ? 1.0f + static_cast<float>(i) : static_cast<float>(i)));
}
namespace {
int g_global = 0;
struct Holder {
  static inline thread_local int per_thread = 0;
};
}  // namespace
TEST_CASE("G68 captures by reference, globals, statics, thread-locals") {
  int local = 0;
  const Fn f = [&](Args& v) { return local + g_global + Holder::per_thread > 1 ? v[0].exp() : v[0].sin(); };
  const Make make = [] { return Args{randn({4})}; };
  flip(
      f, make, make, [&] { local = 0; }, [&] { local = 5; });
  local = 0;
  flip(
      f, make, make, [] { g_global = 0; }, [] { g_global = 5; });
  g_global = 0;
  flip(
      f, make, make, [] { Holder::per_thread = 0; }, [] { Holder::per_thread = 5; });
  Holder::per_thread = 0;
}
TEST_CASE("G69 container length and order, optional state") {
  std::vector<int> order = {0, 1};
  std::optional<double> scale;
  const Fn f = [&](Args& v) {
    Tensor r = v[0];
    for (int k : order) r = k == 0 ? r.sin() : k == 1 ? r.exp() : r.tanh();
    return scale ? r * *scale : r;
  };
  const Make make = [] { return Args{randn({4})}; };
  flip(
      f, make, make,
      [&] {
        order = {0, 1};
      },
      [&] {
        order = {1, 0};
      });
  flip(
      f, make, make,
      [&] {
        order = {0, 1};
      },
      [&] {
        order = {0, 1, 2};
      });
  flip(
      f, make, make, [&] { scale.reset(); }, [&] { scale = 2.0; });
}
TEST_CASE("G70 a function target, an override, another object of the same type") {
  std::function<Tensor(const Tensor&)> target = [](const Tensor& t) { return t.sin(); };
  const Fn f = [&](Args& v) { return target(v[0]); };
  const Make make = [] { return Args{randn({4})}; };
  flip(
      f, make, make, [&] { target = [](const Tensor& t) { return t.sin(); }; },
      [&] { target = [](const Tensor& t) { return t.cos(); }; });
}
TEST_CASE("G76 size(i) in host arithmetic and loop bounds") {
  const Fn f = [](Args& v) {
    Tensor r = v[0] / v[0].size(0);
    for (int64_t i = 0; i < v[0].size(0); ++i) r = r + i;
    return r;
  };
  flip(
      f, [] { return Args{randn({3})}; }, [] { return Args{randn({5})}; });
}
TEST_CASE("G77 a host branch on a value") {
  const Fn f = [](Args& v) { return v[0].sum().item<float>() > 0 ? v[0] + 1 : v[0] - 1; };
  flip(
      f, [] { return Args{ones({3})}; }, [] { return Args{-ones({3})}; });
}
TEST_CASE("G78 clock, output, counters run on each call") {
  int counter = 0;
  std::vector<int> log;
  auto g = compile([&](const Tensor& x) {
    log.push_back(++counter);
    return x + 1;
  });
  for (int i = 0; i < 5; ++i) g(ones({2}));
  REQUIRE(log == std::vector<int>{1, 2, 3, 4, 5});
}
TEST_CASE("G79 trip counts, early return, exceptions as control flow") {
  static int turns = 2;
  const Fn f = [](Args& v) {
    Tensor r = v[0];
    for (int i = 0; i < turns; ++i) {
      r = r * 2;
      if (i == 4) return r;
    }
    try {
      if (turns == 3) throw turns;
    } catch (int) { r = r.exp(); }
    return r + 1;
  };
  const Make make = [] { return Args{randn({4})}; };
  flip(
      f, make, make, [] { turns = 2; }, [] { turns = 4; });
  flip(
      f, make, make, [] { turns = 2; }, [] { turns = 8; });
  flip(
      f, make, make, [] { turns = 2; }, [] { turns = 3; });
}
TEST_CASE("G83 an operator and host code throw in the middle") {
  static bool bad = false;
  const Fn f = [](Args& v) {
    v[0].add_(1);
    Tensor r = v[0] * 2;
    if (bad) r = r + zeros({99});
    return r;
  };
  const Make make = [] { return Args{randn({4})}; };
  flip(
      f, make, make, [] { bad = false; }, [] { bad = true; });
  bad = false;
}
TEST_CASE("G93 the recompile limit: eager, right, counted") {
  static int kind = 0;
  const Fn f = [](Args& v) {
    Tensor r = v[0];
    for (int i = 0; i < kind; ++i) r = r.sin();
    return r + 1;
  };
  auto g = compile(f, {.name = "limited"});
  const Make make = [] { return Args{randn({4})}; };
  for (kind = 0; kind < 30; ++kind)
    for (int i = 0; i < 2; ++i) same_as_eager(f, g, make);
  REQUIRE(g.stats().eager_fallbacks > 0);
  REQUIRE(compiles(g) <= env().recompile_limit + 1);
  const auto seen = compiles(g);
  for (kind = 0; kind < 4; ++kind) same_as_eager(f, g, make);  // what exists still replays
  REQUIRE(compiles(g) == seen);
}
TEST_CASE("G94 reset, then the same again") {
  const Fn f = [](Args& v) { return v[0].sin() + 1; };
  auto g = compile(f);
  const Make make = [] { return Args{randn({4})}; };
  same_as_eager(f, g, make);
  g.reset();
  same_as_eager(f, g, make);
  same_as_eager(f, g, make);
  REQUIRE(compiles(g) == 1);
}
TEST_CASE("G95 several variants in any order") {
  const Fn f = mix;
  auto g = compile(f);
  const std::vector<Make> makes = {[] { return Args{randn({4})}; },    [] { return Args{randn({4}, kDouble)}; },
                                   [] { return Args{randn({2, 2})}; }, [] { return Args{randn({2, 2}).t()}; },
                                   [] { return Args{arange(4)}; },     [] { return Args{randn({4}), randn({4})}; }};
  uint64_t order = 1;
  for (int i = 0; i < 60; ++i) {
    order = order * 6364136223846793005ull + 1442695040888963407ull;
    same_as_eager(f, g, makes[(order >> 33) % makes.size()]);
  }
  const auto seen = compiles(g);
  for (const Make& m : makes) same_as_eager(f, g, m);
  REQUIRE(compiles(g) == seen);
}

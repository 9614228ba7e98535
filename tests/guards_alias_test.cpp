// Guard rows G19-G32: tensors that share memory, writes, what outlives a call.
#include <array>
#include "guard_rows.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// Two windows of one vector: [a, a + n) and [b, b + n).
State windows(int64_t a, int64_t b) {
  return {[=](Maker& m) {
    const Tensor base = m({3 * m.n});
    return tensors(base.slice(0, a, a + m.n), base.slice(0, b, b + m.n));
  }};
}
const State apart = {[](Maker& m) { return tensors(m({m.n}), m({m.n})); }};
const State same_twice = {[](Maker& m) {
  const Tensor x = m({m.n});
  return tensors(x, x);
}};

}  // namespace

TEST_CASE("G19 distinct arguments, then the same tensor twice") {
  check_row({.f = GIVES(v[0] * v[1] + v[0].sin()), .states = {apart, same_twice}});
  check_row({.f =
                 [](Tensors& v) {
                   v[0].mul_(2);
                   return v[0] * 3 + v[1];
                 },
             .states = {apart, same_twice},
             .writes = true});
  check_row({.f = GIVES(v[0].add_(v[1]) * v[1]), .states = {apart, same_twice}, .writes = true});  // training: an error
}

TEST_CASE("G20 separate, then overlapping views, one written") {
  const auto f = [](Tensors& v) {
    v[0].mul_(2);
    return v[1] + v[0];
  };
  check_row({.f = f, .states = {apart, windows(0, 1)}, .writes = true});
  const auto both = [](Tensors& v) {
    v[0].mul_(2);
    v[1].add_(1);
    return tensors(v[0].sin(), v[1].cos());
  };
  check_row({.f = both, .states = {apart, windows(0, 1), same_twice}, .writes = true});
}

TEST_CASE("G20 overlap through foreign memory") {
  static std::array<float, 64> memory;
  const auto at = [](int64_t offset) {
    return State{[offset](Maker& m) {
      for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<float>(i) * 0.25f;
      return tensors(from_blob(memory.data(), {m.n}), from_blob(memory.data() + offset, {m.n}), m({m.n}));
    }};
  };
  const auto f = [](Tensors& v) {
    v[0].add_(1);
    return v[1] * 2 + v[2];
  };
  check_row({.f = f, .states = {at(32), at(2), at(0)}});
}

TEST_CASE("G21 overlap at another offset") {
  const auto f = [](Tensors& v) {
    v[0].exp_();
    return v[1] * 2;
  };
  check_row({.f = f, .states = {windows(0, 1), windows(0, 2), windows(3, 1)}, .writes = true});
}

TEST_CASE("batches of one data set, in any order, in a region that writes parameters") {
  const Tensor data = randn({6, 3}), w = randn({3});
  const auto f = [&w](const Tensor& a, const Tensor& b) {
    w.add_(a.sum(0), 0.1);
    w.add_((b * w).sum(0), 0.1);
  };
  auto g = compile(f);
  const auto rows = [&](int64_t i) { return data.narrow(0, i, 2); };
  for (int i = 0; i < 2; ++i) g(rows(0), rows(2));
  for (const auto& [i, k] : {std::pair(2, 4), {4, 0}, {0, 1}, {3, 0}, {2, 2}, {4, 2}}) {
    const Tensor before = w.clone();
    f(rows(i), rows(k));
    const Tensor want = w.clone();
    w.copy_(before);
    g(rows(i), rows(k));
    REQUIRE(same_bits(w, want));
  }
  REQUIRE(compiles(g) == 1);
  REQUIRE(g.stats().interpreted == 0);
  // Of two views of one memory one is written: where they lie counts again.
  auto h = compile([](const Tensor& a, const Tensor& b) { a.add_(b); });
  for (const int64_t k : {2, 2, 4, 4}) h(rows(0), rows(k));
  REQUIRE(compiles(h) == 2);
}

TEST_CASE("G22 overlap, then none") {
  const auto f = [](Tensors& v) {
    v[1].sub_(1);
    return v[0] * v[0];
  };
  check_row({.f = f, .states = {windows(1, 0), apart}, .writes = true});
  // Two windows of one vector that do not meet; the gap sweeps with the size.
  const State disjoint = {[](Maker& m) {
    const Tensor base = m({3 * m.n});
    return tensors(base.slice(0, 0, m.n), base.slice(0, 2 * m.n, 3 * m.n));
  }};
  check_row({.f = f, .states = {disjoint, windows(0, 2)}, .writes = true});
}

TEST_CASE("G23 an argument aliases a captured tensor") {
  static Tensor captured;
  const State other = {[](Maker& m) {
    captured = m({m.n});
    return tensors(m({m.n}));
  }};
  const State same = {[](Maker& m) {
    captured = m({m.n});
    return tensors(captured);
  }};
  const State view = {[](Maker& m) {
    captured = m({m.n});
    return tensors(captured.view({m.n}));
  }};
  const auto watch = [] { return tensors(captured); };
  check_row({.f = GIVES(v[0].mul_(3) + captured), .states = {other, same, view}, .writes = true, .watch = watch});
  check_row({.f = GIVES(v[0] * captured), .states = {other, same, view}, .watch = watch});
  captured.reset();
}

TEST_CASE("G23 an argument is a captured parameter or a view of it") {
  nn::Linear layer(3, 3);
  const auto f = [&](Tensors& v) { return layer(v[0]) * 2; };
  check_row({.f = f, .states = {{ARGS(m({m.n, 3}))}, {ARGS(layer->weight.slice(0, 0, 3))}, {ARGS(layer->weight)}}, .watch = [&] {
               return tensors(layer->weight, layer->bias);
             }});
}

TEST_CASE("G24 parameters tied and untied") {
  const State untied = {ARGS(m({m.n, 3}), m({3, 3}), m({3, 3}))};
  const State tied = {[](Maker& m) {
    const Tensor w = m({3, 3});
    return tensors(m({m.n, 3}), w, w);
  }};
  check_row({.f = GIVES(linear(linear(v[0], v[1]), v[2])), .states = {untied, tied}});
  // A training step on them: the update must happen once or twice as in eager.
  const auto step = [](Tensors& v) {
    linear(relu(linear(v[0], v[1])), v[2]).sum().backward();
    const NoGradGuard no_grad;
    for (size_t i : {1, 2}) v[i].sub_(v[i].grad(), 0.1);
    return tensors(v[1].clone(), v[2].clone());
  };
  check_row(
      {.f = step, .states = {untied, tied}, .no_inference = "it is a training step", .no_outside = "it is a training step"});
}

TEST_CASE("G25 a written argument that overlaps itself") {
  check_row({.f = GIVES(v[0].add_(1)),
             .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({1, 3}).expand({m.n, 3}))}},  // the second is an error
             .writes = true});
  check_row({.f = GIVES(v[0].copy_(v[1]) * 2),
             .states = {{ARGS(m({m.n, 3}), m({3}))}, {ARGS(m({m.n, 1}).expand({m.n, 3}), m({3}))}},
             .writes = true});
}

TEST_CASE("G26 a[1:] = a[:-1] inside the region") {
  const auto shift = [](bool clone) {
    return [clone](Tensors& v) {
      const Tensor a = v[0] * 1;
      const int64_t n = a.size(0);
      const Tensor from = a.slice(0, 0, n - 1);
      a.slice(0, 1, n).copy_(clone ? from.clone() : from);  // without clone: an error
      return a;
    };
  };
  const std::vector<State> states = {{ARGS(m({m.n}))}, {ARGS(m({m.n}, kDouble))}, {ARGS(m({m.n, 2}))}};
  check_row({.f = shift(true), .states = states});
  check_row({.f = shift(false), .states = states, .no_training = "the forward is an error in every state"});
}

TEST_CASE("G27 results that are views of an argument, of a result, of a captured tensor, the argument itself") {
  static Tensor captured;
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] + 1;
    return tensors(y, y.t(), v[0].slice(0, 1, 3), y.select(1, 2), v[0], captured.select(0, 1), y.view({-1}), v[0].contiguous());
  };
  const auto state = [](bool transposed) {
    return State{[transposed](Maker& m) {
      captured = m({2, m.n});
      return tensors(transposed ? m({5, m.n}).t() : m({m.n, 5}));
    }};
  };
  check_row({.f = f, .states = {state(false), state(true)}, .watch = [] { return tensors(captured); }});
  captured.reset();
}

TEST_CASE("G27 a write to a result is seen through the views that came with it") {
  const auto f = GIVES(v[0] * 2, (v[0] * 3).t());
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    Tensors args = tensors(randn({4, 5}));
    Tensors r = g(args);
    const Tensor view = r[0].select(0, 1);
    r[0].add_(1);
    REQUIRE(view._version() == 1);
    REQUIRE(same_bits(view, args[0].select(0, 1) * 2 + 1));
  }
}

TEST_CASE("G28 results of a call are untouched by the next ones") {
  check_row({.f = GIVES(v[0] * 2, v[0].sum(0), (v[0] + 1).t(), v[0].exp()),
             .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 3}, kDouble))}},
             .keeps = true});
}

TEST_CASE("G29 a freed tensor, and another one at the same address") {
  // Each call's arguments are freed before the next, so addresses repeat while kinds alternate.
  check_row({.f = GIVES(v[0] * 2 + 1),
             .states = {{ARGS(m({m.n, 2}))}, {ARGS(m({m.n}, kDouble))}, {ARGS(m({m.n, 2}).slice(0, 0, m.n, 2))}}});
  auto g = compile([](const Tensor& x) { return x * 2; });
  int repeated = 0;
  const void* last = nullptr;
  for (int i = 0; i < 50; ++i) {
    const Tensor x = i & 1 ? full({4}, static_cast<double>(i)) : full({2, 2}, static_cast<double>(i), kDouble);
    repeated += x.impl() == last;
    last = x.impl();
    REQUIRE(same_bits(x * 2, g(x)));
  }
#if !defined(__SANITIZE_ADDRESS__)  // which does not hand out an address again so soon
  REQUIRE(repeated > 0);
#endif
}

TEST_CASE("G29 an argument freed inside the function, another one made in its place") {
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * 2;
    v[0] = Tensor();
    const Tensor other = tensor({5.0f, 6.0f, 7.0f});
    return y.select(1, 0).sum() * other;
  };
  check_row({.f = f, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 3}, kDouble))}}});
}

namespace {
/// A captured weight made by `make`, then changed by `change`: what was compiled must read what is there now.
State changed(Tensor& w, std::function<void(const Tensor&)> change) {
  return {[&w, change](Maker& m) {
    w = m.track(randn({3, 3}));
    {
      const NoGradGuard no_grad;
      change(w);
    }
    return tensors(m({m.n, 3}));
  }};
}
}  // namespace

TEST_CASE("G30 an in-place update of a captured tensor") {
  static Tensor w;
  check_row({.f = GIVES(linear(v[0], w) + w.select(0, 0)),
             .states = {changed(w, [](const Tensor&) {}), changed(w, [](const Tensor& t) { t.add_(1); }),
                        changed(w, [](const Tensor& t) { t.select(0, 1).zero_(); })},
             .hit = true,
             .watch = [] { return tensors(w); }});
  w.reset();
}

TEST_CASE("G31 update of a weight by operator, view, optimizer, loaded state, raw pointer") {
  static Tensor w;
  const auto by_optimizer = [](const Tensor& t) {
    Tensor p = t;
    const bool before = p.requires_grad();
    p.set_requires_grad(true);
    optim::SGD sgd({p}, 0.5);
    p.mutable_grad() = ones_like(p);
    sgd.step();
    p.mutable_grad().reset();
    p.set_requires_grad(before);
  };
  const auto by_state = [](const Tensor& t) {
    const nn::Linear from(3, 3);
    t.copy_(from->weight);
  };
  check_row({.f = GIVES(linear(relu(linear(v[0], w)), w)),
             .states = {changed(w, [](const Tensor&) {}), changed(w, [](const Tensor& t) { t.mul_(2); }),
                        changed(w, [](const Tensor& t) { t.view({9}).slice(0, 2, 5).fill_(1); }), changed(w, by_optimizer),
                        changed(w, by_state), changed(w, [](const Tensor& t) { t.data_ptr<float>()[4] = 100; })},
             .hit = true,
             .watch = [] { return tensors(w); }});
  w.reset();
}

TEST_CASE("G31 update of a weight inside the function, between two uses") {
  static Tensor w;
  static int way = 0;
  const auto f = [](Tensors& v) {
    const Tensor before = linear(v[0], w);
    {
      const NoGradGuard no_grad;
      if (way == 1) w.mul_(2);
      if (way == 2) w.select(0, 1).add_(1);
      if (way == 3) w.data_ptr<float>()[4] = 100;
    }
    return tensors(before, linear(v[0], w));
  };
  std::vector<State> states;
  for (int i : {0, 1, 2, 3}) states.push_back({changed(w, [](const Tensor&) {}).make, [i] { way = i; }});
  check_row({.f = f, .states = states, .watch = [] { return tensors(w); }});
  w.reset();
}

TEST_CASE("G32 version counters after in-place operators") {
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * 2, part = v[1].select(0, 1);
    v[1].add_(1).mul_(2);
    part.mul_(3);
    y.add_(v[1]);
    v[1].copy_(y);
    return tensors(y, part, v[0].detach());
  };
  check_row({.f = f, .states = {{ARGS(m({m.n, 3}), m({m.n, 3}))}, {ARGS(m({m.n, 3}, kDouble), m({m.n, 3}))}}, .writes = true});
  const auto loop = [](Tensors& v) {
    for (int64_t i = 0; i < v[0].size(1); ++i) v[0].add_(static_cast<double>(i));
    return v[0];
  };
  check_row({.f = loop, .states = {{ARGS(m({m.n, 2}))}, {ARGS(m({m.n, 5}))}}, .writes = true});
}

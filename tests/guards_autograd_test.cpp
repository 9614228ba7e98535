// Guard rows G33-G46: gradients, modes, hooks.
#include <any>
#include <memory>
#include <optional>
#include <thread>
#include "engine/autograd/function.h"
#include "guard_rows.h"

using namespace sinter;
using namespace sinter::test;

namespace {

constexpr const char* kBackward = "the function itself runs backward";

/// States that differ in a number which the function reads.
std::vector<State> numbered(const std::function<Tensors(Maker&)>& make, int& number, std::initializer_list<int> values) {
  std::vector<State> states;
  for (int i : values) states.push_back({make, [&number, i] { number = i; }});
  return states;
}

}  // namespace

TEST_CASE("G33 a saved tensor written between forward and backward") {
  static int way = 0;
  const auto f = [](Tensors& v) {
    const Tensor y = v[0].exp();
    return tensors(y * v[1], y);
  };
  const auto after = [](Tensors&, Tensors& r) {
    const Tensor z = r[0], y = r[1];
    if (way == 1) y.add_(1);                   // saved by exp and mul: an error
    if (way == 2) y.detach().add_(1);          // the same memory: an error
    if (way == 3) z.add_(1);                   // saved by nobody
    if (way == 4) y.data_ptr<float>()[0] = 2;  // behind autograd's back: as eager
    z.sum().backward();
  };
  check_pairs({.f = f, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3, 4}), .after = after});
  const auto forget_y = [f, after](Tensors& v) {
    Tensors r = f(v);
    after(v, r);
    r.pop_back();
    return r;
  };
  check_pairs({.f = forget_y,
               .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3, 4}),
               .after = [](Tensors&, Tensors&) {},
               .no_inference = kBackward,
               .no_outside = kBackward});
  const auto write_leaf = [](Tensors& v, Tensors& r) {
    {
      const NoGradGuard no_grad;
      if (way == 1) v[1].mul_(2);  // saved by mul: an error
      if (way == 2) v[1].select(0, 0).zero_();
    }
    r[0].sum().backward();
  };
  check_pairs({.f = GIVES(v[0] * v[1]), .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2}), .after = write_leaf});
}

TEST_CASE("G34 the same tensor in two slots") {
  const State two = {[](Maker& m) { return tensors(m({m.n, 3}), m({m.n, 3})); }};
  const State one = {[](Maker& m) {
    const Tensor x = m({m.n, 3});
    return tensors(x, x);
  }};
  check_row({.f = GIVES(v[0] * v[1] + v[0].sin()), .states = {two, one}});
  check_row({.f = GIVES(cat({v[0], v[1], v[0]}, 1)), .states = {two, one}});
  check_row({.f = GIVES(mm(v[0], v[1].t())), .states = {two, one}});
}

TEST_CASE("G35 detach, view or clone, then a write, inside the region") {
  static int way = 0;
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * 1;
    if (way == 0) y.detach().mul_(2);
    if (way == 1) y.view({-1}).mul_(2);
    if (way == 2) y.clone().mul_(2);
    if (way == 3) y.select(0, 1).mul_(y.select(0, 0));
    if (way == 4) y.slice(1, 0, 2).mul_(v[1].slice(0, 0, 2));
    if (way == 5) y.t().add_(v[0].t());
    return tensors(y.exp(), y);
  };
  check_pairs({.f = f, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3, 4, 5})});
}

TEST_CASE("G36 grad undefined, zero, accumulated, shared with another tensor") {
  const auto with = [](std::function<void(const Tensor&, const Tensor&)> prepare) {
    return State{[prepare](Maker& m) {
      const Tensor a = m({m.n, 3}), b = m({m.n, 3});
      if (a.requires_grad()) prepare(a, b);
      return tensors(a, b);
    }};
  };
  const std::vector<State> states = {
      with([](const Tensor&, const Tensor&) {}),
      with([](const Tensor& a, const Tensor&) { a.mutable_grad() = zeros_like(a); }),
      with([](const Tensor& a, const Tensor& b) { a.mutable_grad() = randn_like(a), b.mutable_grad() = randn_like(b); }),
      with([](const Tensor& a, const Tensor& b) { a.mutable_grad() = b.mutable_grad() = randn_like(b); }),
      with([](const Tensor& a, const Tensor& b) { a.mutable_grad() = b.detach(); }),
      with([](const Tensor& a, const Tensor&) {
        a.mutable_grad() = randn({a.size(1), a.size(0)}).t();
      }),
  };
  check_pairs({.f = GIVES(v[0] * v[1]), .states = states, .after = [](Tensors&, Tensors& r) { r[0].sum().backward(); }});
  const auto with_reset = [](Tensors& v, Tensors& r) {
    r[0].sum().backward();
    v[0].mutable_grad().zero_();
    v[1].mutable_grad().reset();
    r[1].sum().backward();
    r.push_back(v[0].grad() * 2);
  };
  check_pairs({.f = GIVES(v[0] * v[1], v[0].sin()),
               .states = states,
               .after = with_reset,
               .no_outside = "two losses, each with and without gradients before: more variants than the limit"});
  const auto reset_before = [](Tensors& v, Tensors& r) {
    if (v[0].grad().defined()) v[0].mutable_grad().zero_();
    v[1].mutable_grad().reset();
    r[0].sum().backward();
    r.push_back(v[0].grad() * 2);
  };
  check_pairs({.f = GIVES(v[0] * v[1]), .states = states, .after = reset_before});
}

TEST_CASE("G37 grad mode around and inside the call") {
  static int way = 0;
  const auto f = [](Tensors& v) {
    const AutoGradMode outer(way != 1);
    Tensor y = v[0] * v[1];
    {
      const AutoGradMode inner(way != 2);
      y = y.sin();
      const AutoGradMode innermost(way != 3);
      y = y * v[1];
    }
    return y.exp();
  };
  check_pairs({.f = f, .states = numbered(ARGS(m({m.n, 3}), m.leaf({3})), way, {0, 1, 2, 3})});
  const auto set = [](bool on) {
    return [on] { ambient::word = on ? ambient::word | ambient::kGradMode : ambient::word & ~ambient::kGradMode; };
  };
  check_pairs({.f = GIVES(v[0] * v[1]),
               .states = {{ARGS(m({m.n, 3}), m.leaf({3})), set(true)}, {ARGS(m({m.n, 3}), m.leaf({3})), set(false)}}});
}

TEST_CASE("G38 requires_grad of one parameter") {
  const auto with = [](bool weight, bool bias) {
    return State{[=](Maker& m) {
      const Tensor w = weight ? m.leaf({4, 3}) : randn({4, 3}), b = bias ? m.leaf({4}) : randn({4});
      return tensors(m({m.n, 3}), w, b);
    }};
  };
  check_row({.f = GIVES(relu(linear(v[0], v[1], v[2]))),
             .states = {with(true, true), with(false, true), with(true, false), with(false, false)}});
}

TEST_CASE("G38 requires_grad changed inside the function") {
  static int way = 0;
  const auto f = [](Tensors& v) {
    const Tensor w = v[1].detach();
    const Tensor before = v[0] * w;
    if (way == 1) w.set_requires_grad(true);
    const Tensor after = before + v[0] * w;
    if (way == 2) w.set_requires_grad(true);
    after.sum().backward();
    return tensors(after.detach(), w.grad().defined() ? w.grad() : w);
  };
  check_row({.f = f,
             .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2}),
             .no_inference = kBackward,
             .no_outside = kBackward});
  const auto forward = [](Tensors& v) {
    const Tensor w = v[1].detach();
    const Tensor before = v[0] * w;
    if (way == 1) w.set_requires_grad(true);
    const Tensor after = before + v[0] * w;
    if (way == 2) w.set_requires_grad(true);
    return tensors(after, w);
  };
  check_row({.f = forward, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2})});
}

namespace {
struct NetImpl : nn::Module {
  nn::Linear a{nullptr}, b{nullptr};
  nn::Dropout drop{nullptr};
  NetImpl() {
    a = register_module("a", nn::Linear(4, 4));
    b = register_module("b", nn::Linear(4, 2));
    drop = register_module("drop", nn::Dropout(0.5));
  }
  Tensor forward(const Tensor& x) { return b->forward(drop->forward(relu(a->forward(x)))); }
};

/// A row of a whole module whose mode `set` chooses.
Row of_module(NetImpl& net, std::vector<std::function<void()>> sets) {
  Row row{.f = [&net](Tensors& v) { return net.forward(v[0]); },
          .watch =
              [&net] {
                Tensors all;
                for (const Tensor& p : net.parameters()) all.push_back(p);
                return all;
              }};
  for (auto& set : sets) row.states.push_back({[](Maker& m) { return tensors(m({m.n, 4})); }, set});
  return row;
}
}  // namespace

TEST_CASE("G39 train and eval") {
  NetImpl net;
  check_row(of_module(net, {[&] { net.train(); }, [&] { net.eval(); }}));
}

TEST_CASE("G40 the training flag of one nested child") {
  NetImpl net;
  check_row(of_module(net, {[&] { net.drop->train(); }, [&] { net.drop->eval(); }}));
}

TEST_CASE("G41 a second backward, retained graphs, graphs of gradients") {
  static int way = 0;
  const auto after = [](Tensors& v, Tensors& r) {
    const Tensor y = r[0];
    if (way == 0) y.backward();
    if (way == 1) y.backward({}, true), y.backward();
    if (way == 2) y.backward(), y.backward();  // an error: the graph was freed
    if (way == 3) {
      const Tensor g = autograd::grad({y}, {v[0]}, {}, std::nullopt, true)[0];
      (g * g).sum().backward();
    }
    if (way == 4) y.backward({}, std::nullopt, true), v[0].grad().sum().backward();
    if (way == 5) y.backward(full({}, 2.0));
  };
  check_pairs({.f = GIVES((v[0].exp() * v[1]).sum()),
               .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3, 4, 5}),
               .after = after});
}

TEST_CASE("G41 backward of a graph made before the call") {
  const auto made = [](bool retained) {
    return State{[retained](Maker& m) {
      const Tensor loss = (m({m.n, 3}).exp() * m({3})).sum();
      if (retained && loss.requires_grad()) loss.backward({}, true);
      return tensors(loss);
    }};
  };
  const auto f = [](Tensors& v) {
    v[0].backward();
    return v[0].detach();
  };
  check_row({.f = f,
             .states = {made(false), made(true)},
             .no_inference = kBackward,
             .no_outside = kBackward,
             .no_sweep = "the argument is the loss"});
}

TEST_CASE("G41 backward through a graph whose first part was made before the call, kept or already freed") {
  const auto made = [](std::optional<bool> retain) {
    return State{[retain](Maker& m) {
      const Tensor y = m({m.n, 3}).exp() * m({3});
      if (retain && y.requires_grad()) y.sum().backward({}, *retain);
      return tensors(y);
    }};
  };
  check_row({.f = GIVES(v[0].sin() * 2), .states = {made(std::nullopt), made(true), made(false)}});
}

TEST_CASE("G42 hooks added and removed") {
  static int way = 0;
  static double seen = 0;
  const auto make = [](Maker& m) {
    const Tensor x = m({m.n, 3}), w = m({3});
    if (!x.requires_grad()) return tensors(x, w);
    if (way == 1) x.register_hook([](const Tensor& g) { return g * 2; });                   // changes
    if (way == 2) x.register_hook([](const Tensor& g) { seen += g.sum().item<float>(); });  // reads values
    if (way == 3) x.remove_hook(x.register_hook([](const Tensor& g) { return g * 2; }));
    return tensors(x, w);
  };
  check_pairs(
      {.f = GIVES((v[0] * v[1]).exp()), .states = numbered(make, way, {0, 1, 2, 3}), .no_inference = kBackward, .observe = [] {
         return std::to_string(std::exchange(seen, 0));
       }});
}

TEST_CASE("G42 hooks of a result inside the function") {
  static int way = 0;
  static int calls = 0;
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * v[1];
    unsigned id = 0;
    if (way > 0 && y.requires_grad()) id = y.register_hook([](const Tensor& g) { return ++calls, g + 1; });
    if (way == 2 && y.requires_grad()) y.remove_hook(id);
    if (way == 3 && y.requires_grad()) y.retain_grad();
    return tensors(y.exp(), y);
  };
  const auto after = [](Tensors&, Tensors& r) {
    r[0].sum().backward();
    r.push_back(r[1].grad());
  };
  check_pairs({.f = f, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3}), .after = after, .observe = [] {
                 return std::to_string(std::exchange(calls, 0));
               }});
}

TEST_CASE("G42 hooks of a result added and removed after the call") {
  static int way = 0;
  static double seen = 0;
  const auto after = [](Tensors&, Tensors& r) {
    unsigned id = 0;
    if (way == 1 || way == 2) id = r[1].register_hook([](const Tensor& g) { return g * 2; });
    if (way == 2) r[1].remove_hook(id);
    if (way == 3) r[1].register_hook([](const Tensor& g) { seen += g.sum().item<float>(); });
    if (way == 4) r[1].register_hook([](const Tensor&) -> Tensor { throw std::runtime_error("from a hook"); });
    r[0].sum().backward();
  };
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * v[1];
    return tensors(y.exp(), y);
  };
  check_pairs({.f = f, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3, 4}), .after = after, .observe = [] {
                 return std::to_string(std::exchange(seen, 0));
               }});
}

TEST_CASE("G45 backward on another thread, its grad mode") {
  static int way = 0;
  const auto after = [](Tensors& v, Tensors& r) {
    const auto pass = [&] {
      const AutoGradMode grad_mode(way != 2);
      if (way == 3) r.push_back(autograd::grad({r[0].sum()}, {v[0]}, {}, std::nullopt, true)[0]);
      else r[0].backward(ones_like(r[0]));
    };
    if (way == 0) return pass();
    std::exception_ptr error;
    std::thread([&] {
      try {
        pass();
      } catch (...) { error = std::current_exception(); }
    }).join();
    if (error) std::rethrow_exception(error);
  };
  check_pairs(
      {.f = GIVES((v[0] * v[1]).exp()), .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3}), .after = after});
}

TEST_CASE("G43 anomaly mode") {
  static int way = 0;
  const auto state = [](bool on, bool check_nan, bool makes_nan) {
    return State{ARGS(m({m.n, 3}), m({3})), [=] {
                   autograd::AnomalyMode::set_enabled(on, check_nan);
                   way = makes_nan;
                 }};
  };
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * v[1];
    return way == 1 ? (y * 0).sqrt() : y.exp();
  };
  for (const bool nan : {false, true})
    check_pairs({.f = f, .states = {state(false, true, nan), state(true, true, nan), state(true, false, nan)}});
  const auto inside = [](Tensors& v) {
    const Tensor y = v[0] * v[1];
    const autograd::DetectAnomalyGuard guard(way == 1);
    if (way == 0) autograd::AnomalyMode::set_enabled(false);
    if (v[0].requires_grad()) (y * 0).sqrt().sum().backward();
    return tensors(y.detach().exp(), y);
  };
  check_pairs({.f = inside,
               .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2}),
               .no_inference = kBackward,
               .no_outside = kBackward});
}

TEST_CASE("G43 saved-tensor hooks") {
  static int way = 0;
  static int packed = 0;
  static const auto factor = [](double by) { return [by](const std::any& t) { return std::any_cast<const Tensor&>(t) * by; }; };
  static const auto keep = [](const Tensor& t) -> std::any { return ++packed, t.clone(); };
  static const auto observe = [] { return std::to_string(std::exchange(packed, 0)); };
  // Around the call: none, a pair of hooks, another pair, two pairs of which the inner counts.
  static std::vector<std::unique_ptr<autograd::SavedTensorHooksGuard>> guards;
  const auto around = [](std::vector<double> factors) {
    return State{ARGS(m({m.n, 3}), m({3})), [factors] {
                   while (!guards.empty()) guards.pop_back();
                   for (double by : factors)
                     guards.push_back(std::make_unique<autograd::SavedTensorHooksGuard>(keep, factor(by)));
                 }};
  };
  check_pairs(
      {.f = GIVES((v[0] * v[1]).exp()), .states = {around({}), around({1}), around({2}), around({3, 2})}, .observe = observe});
  // Inside: around a part of the function, that of the backward too.
  const auto inside = [](Tensors& v) {
    Tensor y = v[0] * v[1];
    {
      std::optional<autograd::SavedTensorHooksGuard> guard;
      if (way > 0) guard.emplace(keep, factor(way));
      y = y.exp() * v[0];
      if (way == 3 && y.requires_grad()) y.sum().backward({}, true);
    }
    return tensors(y.sin());
  };
  check_pairs({.f = inside, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2, 3}), .observe = observe});
}

namespace {
/// A function whose forward and backward are chosen between calls.
struct Chosen : autograd::Function<Chosen> {
  static inline int forward_way = 0, backward_way = 0;
  static autograd::variable_list forward(autograd::AutogradContext* ctx, const Tensor& a, const Tensor& b) {
    const Tensor y = forward_way == 0 ? a * b : a + b.exp();
    ctx->save_for_backward({a, y});
    if (forward_way == 2) ctx->mark_non_differentiable({y});
    return {y, y.sin()};
  }
  static autograd::variable_list backward(autograd::AutogradContext* ctx, autograd::variable_list g) {
    const auto s = ctx->get_saved_variables();
    if (backward_way == 0) return {g[0] * s[1], (g[0] * s[0] + g[1]).sum(0)};
    if (backward_way == 1) return {(g[0] + g[1]) * s[0] * 0.5, (g[1] * s[1]).sum(0)};
    if (backward_way == 2) return {Tensor(), g[0].sum(0)};
    return {g[0]};  // an error
  }
};
struct Other : autograd::Function<Other> {
  static Tensor forward(autograd::AutogradContext*, const Tensor& a, const Tensor& b) { return a * b; }
  static autograd::variable_list backward(autograd::AutogradContext*, const autograd::variable_list& g) {
    return {g[0] * 2, g[0].sum(0) * 3};
  }
};
}  // namespace

TEST_CASE("G44 a custom function is replaced") {
  static int way = 0;
  const auto by_another = [](Tensors& v) {
    if (way == 0) return v[0] * v[1];
    if (way == 1) return Other::apply(v[0], v[1]);
    return Chosen::apply(v[0], v[1])[0];
  };
  check_row({.f = by_another, .states = numbered(ARGS(m({m.n, 3}), m({3})), way, {0, 1, 2})});
  const auto set = [](int forward, int backward) {
    return State{ARGS(m({m.n, 3}), m({3})), [=] { Chosen::forward_way = forward, Chosen::backward_way = backward; }};
  };
  const auto both = [](Tensors& v) {
    const auto y = Chosen::apply(v[0] * 2, v[1]);
    return tensors(y[0], y[1] * v[1]);
  };
  check_pairs({.f = both, .states = {set(0, 0), set(1, 0), set(2, 0), set(0, 1), set(0, 2), set(0, 3), set(2, 1)}});
  const auto with_backward = [](Tensors& v) {
    const auto y = Chosen::apply(v[0] * 2, v[1]);
    (y[0] * y[1]).sum().backward();
    return tensors(y[0].detach(), y[1].detach());
  };
  check_pairs({.f = with_backward,
               .states = {set(0, 0), set(1, 0), set(2, 0), set(0, 1), set(0, 2), set(0, 3)},
               .no_inference = kBackward,
               .no_outside = kBackward});
  Chosen::forward_way = Chosen::backward_way = 0;
}

TEST_CASE("G46 a region computed again in backward, by hand: its random numbers are the first ones") {
  static bool again = false;
  const auto f = [](Tensors& v) {
    Generator& generator = Generator::get_default();
    const uint64_t seed = generator.current_seed(), counter = generator.counter();
    const auto block = [&] { return dropout(v[0] * v[1], 0.5, true).exp(); };
    Tensor y;
    if (!again) {
      y = block();
    } else {
      {
        const NoGradGuard no_grad;
        y = block() + rand_like(v[0]) * 0;
      }
      const uint64_t after = generator.counter();
      generator.set_state({seed, counter});
      y = block();
      generator.set_state({seed, after});
    }
    return tensors(y, rand({3}));
  };
  check_row({.f = f,
             .states = {{ARGS(m({m.n, 3}), m({3})), [] { again = false; }}, {ARGS(m({m.n, 3}), m({3})), [] { again = true; }}}});
  again = false;
}

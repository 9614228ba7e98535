// Custom autograd functions in eager code, in a compiled step, and where backward runs outside of a compiled forward.
#include <cmath>
#include <functional>
#include <optional>
#include <thread>
#include "runtime/log.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;
using autograd::AutogradContext;
using autograd::Function;
using autograd::variable_list;

namespace custom {

/// x^p * by, with a derivative that is twice the true one: what comes out of it is this function's doing.
struct Power : Function<Power> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, int p, const Tensor& by) {
    REQUIRE(!grad_mode());
    ctx->save_for_backward({x, by});
    ctx->saved_data["p"] = p;
    return x.pow(p) * by;
  }
  static variable_list backward(AutogradContext* ctx, variable_list g) {
    const auto saved = ctx->get_saved_variables();
    const int p = std::any_cast<int>(ctx->saved_data["p"]);
    Tensor of_by;
    if (ctx->needs_input_grad(1)) of_by = g[0] * saved[0].pow(p);
    return {g[0] * saved[1] * saved[0].pow(p - 1) * (2.0 * p), Tensor(), of_by};
  }
};

/// exp, which saves its result.
struct Exp : Function<Exp> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x) {
    const Tensor y = x.exp();
    ctx->save_for_backward({y});
    return y;
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& g) { return {g[0] * ctx->get_saved_variables()[0]}; }
};

/// a * b, a + b and how often a is positive, which has no gradient.
struct Three : Function<Three> {
  static inline std::string seen;
  static variable_list forward(AutogradContext* ctx, const Tensor& a, const Tensor& b, bool materialize = true) {
    const Tensor product = a * b, positive = (a > 0).to(kFloat);
    ctx->save_for_backward({a, b, product});
    ctx->set_materialize_grads(materialize);
    ctx->mark_non_differentiable({positive});
    return {product, a + b, positive, a > 0};
  }
  static variable_list backward(AutogradContext* ctx, variable_list g) {
    const auto s = ctx->get_saved_variables();
    for (const Tensor& t : g) seen += !t.defined() ? "none " : t.dtype() == kFloat ? "grad " : "other ";
    Tensor da, db;
    if (g[0].defined()) da = g[0] * s[1] + s[2] * 0.0, db = g[0] * s[0];
    if (g[1].defined()) da = da.defined() ? da + g[1] : g[1], db = db.defined() ? db + g[1] : g[1];
    return {da, db, Tensor()};
  }
};

/// The sum of a list of tensors, each times its place, and of a tensor that may be missing.
struct Weighted : Function<Weighted> {
  static Tensor forward(AutogradContext* ctx, const std::vector<Tensor>& list, std::optional<Tensor> extra) {
    ctx->saved_data["n"] = list.size();
    Tensor sum = list[0];
    for (size_t i = 1; i < list.size(); ++i) sum = sum + list[i] * static_cast<double>(i + 1);
    return extra ? sum + *extra : sum;
  }
  static variable_list backward(AutogradContext* ctx, variable_list g) {
    variable_list grads;
    for (size_t i = 0; i < std::any_cast<size_t>(ctx->saved_data["n"]); ++i) grads.push_back(g[0] * static_cast<double>(i + 1));
    grads.push_back(g[0]);
    return grads;
  }
};

/// Whatever a test wants.
struct Any : Function<Any> {
  static inline std::function<variable_list(AutogradContext*, const Tensor&)> run;
  static inline std::function<variable_list(AutogradContext*, variable_list)> run_backward;
  static variable_list forward(AutogradContext* ctx, const Tensor& x, double) { return run(ctx, x); }
  static variable_list backward(AutogradContext* ctx, variable_list g) { return run_backward(ctx, std::move(g)); }
};

}  // namespace custom

using custom::Any;

namespace {

Tensor leaf(IntArrayRef sizes, uint64_t seed = 1) {
  manual_seed(seed);
  return randn(sizes).requires_grad_();
}

/// `forward` and a backward from it, in its three forms, many times; gradients of `n` leaves agree to the bit, and with
/// `expected`, which uses no custom function. After the second round nothing compiles.
template <class F>
void check_forms(F forward, const std::function<Tensor(const variable_list&)>& expected, size_t n, IntArrayRef sizes) {
  const auto leaves = [&] {
    variable_list list;
    for (size_t i = 0; i < n; ++i) list.push_back(leaf(sizes, i + 1));
    return list;
  };
  const auto step = [&](const variable_list& v) {
    const Tensor loss = forward(v);
    loss.backward();
    return loss.detach();
  };
  auto whole = compile(step);
  auto half = compile(forward);
  const auto outside = [&](const variable_list& v) {
    const Tensor loss = half(v);
    loss.backward();
    return loss.detach();
  };
  const variable_list plain = leaves();
  expected(plain).backward();
  int64_t known = 0;
  for (int i = 0; i < 5; ++i) {
    const variable_list a = leaves(), b = leaves(), c = leaves();
    const Tensor loss = step(a);
    REQUIRE(same_bits(whole(b), loss));
    REQUIRE(same_bits(outside(c), loss));
    for (size_t k = 0; k < n; ++k) {
      INFO("leaf " << k);
      REQUIRE(a[k].grad().defined() == plain[k].grad().defined());
      REQUIRE(b[k].grad().defined() == plain[k].grad().defined());
      REQUIRE(c[k].grad().defined() == plain[k].grad().defined());
      if (!plain[k].grad().defined()) continue;
      REQUIRE(allclose(a[k].grad(), plain[k].grad()));
      REQUIRE(same_bits(b[k].grad(), a[k].grad()));
      REQUIRE(same_bits(c[k].grad(), a[k].grad()));
    }
    const int64_t now = compiles(whole) + compiles(half) + half.backward_stats().regions_compiled;
    if (i < 2) known = now;
    else REQUIRE(now == known);
  }
  CHECK(whole.stats().replays > 0);
  CHECK(half.backward_stats().replays > 0);
}

/// The same error in eager code, in a compiled step, and with backward outside.
void check_error(const std::string& expected) {
  const auto forward = [](const Tensor& x) {
    Tensor sum;
    for (const Tensor& t : Any::apply(x, 1.0)) sum = sum.defined() ? sum + t.sum() : t.sum();
    return sum;
  };
  const auto step = [&](const Tensor& x) { forward(x).backward(); };
  auto whole = compile(step);
  auto half = compile(forward);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(error_of([&] { step(leaf({3})); }) == expected);
    REQUIRE(error_of([&] { whole(leaf({3})); }) == expected);
    REQUIRE(error_of([&] { half(leaf({3})).backward(); }) == expected);
  }
}

}  // namespace

TEST_CASE("one output: arguments that are no tensors, saved inputs, a gradient that is not wanted") {
  using custom::Power;
  const auto doubled = [](const Tensor& t) { return t * 2.0 - t.detach(); };  // its gradient is twice the true one
  check_forms([](const variable_list& v) { return (Power::apply(v[0].sin(), 3, v[1]) * v[1]).sum(); },
              [&](const variable_list& v) { return (doubled(v[0].sin()).pow(3) * v[1] * v[1]).sum(); }, 2, {4, 3});
  check_forms([](const variable_list& v) { return Power::apply(v[0], 2, full({}, 3.0)).sum(); },
              [&](const variable_list& v) { return (doubled(v[0]).pow(2) * 3.0).sum(); }, 2, {4});
  const Tensor x = leaf({2});
  const Tensor y = Power::apply(x, 2, ones({2}));
  CHECK(y.requires_grad());
  CHECK(!y.is_leaf());
  CHECK(autograd::grad_fn_name(y) == "custom::Power");
  {
    const NoGradGuard no_grad;
    CHECK(!Power::apply(x, 2, ones({2})).requires_grad());
  }
  CHECK(!Power::apply(ones({2}), 2, ones({2})).requires_grad());
}

TEST_CASE("several outputs: used all, some, twice, none; some without a gradient") {
  using custom::Three;
  const auto with = [](std::function<Tensor(const variable_list&)> use, const std::string& seen, bool materialize = true) {
    check_forms([=](const variable_list& v) { return use(Three::apply(v[0].exp(), v[1], materialize)) + v[0].sum() * 0.0; },
                [=](const variable_list& v) {
                  const Tensor a = v[0].exp();
                  return use({a * v[1], a + v[1], (a > 0).to(kFloat), a > 0}) + v[0].sum() * 0.0;
                },
                2, {3, 2});
    CHECK(Three::seen.substr(0, seen.size()) == seen);
    Three::seen.clear();
  };
  with([](const variable_list& o) { return (o[0] * o[1]).sum(); }, "grad grad grad other ");
  with([](const variable_list& o) { return o[0].sin().sum(); }, "grad grad grad other ");
  with([](const variable_list& o) { return (o[1] * o[2]).sum() + (o[1] * o[1]).sum(); }, "grad grad grad other ");
  with([](const variable_list& o) { return o[1].sum(); }, "none grad none none ", false);
  with([](const variable_list& o) { return o[0].sum(); }, "grad none none none ", false);
  const auto out = Three::apply(leaf({2}), leaf({2}));
  CHECK(out[0].requires_grad());
  CHECK(out[1].requires_grad());
  CHECK(!out[2].requires_grad());
  CHECK(!out[3].requires_grad());
}

TEST_CASE("lists of tensors, more than fit into a node, one that may be missing") {
  using custom::Weighted;
  const auto sum = [](const variable_list& v, size_t n) {
    Tensor s = v[0];
    for (size_t i = 1; i < n; ++i) s = s + v[i] * static_cast<double>(i + 1);
    return s;
  };
  check_forms([](const variable_list& v) { return Weighted::apply(v, std::optional<Tensor>()).square().sum(); },
              [&](const variable_list& v) { return sum(v, 6).square().sum(); }, 6, {3});
  check_forms(
      [](const variable_list& v) {
        return Weighted::apply(variable_list{v[0], v[1]}, std::optional<Tensor>(v[2])).square().sum();
      },
      [&](const variable_list& v) { return (sum(v, 2) + v[2]).square().sum(); }, 3, {3});
}

TEST_CASE("second derivatives, through saved inputs and a saved output") {
  using custom::Exp;
  const auto twice = [](const auto& f) {
    return [f](const variable_list& v) {
      const Tensor y = f(v[0]) * v[1];
      const auto g = autograd::grad({y.sum()}, {v[0], v[1]}, {}, true, true);
      return (g[0].square() + g[1] * v[0] + y).sum();
    };
  };
  check_forms(twice([](const Tensor& x) { return Exp::apply(x * x); }), twice([](const Tensor& x) { return (x * x).exp(); }), 2,
              {5});
  // The output itself is gone: its saved twin leads to the call all the same.
  const auto dropped = [](const auto& f) {
    return [f](const variable_list& v) {
      const Tensor g = autograd::grad({f(v[0], v[1])}, {v[0]}, {}, true, true)[0];
      return (g * g).sum();
    };
  };
  check_forms(dropped([](const Tensor& a, const Tensor& b) { return custom::Three::apply(a, b)[0].sum(); }),
              dropped([](const Tensor& a, const Tensor& b) { return (a * b + a * a * b * 0.0).sum(); }), 2, {3});
  const auto third = [](const auto& f) {
    return [f](const variable_list& v) {
      const Tensor g = autograd::grad({f(v[0]).sum()}, {v[0]}, {}, true, true)[0];
      return autograd::grad({g.sum()}, {v[0]}, {}, true, true)[0].sum();
    };
  };
  check_forms(third([](const Tensor& x) { return Exp::apply(x); }), third([](const Tensor& x) { return x.exp(); }), 1, {3});
}

TEST_CASE("hooks and kept gradients of outputs, gradients of part of the graph") {
  using custom::Three;
  const auto run = [](const variable_list& v) {
    const auto o = Three::apply(v[0], v[1]);
    o[0].register_hook([](const Tensor& g) { return g * 3.0; });
    o[1].retain_grad();
    (o[0] + o[1] * 2.0).sum().backward();
    return o[1].grad();
  };
  auto compiled = compile(run);
  for (int i = 0; i < 3; ++i) {
    const variable_list a = {leaf({2}, 1), leaf({2}, 2)}, b = {leaf({2}, 1), leaf({2}, 2)};
    REQUIRE(same_bits(run(a), full({2}, 2.0)));
    REQUIRE(same_bits(compiled(b), full({2}, 2.0)));
    REQUIRE(allclose(a[0].grad(), a[1].detach() * 3.0 + 2.0));
    for (int k : {0, 1}) REQUIRE(same_bits(a[k].grad(), b[k].grad()));
  }
  const Tensor x = leaf({2}), w = leaf({2});
  const Tensor y = x * 1.0;
  const auto o = Three::apply(y, w);
  const auto g = autograd::grad({o[0].sum()}, {y, o[0]}, {}, true);
  CHECK(same_bits(g[0], w.detach() + 0.0));
  CHECK(same_bits(g[1], ones({2})));
  CHECK(!x.grad().defined());
  Three::seen.clear();
  (void)autograd::grad({o[0].sum()}, {o[0]}, {}, true);
  CHECK(Three::seen.empty());  // nothing below was asked for
}

TEST_CASE("what backward returns is checked") {
  const auto plain = [](AutogradContext*, const Tensor& x) -> variable_list { return {x * 2.0}; };
  const auto returns = [&](std::function<variable_list(const Tensor&)> grads) {
    Any::run = plain;
    Any::run_backward = [grads](AutogradContext*, variable_list g) { return grads(g[0]); };
  };
  const std::string wrong = "AutogradError: function custom::Any returned an incorrect number of gradients (expected 2, got ";
  returns([](const Tensor& g) -> variable_list { return {g}; });
  check_error(wrong + "1)");
  returns([](const Tensor&) -> variable_list { return {}; });
  check_error(wrong + "0)");
  returns([](const Tensor& g) -> variable_list { return {g, Tensor(), g}; });
  check_error(wrong + "3)");
  returns([](const Tensor& g) -> variable_list { return {g, Tensor(), Tensor(), Tensor()}; });
  check_error("");
  returns([](const Tensor& g) -> variable_list { return {g, g}; });
  check_error(
      "AutogradError: function custom::Any returned a gradient different that is defined at position 2, but the corresponding "
      "forward "
      "input was not a Variable");
  returns([](const Tensor&) -> variable_list { return {ones({2}), Tensor()}; });
  check_error(
      "AutogradError: Function custom::Any returned an invalid gradient at index 0 - got [2] but expected shape compatible "
      "with [3]");
  returns([](const Tensor&) -> variable_list { throw std::runtime_error("from backward"); });
  check_error("from backward");
  returns([](const Tensor& g) -> variable_list { return {g.expand({4, 3}).to(kDouble), Tensor()}; });  // summed, converted
  check_error("");
  Any::run = [](AutogradContext*, const Tensor&) -> variable_list { throw std::runtime_error("from forward"); };
  check_error("from forward");
}

TEST_CASE("saved tensors: freed, written since, undefined ones; a graph without any runs again") {
  const auto reads = [](AutogradContext* ctx, variable_list g) -> variable_list {
    const auto s = ctx->get_saved_variables();
    return {g[0] * s[0], s[1]};
  };
  Any::run = [](AutogradContext* ctx, const Tensor& x) -> variable_list {
    ctx->save_for_backward({x, Tensor()});
    return {x.square()};
  };
  Any::run_backward = reads;
  const Tensor x = leaf({3}) * 1.0;
  Tensor y = Any::apply(x, 1.0)[0].sum();
  y.backward({}, true);
  y.backward();
  CHECK(error_of([&] { y.backward(); }).find("AutogradError: custom::Any: Trying to backward through the graph a second time") ==
        0);
  const auto written = [&](const Tensor& leaf_of) {
    const Tensor z = leaf_of * 1.0;
    const Tensor o = Any::apply(z, 1.0)[0];
    z.add_(1);
    o.sum().backward();
  };
  auto compiled = compile(written);
  for (int i = 0; i < 3; ++i) {
    const std::string error = error_of([&] { written(leaf({3})); });
    CHECK(error.find("modified by an inplace operation") != std::string::npos);
    CHECK(error_of([&] { compiled(leaf({3})); }) == error);
  }
  Any::run_backward = [](AutogradContext*, variable_list g) -> variable_list { return {g[0], Tensor()}; };
  y = Any::apply(leaf({3}), 1.0)[0].sum();
  CHECK_NOTHROW(y.backward());
  CHECK_NOTHROW(y.backward());  // it does not ask for what was freed
  Any::run = [](AutogradContext*, const Tensor& t) -> variable_list { return {t + 1}; };
  y = Any::apply(leaf({1}), 1.0)[0];
  CHECK_NOTHROW(y.backward());
  CHECK_NOTHROW(y.backward());
}

TEST_CASE("an input returned as it is, views of inputs, one result twice: new tensors, closed to in-place calls") {
  const std::string forbidden = "AutogradError: Output 0 of custom::Any is a view and is being modified inplace.";
  Any::run_backward = [](AutogradContext*, variable_list g) -> variable_list { return {g[0].reshape({3}) * 5.0, Tensor()}; };
  const std::vector<std::function<variable_list(const Tensor&)>> bodies = {
      [](const Tensor& x) -> variable_list { return {x}; },
      [](const Tensor& x) -> variable_list {
        return {x.view({3, 1})};
      },
      [](const Tensor& x) -> variable_list {
        const Tensor y = x * 2.0;
        return {y, y.view({3, 1})};
      },
  };
  for (const auto& body : bodies) {
    Any::run = [&](AutogradContext*, const Tensor& x) { return body(x); };
    const auto read = [](const Tensor& x) {
      const Tensor y = Any::apply(x, 1.0)[0];
      y.sum().backward();
      return y.is_same(x);
    };
    const auto write = [](const Tensor& x) { Any::apply(x, 1.0)[0].add_(1); };
    const auto write_view = [](const Tensor& x) { Any::apply(x, 1.0)[0].select(0, 0).add_(1); };
    auto c_read = compile(read);
    auto c_write = compile(write);
    for (int i = 0; i < 3; ++i) {
      const Tensor a = leaf({3}), b = leaf({3});
      REQUIRE(!read(a));
      REQUIRE(!c_read(b));
      REQUIRE(same_bits(a.grad(), full({3}, 5.0)));
      REQUIRE(same_bits(b.grad(), full({3}, 5.0)));
      REQUIRE(error_of([&] { write(leaf({3})); }).find(forbidden) == 0);
      REQUIRE(error_of([&] { write_view(leaf({3})); }).find(forbidden) == 0);
      REQUIRE(error_of([&] { c_write(leaf({3})); }).find(forbidden) == 0);
    }
  }
  // One of its own may be written, and is no longer what was saved.
  Any::run = [](AutogradContext*, const Tensor& x) -> variable_list { return {x * 2.0}; };
  const auto f = [](const variable_list& v) {
    Tensor y = Any::apply(v[0], 1.0)[0];
    y.mul_(3);
    return y.sum();
  };
  check_forms(f, [](const variable_list& v) { return (v[0] * 15.0).sum(); }, 1, {3});
  Any::run = [](AutogradContext* ctx, const Tensor& x) -> variable_list {
    const Tensor y = x * 2.0;
    ctx->save_for_backward({y});
    return {y};
  };
  Any::run_backward = [](AutogradContext* ctx, variable_list) -> variable_list { return {ctx->get_saved_variables()[0], {}}; };
  check_error("");
  const Tensor y = Any::apply(leaf({3}), 1.0)[0];
  y.add_(1);
  CHECK(error_of([&] { y.sum().backward(); }).find("which is output 0 of custom::Any, is at version 1; expected version 0") !=
        std::string::npos);
}

TEST_CASE("whether there is a gradient changes between two calls that compute the same") {
  int way = 0;
  Any::run_backward = [](AutogradContext*, variable_list g) -> variable_list { return {g[0] * 7.0, Tensor()}; };
  Any::run = [&](AutogradContext* ctx, const Tensor& x) -> variable_list {
    const Tensor y = x * 2.0;
    if (way == 1) ctx->mark_non_differentiable({y});
    return {y};
  };
  const auto f = [&](const Tensor& x) {
    Tensor y;
    if (way == 2) {
      {
        const NoGradGuard no_grad;
        y = Any::apply(x, 1.0)[0];
      }
      y = y.detach();  // the same operators as of a call with a gradient
    } else {
      y = Any::apply(x, 1.0)[0];
      if (way == 3) y = y.detach();
    }
    const Tensor z = (y * 3.0 + x).sum();
    z.backward();
    return z.detach();
  };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i)
    for (const int w : {2, 0, 1, 0, 3}) {
      way = w;
      const Tensor a = leaf({3}), b = leaf({3});
      REQUIRE(same_bits(f(a), g(b)));
      REQUIRE(same_bits(a.grad(), full({3}, w == 0 ? 22.0 : 1.0)));
      REQUIRE(same_bits(a.grad(), b.grad()));
    }
}

TEST_CASE("with saved-tensor hooks and in anomaly mode") {
  int packed = 0;
  const auto f = [](const variable_list& v) {
    const Tensor y = custom::Exp::apply(custom::Power::apply(v[0], 2, v[1]));
    const auto g = autograd::grad({y.sum()}, {v[0], v[1]}, {}, true, true);
    return (g[0].square() + g[1]).sum();
  };
  const variable_list a = {leaf({3}, 1), leaf({3}, 2)}, b = {leaf({3}, 1), leaf({3}, 2)};
  f(a).backward();
  auto g = compile(f);
  {
    const autograd::SavedTensorHooksGuard guard([&](const Tensor& t) -> std::any { return ++packed, t.clone(); },
                                                [](const std::any& t) { return std::any_cast<const Tensor&>(t); });
    (void)custom::Exp::apply(custom::Power::apply(b[0], 2, b[1]));
    CHECK(packed == 3);
    g(b).backward();
    const autograd::DetectAnomalyGuard anomaly;
    b[0].mutable_grad().reset(), b[1].mutable_grad().reset();
    g(b).backward();
  }
  REQUIRE(same_bits(a[0].grad(), b[0].grad()));
  REQUIRE(same_bits(a[1].grad(), b[1].grad()));

  static std::string logged;
  const autograd::DetectAnomalyGuard anomaly;
  Any::run = [](AutogradContext*, const Tensor& x) -> variable_list { return {x * 2.0}; };
  Any::run_backward = [](AutogradContext*, variable_list g) -> variable_list { return {g[0] * std::nan(""), Tensor()}; };
  check_error("AutogradError: Function 'custom::Any' returned nan values in its 0th output. The forward call was custom::Any.");
  Any::run_backward = [](AutogradContext*, variable_list g) -> variable_list { return {g[0]}; };
  check_error(
      "AutogradError: function custom::Any returned an incorrect number of gradients (expected 2, got 1) Error detected in "
      "custom::Any. The forward call was custom::Any.");
  Any::run_backward = [](AutogradContext*, variable_list) -> variable_list { throw std::runtime_error("of the user's"); };
  set_log_sink([](std::string_view line) { logged += std::string(line) + "\n"; });
  check_error("of the user's");
  set_log_sink(nullptr);
  CHECK(logged.find("Error detected in custom::Any. The forward call was custom::Any.") != std::string::npos);
}

TEST_CASE("a context lives as long as its graph, and what is saved only until backward") {
  auto owner = std::make_shared<int>(1);
  Any::run = [&](AutogradContext* ctx, const Tensor& x) -> variable_list {
    ctx->saved_data["owner"] = owner;
    ctx->save_for_backward({x, x * 2.0});
    return {x * 3.0, x * 4.0};
  };
  Any::run_backward = [](AutogradContext*, variable_list g) -> variable_list { return {g[0] + g[1], Tensor()}; };
  auto compiled = compile([](const Tensor& x) { return Any::apply(x, 1.0); });
  for (const bool in_frame : {false, true, true}) {
    variable_list y = in_frame ? compiled(leaf({2})) : Any::apply(leaf({2}), 1.0);
    REQUIRE(owner.use_count() == 2);
    y[0].reset();
    REQUIRE(owner.use_count() == 2);
    y[1].sum().backward();
    REQUIRE(owner.use_count() == 2);
    y.clear();
    REQUIRE(owner.use_count() == 1);
  }
  { (void)Any::apply(ones({2}), 1.0); }
  CHECK(owner.use_count() == 1);
}

TEST_CASE("backward on another thread") {
  auto half = compile([](const variable_list& v) { return (custom::Power::apply(v[0], 3, v[1]) * v[1]).sum(); });
  const variable_list a = {leaf({3}, 1), leaf({3}, 2)}, b = {leaf({3}, 1), leaf({3}, 2)};
  (custom::Power::apply(a[0], 3, a[1]) * a[1]).sum().backward();
  for (int i = 0; i < 3; ++i) {
    for (const Tensor& t : b) t.mutable_grad().reset();
    const Tensor loss = half(b);
    std::thread([&] { loss.backward(); }).join();
    for (int k : {0, 1}) REQUIRE(same_bits(a[k].grad(), b[k].grad()));
  }
}

// Guard rows G65-G85: what the C++ around the operators depends on and does.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <variant>
#include "guard_rows.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// States that take the same arguments and differ in what `sets` do.
std::vector<State> setting(const std::function<Tensors(Maker&)>& make, std::vector<std::function<void()>> sets) {
  std::vector<State> states;
  for (auto& set : sets) states.push_back({make, std::move(set)});
  return states;
}
std::vector<State> setting(std::vector<std::function<void()>> sets) {
  return setting([](Maker& m) { return tensors(m({m.n, 3})); }, std::move(sets));
}
/// The values 0, 1, ... of a number.
std::vector<State> counting(int& number, int below) {
  std::vector<std::function<void()>> sets;
  for (int i = 0; i < below; ++i) sets.push_back([&number, i] { number = i; });
  return setting(std::move(sets));
}

}  // namespace

TEST_CASE("G65 integers, flags, enumerators, strings") {
  static int64_t dim = 0;
  check_row(
      {.f = GIVES(softmax(v[0], dim), v[0].sum(dim)), .states = setting({[] { dim = 0; }, [] { dim = 1; }, [] { dim = -1; }})});
  static int64_t index = 0;
  check_row(
      {.f = GIVES(v[0].select(0, index) * 2), .states = setting({[] { index = 0; }, [] { index = 3; }, [] { index = 9; }})});
  static bool keep = false;
  check_row({.f = GIVES(v[0].amax(1, keep), v[0].var(IntArrayRef(1), keep)),
             .states = setting({[] { keep = false; }, [] { keep = true; }})});
  static int64_t reduction = 0;
  check_row({.f = GIVES(mse_loss(v[0], v[0].sin(), reduction)),
             .states = setting({[] { reduction = Reduction::None; }, [] { reduction = Reduction::Mean; },
                                [] { reduction = Reduction::Sum; }})});
  static std::optional<std::string> rounding;
  check_row({.f = GIVES(rounding ? div(v[0], 2, *rounding) : div(v[0], 2, std::nullopt)),
             .states = setting(
                 [](Maker& m) {
                   return tensors(m({m.n, 3}, kLong));
                 },
                 {[] { rounding.reset(); }, [] { rounding = "floor"; }, [] { rounding = "trunc"; }, [] { rounding = "up"; }}),
             .no_training = "integers have no gradients"});
}

TEST_CASE("G66 floating arguments: values are free, exponents are compared by their bits") {
  static double value = 0;
  const double payload = std::bit_cast<double>(0x7ff8000000001234ull);
  const auto states = [](std::initializer_list<double> values) {
    std::vector<std::function<void()>> sets;
    for (double x : values) sets.push_back([x] { value = x; });
    return setting(std::move(sets));
  };
  check_row({.f = GIVES(v[0] * value, v[0] + value, clamp_min(v[0], value), value / v[0]),
             .states = states({1.5, 0.0, -0.0, std::nan(""), payload, 1e300, 5e-324, HUGE_VAL}),
             .hit = true});
  check_pairs({.f = GIVES(pow(v[0], value)), .states = states({2.0, 0.0, -0.0, std::nan(""), payload, 0.5, 3.7})});
  check_row({.f = GIVES(layer_norm(v[0], {3}, {}, {}, value)), .states = states({1e-5, 0.1, 1e-12}), .hit = true});
}

TEST_CASE("G66 the same NaN compiles once") {
  auto g = compile([](const Tensor& x) { return pow(x, std::nan("")) + std::nan(""); });
  for (int i = 0; i < 20; ++i) g(ones({3}));
  REQUIRE(compiles(g) == 1);
}

TEST_CASE("G67 a value capture and a lambda's own state") {
  for (const bool training : {false, true}) {
    const auto f = [calls = 0](const Tensor& x) mutable {
      const Tensor r = (++calls % 2 ? x + calls : x * calls).exp().sum();
      if (r.requires_grad()) r.backward();
      return r.detach();
    };
    auto eager = f;
    auto g = compile(f);  // a copy: it counts on its own
    int64_t seen = 0;
    for (int i = 1; i < 12; ++i) {
      const Tensor x = randn({i % 3 + 2}), y = x.clone();
      x.set_requires_grad(training), y.set_requires_grad(training);
      REQUIRE(same_bits(eager(x), g(y)));
      if (training) REQUIRE(same_bits(x.grad(), y.grad()));
      if (i == 8) seen = g.stats().recompiles;
    }
    REQUIRE(g.stats().recompiles == seen);
    REQUIRE(g.stats().eager_fallbacks == 0);
  }
  // Two objects of the same code that captured different values.
  const auto power_of = [](double e) { return compile([e](const Tensor& x) { return pow(x, e) * e; }); };
  auto square = power_of(2), cube = power_of(3);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(square(full({2}, 2.0)).sum().item<float>() == 16.0f);
    REQUIRE(cube(full({2}, 2.0)).sum().item<float>() == 48.0f);
  }
}

namespace {
int g_global = 0;
struct Holder {
  static inline int shared = 0;
  static inline thread_local int per_thread = 0;
};
}  // namespace

TEST_CASE("G68 captures by reference, globals, statics, thread-locals") {
  int local = 0;
  static int in_function = 0;
  const auto f = [&](Tensors& v) {
    return local + g_global + in_function + Holder::shared + Holder::per_thread > 0 ? v[0].exp() : v[0].sin();
  };
  for (int* where : {&local, &g_global, &in_function, &Holder::shared, &Holder::per_thread}) {
    check_row({.f = f, .states = counting(*where, 2)});
    *where = 0;
  }
  static Tensor global_tensor;
  check_row({.f = GIVES(v[0] * global_tensor),
             .states = setting({[] { global_tensor = randn({3}); }, [] { global_tensor = randn({3}, kDouble); }}),
             .watch = [] { return tensors(global_tensor); }});
  global_tensor.reset();
}

TEST_CASE("G69 length, order and keys of containers, optional and variant state") {
  std::vector<int> order;
  std::map<std::string, double> by_name;
  std::optional<double> scale;
  std::variant<int, double, std::string> choice;
  const auto f = [&](Tensors& v) {
    Tensor r = v[0];
    for (int k : order) r = k == 0 ? r.sin() : k == 1 ? r.exp() : r.tanh();
    for (const auto& [name, value] : by_name) r = name == "add" ? r + value : r * value;
    if (scale) r = r * *scale;
    if (std::holds_alternative<double>(choice)) r = r + std::get<double>(choice);
    if (std::holds_alternative<std::string>(choice)) r = r.abs();
    return r;
  };
  check_row({.f = f,
             .states = setting({[&] {
                                  order = {0, 1};
                                },
                                [&] {
                                  order = {1, 0};
                                },
                                [&] {
                                  order = {0, 1, 2};
                                },
                                [&] { order = {}; }})});
  check_row({.f = f,
             .states = setting({[&] {
                                  by_name = {{"add", 1}};
                                },
                                [&] {
                                  by_name = {{"mul", 2}};
                                },
                                [&] {
                                  by_name = {{"add", 1}, {"mul", 3}};
                                }})});
  check_row({.f = f, .states = setting({[&] { scale.reset(); }, [&] { scale = 2.0; }})});
  check_row({.f = f, .states = setting({[&] { choice = 1; }, [&] { choice = 2.5; }, [&] { choice = "abs"; }})});
}

TEST_CASE("G69 a container of tensors changes length and order") {
  static std::vector<size_t> use;
  const auto f = [](Tensors& v) {
    std::vector<Tensor> parts;
    for (size_t i : use) parts.push_back(v[i]);
    return cat(parts, 0) * 2;
  };
  check_row({.f = f,
             .states = setting(ARGS(m({m.n, 3}), m({m.n, 3}), m({2, 3})), {[] {
                                                                             use = {0, 1};
                                                                           },
                                                                           [] {
                                                                             use = {1, 0};
                                                                           },
                                                                           [] {
                                                                             use = {0, 0};
                                                                           },
                                                                           [] {
                                                                             use = {0, 1, 2};
                                                                           },
                                                                           [] { use = {}; }})});
}

namespace {
struct Shape {
  virtual ~Shape() = default;
  virtual Tensor apply(const Tensor& x) const = 0;
};
struct Sine : Shape {
  Tensor apply(const Tensor& x) const override { return x.sin(); }
};
struct Scaled : Shape {
  double by;
  explicit Scaled(double b) : by(b) {}
  Tensor apply(const Tensor& x) const override { return by > 10 ? x.exp() * by : x * by; }
};
}  // namespace

TEST_CASE("G70 a function's target, an override, another object of the same type") {
  std::function<Tensor(const Tensor&)> target;
  Tensor (*pointer)(const Tensor&) = nullptr;
  check_row({.f = [&](Tensors& v) { return target(v[0]); },
             .states = setting({[&] { target = [](const Tensor& t) { return t.sin(); }; },
                                [&] { target = [](const Tensor& t) { return t.cos(); }; }})});
  check_row({.f = [&](Tensors& v) { return pointer(v[0]); },
             .states = setting({[&] { pointer = [](const Tensor& t) { return t.sin(); }; },
                                [&] { pointer = [](const Tensor& t) { return t.cos(); }; }})});
  std::unique_ptr<Shape> shape;
  check_row({.f = [&](Tensors& v) { return shape->apply(v[0]); },
             .states = setting({[&] { shape = std::make_unique<Sine>(); }, [&] { shape = std::make_unique<Scaled>(2); },
                                [&] { shape = std::make_unique<Scaled>(3); }, [&] { shape = std::make_unique<Scaled>(30); }})});
}

namespace {
struct NetImpl : nn::Cloneable<NetImpl> {
  nn::Linear a{nullptr}, b{nullptr};
  Tensor shift;
  bool flag = false;
  NetImpl() { reset(); }
  void reset() override {
    a = register_module("a", nn::Linear(3, 3));
    b = register_module("b", nn::Linear(3, 2));
    shift = register_buffer("shift", ones({3}));
  }
  Tensor forward(const Tensor& x) {
    Tensor h = relu(a->forward(x)) + shift;
    if (flag) h = h * 2;
    for (const auto& child : named_children())
      if (child.key().starts_with("extra")) h = std::dynamic_pointer_cast<nn::LinearImpl>(child.value())->forward(h);
    return b ? b->forward(h) : h;
  }
};
SINTER_MODULE(Net);

Tensors parameters_of(const nn::Module& m) {
  Tensors all;
  for (const Tensor& p : m.parameters()) all.push_back(p);
  for (const Tensor& b : m.buffers()) all.push_back(b);
  return all;
}
/// A row of the module `net` points to at the time of the call.
Row of_module(std::shared_ptr<NetImpl>& net, std::vector<std::function<void()>> sets) {
  return {.f = [&](Tensors& v) { return net->forward(v[0]); },
          .states = setting(std::move(sets)),
          .watch = [&] { return parameters_of(*net); }};
}
}  // namespace

TEST_CASE("G71 a module attribute read by an if") {
  auto net = std::make_shared<NetImpl>();
  check_row(of_module(net, {[&] { net->flag = false; }, [&] { net->flag = true; }}));
}

TEST_CASE("G72 submodule replaced, added, removed, shadowed; module copied") {
  auto net = std::make_shared<NetImpl>();
  const nn::Linear first = net->a, same(3, 3), none(nullptr), b = net->b;
  const nn::Linear no_bias(nn::LinearOptions(3, 3).bias(false));
  check_row(of_module(net, {[&] { net->a = first; }, [&] { net->a = same; }}));
  check_row(of_module(net, {[&] { net->a = first; }, [&] { net->a = no_bias; }}));
  net->a = first;
  check_row(of_module(net, {[&] { net->b = b; }, [&] { net->b = none; }}));
  net->b = b;
  const auto remove = [&] {
    for (const char* name : {"extra1", "extra2"})
      if (net->named_children().contains(name)) net->unregister_module(name);
  };
  Row extra = of_module(net, {remove, [&] { remove(), net->register_module("extra1", same); },
                              [&] { remove(), net->register_module("extra1", same), net->register_module("extra2", no_bias); }});
  check_pairs(extra);
  extra.no_outside = "three backward passes with sizes: more variants than the limit";
  check_row(extra);
  remove();
  const auto original = net, copy = std::dynamic_pointer_cast<NetImpl>(net->clone()), other = std::make_shared<NetImpl>();
  check_row(of_module(net, {[&] { net = original; }, [&] { net = copy; }, [&] { net = other; }}));
}

TEST_CASE("G73 a parameter object replaced by one of the same metadata") {
  auto net = std::make_shared<NetImpl>();
  const Tensor first = net->a->weight, second = randn({3, 3}).set_requires_grad(true);
  Row row = of_module(net, {[&] { net->a->weight = first; }, [&] { net->a->weight = second; },
                            [&] {
                              net->a->weight = randn({3, 3}).set_requires_grad(true);
                            }});
  row.watch = [&] { return tensors(net->a->weight, net->a->bias); };
  row.hit = true;
  check_row(row);
}

TEST_CASE("G74 a buffer replaced by one of another kind, a module cast to another dtype") {
  auto net = std::make_shared<NetImpl>();
  check_row(of_module(net, {[&] { net->shift = ones({3}); }, [&] { net->shift = ones({}, kDouble); },
                            [&] {
                              net->shift = ones({4, 1}).slice(0, 0, 1);
                            }}));
  net->shift = ones({3});
  Row cast = of_module(net, {[&] { net->to(kFloat); }, [&] { net->to(kDouble); }});
  for (State& s : cast.states) s.make = [&](Maker& m) { return tensors(m({m.n, 3}, net->a->weight.dtype())); };
  check_row(cast);
}

TEST_CASE("G75 a module or captured object that is destroyed leaves nothing behind") {
  static int freed = 0;
  freed = 0;
  std::array<float, 9> memory{};
  const auto counted = [&] { return from_blob(memory.data(), {3, 3}, [](void*) { ++freed; }).set_requires_grad(true); };
  {
    auto net = std::make_shared<NetImpl>();
    net->a->weight = counted();
    auto g = compile([net](const Tensor& x) {
      const Tensor loss = net->forward(x).sum();
      loss.backward();
      return loss.detach();
    });
    for (int i = 0; i < 3; ++i) g(randn({4, 3}));
    REQUIRE(freed == 0);
    net.reset();
    REQUIRE(freed == 0);  // g holds the module
  }
  REQUIRE(freed == 1);
}

TEST_CASE("G75 between calls nothing is held: a captured tensor dies when its owner lets go") {
  int freed = 0;
  std::array<float, 4> memory{1, 2, 3, 4};
  Tensor w = from_blob(memory.data(), {4}, [&](void*) { ++freed; });
  auto g = compile([&](const Tensor& x) { return x * w; });
  for (int i = 0; i < 3; ++i) g(ones({4}));
  w = ones({4});
  REQUIRE(freed == 1);
  for (int i = 0; i < 3; ++i) REQUIRE(g(ones({4})).sum().item<float>() == 4.0f);
  REQUIRE(compiles(g) == 1);
  {
    auto h = compile([held = from_blob(memory.data(), {4}, [&](void*) { ++freed; })](const Tensor& x) { return x * held; });
    for (int i = 0; i < 3; ++i) h(ones({4}));
    REQUIRE(freed == 1);
  }
  REQUIRE(freed == 2);  // with the compiled object
}

TEST_CASE("G76 size(i) in host arithmetic and loop bounds") {
  const auto f = [](Tensors& v) {
    Tensor r = v[0] / v[0].size(0);
    for (int64_t i = 0; i < v[0].size(1); ++i) r = r + i * v[0].select(1, i).sum();
    return r;
  };
  check_row({.f = f, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 2}))}}});
  const auto halves = [](Tensors& v) {
    return v[0].size(0) > 5 ? v[0].chunk(2)[0].exp() : v[0].sin();
  };  // changes within the sweep
  check_row({.f = halves, .states = {{ARGS(m({m.n, 3}))}, {ARGS(m({m.n, 3}, kDouble))}}});
}

TEST_CASE("G77 a host branch on a tensor's value") {
  const auto f = [](Tensors& v) {
    const Tensor y = v[0] * 2;
    return v[1].sum().item<float>() > 0 ? y + 1 : y.exp();
  };
  const auto sign = [](double s) { return State{ARGS(m({m.n, 3}), full({2}, s))}; };
  check_row({.f = f, .states = {sign(1), sign(-1)}});
}

TEST_CASE("G78 counters, appended containers, output run again on each call") {
  static int counter = 0;
  static std::string log;
  const auto f = [](Tensors& v) {
    log += "before " + std::to_string(++counter);
    const Tensor y = v[0].exp();
    log += "between";
    log += std::to_string(y.size(0));
    return y * 2;
  };
  check_row({.f = f, .states = setting({[] { counter = 0; }, [] { counter = 100; }}), .hit = true, .observe = [] {
               return std::exchange(log, "");
             }});
}

TEST_CASE("G79 trip counts, early return, exceptions as control flow") {
  static int turns = 2;
  const auto f = [](Tensors& v) {
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
  check_pairs(
      {.f = f,
       .states = setting({[] { turns = 2; }, [] { turns = 4; }, [] { turns = 8; }, [] { turns = 3; }, [] { turns = 0; }})});
}

namespace {
struct Recursive {
  std::function<Tensor(const Tensor&, int)> self, other;
  Tensor operator()(const Tensor& x, int depth) const {
    if (depth == 0) return x.sin();
    return (depth % 2 ? self(x * 0.5, depth - 1) : other(x + 1, depth - 1)) + x;
  }
};
}  // namespace

TEST_CASE("G80 recursion and mutual recursion of compiled functions, depth changing") {
  static int depth = 0;
  Recursive first, second;
  auto compiled_first = compile(std::ref(first)), compiled_second = compile(std::ref(second));
  const auto wire = [&](bool compiled) {
    std::function<Tensor(const Tensor&, int)> a = std::ref(first), b = std::ref(second);
    if (compiled) a = std::ref(compiled_first), b = std::ref(compiled_second);
    first.self = second.self = a, first.other = second.other = b;
  };
  wire(true);
  check_row({.f = [&](Tensors& v) { return compiled_first(v[0], depth); },
             .states = setting({[] { depth = 1; }, [] { depth = 5; }, [] { depth = 40; }})});
  auto deep = compile(std::ref(first));
  const Tensor x = randn({3});
  const Tensor got = deep(x, 300);
  wire(false);
  REQUIRE(same_bits(first(x, 300), got));
}

TEST_CASE("G81 an inner compiled function takes another path") {
  static bool inner_flag = false;
  auto inner = compile([](const Tensor& x) { return inner_flag ? x.exp() : x.sin(); });
  check_row({.f = [&](Tensors& v) { return inner(v[0] * 2) + inner(v[0]); },
             .states = setting({[] { inner_flag = false; }, [] { inner_flag = true; }})});
  inner_flag = false;
  const Tensor x = randn({4});
  for (int i = 0; i < 4; ++i) REQUIRE(same_bits(inner(x), x.sin()));  // on its own, too
}

TEST_CASE("G82 a hook that calls the compiled function it runs under") {
  static int depth = 0, calls = 0;
  std::function<Tensor(const Tensor&)> again;
  const auto body = [&](const Tensor& x) {
    const Tensor y = x * 2;
    y.register_hook([&](const Tensor& g) {
      ++calls;
      const AutoGradMode grad_mode(true);
      if (depth > 0) --depth, again(g.detach().clone().set_requires_grad(true));
      return g + 1;
    });
    const Tensor z = y.exp().sum();
    z.backward();
    return z.detach();
  };
  auto g = compile(body);
  int64_t seen = 0;
  for (int i = 0; i < 12; ++i) {
    const Tensor x = randn({3}).set_requires_grad(true), y = x.detach().clone().set_requires_grad(true);
    again = body;
    depth = i % 3, calls = 0;
    const Tensor expected = body(x);
    const int eager_calls = std::exchange(calls, 0);
    again = [&](const Tensor& t) { return g(t); };
    depth = i % 3;
    REQUIRE(same_bits(g(y), expected));
    REQUIRE(same_bits(x.grad(), y.grad()));
    REQUIRE(calls == eager_calls);
    if (i == 8) seen = compiles(g);
  }
  REQUIRE(compiles(g) == seen);
}

TEST_CASE("G83 an operator or host code throws in the middle: modes, random numbers, versions, inputs as in eager") {
  static int way = 0;
  const auto f = [](Tensors& v) {
    const NoGradGuard no_grad;
    set_default_dtype(kDouble);
    struct Back {
      ~Back() { set_default_dtype(kFloat); }
    } back;
    v[0].add_(rand_like(v[0]));
    Tensor r = v[0] * 2;
    if (way == 1) r = r + zeros({99});                                        // a shape
    if (way == 2) r = index_select(r, 0, tensor({int64_t{0}, int64_t{99}}));  // a value
    if (way == 3) throw std::runtime_error("user");
    if (way == 4) throw 5;
    v[0].mul_(2);
    return tensors(r, v[0]);
  };
  const auto modes = [] { return std::to_string(grad_mode()) + dtype_name(default_dtype()) + std::to_string(is_compiling()); };
  check_pairs({.f = f,
               .states = counting(way, 5),
               .writes = true,
               .no_training = "the function runs without grad mode",
               .observe = modes});
  const auto tracked = [](Tensors& v) {
    const Tensor y = v[0].exp();
    if (way == 1) return y + zeros({99});
    y.sum().backward();
    if (way == 2) throw std::runtime_error("user");
    return y.detach();
  };
  check_row({.f = tracked,
             .states = counting(way, 3),
             .no_inference = "the function itself runs backward",
             .no_outside = "the function itself runs backward",
             .observe = modes});
  way = 0;
}

TEST_CASE("G85 a callback throws through a compiled frame") {
  static int way = 0;
  struct Own {};
  const auto make = [](Maker& m) {
    const Tensor x = m({m.n, 3}), w = m({3});
    if (way == 1) x.register_hook([](const Tensor&) -> Tensor { throw std::runtime_error("from a hook"); });
    if (way == 2) w.register_hook([](const Tensor&) -> Tensor { throw Own(); });
    return tensors(x, w);
  };
  const auto f = [](Tensors& v) {
    const Tensor y = (v[0] * v[1]).exp();
    if (way == 3) {
      try {
        y.register_hook([](const Tensor&) -> Tensor { throw Own(); });
        y.sum().backward();
      } catch (const Own&) { return y.detach() + 1; }
    }
    y.sum().backward();
    return y.detach();
  };
  check_pairs({.f = f,
               .states = setting(make, {[] { way = 0; }, [] { way = 1; }, [] { way = 2; }, [] { way = 3; }}),
               .no_inference = "the function itself runs backward",
               .no_outside = "the function itself runs backward",
               .observe = [] { return std::to_string(grad_mode()) + std::to_string(is_compiling()); }});
}

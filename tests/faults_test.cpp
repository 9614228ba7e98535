// Every allocation of every scenario fails once: the call is right or throws a typed error, nothing is lost, the next call is
// right.
#include "engine/autograd/autograd.h"
#include "fault_injection.h"
#include "fault_world.h"
#include "runtime/log.h"

using namespace sinter;
using namespace sinter::test;
namespace F = sinter::nn::functional;

namespace {

Tensor ramp(IntArrayRef sizes, double from = -1) {
  const int64_t n = numel_of(sizes);
  return (arange(n).to(kFloat) * (2.0 / static_cast<double>(n)) + from).view(sizes);
}

// -- pointwise regions

void first_call(World& w) {
  w.body([x = ramp({4, 5}), y = ramp({5})](World& o) { o.results.push_back(relu(x * 2 + y).exp()); });
}

void another_shape(World& w) {
  const std::vector<Tensor> xs{ramp({4, 5}), ramp({7, 5}), ramp({9, 5}), ramp({9, 5})};
  w.body([xs](World& o) {
    const Tensor& x = xs[static_cast<size_t>(o.phase)];
    o.results.push_back((x * 0.5).view({x.size(0) * 5}).sigmoid() + 1);
  });
}

void breaks(World& w) {
  w.body([x = ramp({3, 4})](World& o) {
    Tensor h = x + 2;
    for (int i = 0; i < 3 && h.max().item<float>() > 1; ++i) h = h * 0.5;
    o.results.push_back(h);
  });
}

void raw_pointers(World& w) {
  const Tensor x = w.watch(ramp({6}));
  w.body([x](World& o) {
    Tensor h = x * 3;
    h.data_ptr<float>()[2] = 5;
    o.results.push_back(h + x);
    x.add_(h);
    o.mark();
  });
}

void many_results(World& w) {
  w.body([x = ramp({2, 3})](World& o) {
    for (int i = 0; i < 40; ++i) o.results.push_back((x + i).sin());
  });
}

void large_results(World& w) {
  w.body([x = ramp({512, 600})](World& o) {
    o.results.push_back(x * 2);
    o.results.push_back(softmax(x, 1) + x);
  });
}

/// More operators than SINTER_REGION_OPS: closed in the middle.
void operator_budget(World& w) {
  w.body([x = ramp({2})](World& o) {
    Tensor h = x;
    for (int i = 0; i < 4100; ++i) h = h + 1;
    o.results.push_back(h);
  });
}

/// Many inputs over one storage and over foreign memory: the tables of bindings grow.
void many_inputs(World& w) {
  static float memory[64] = {1, 2, 3};
  std::vector<Tensor> xs;
  for (int i = 0; i < 48; ++i) xs.push_back(i % 4 == 0 ? from_blob(memory + i, {4}) : ramp({4}) + i);
  for (int i = 0; i < 4; ++i) xs.push_back(xs[1].view({2, 2}).view({4}));
  w.body([xs](World& o) {
    Tensor sum = xs[0] * 2;
    for (const Tensor& x : xs) sum = sum + x;
    o.results.push_back(sum);
  });
}

void high_rank(World& w) {
  w.body([x = ramp({1, 2, 1, 2, 1, 2, 1, 2, 3})](World& o) {
    o.results.push_back((x * 2).permute({8, 7, 6, 5, 4, 3, 2, 1, 0}) + 1);
    o.results.push_back(x.sum({1, 3}));
  });
}

// -- writes and views

void inputs_in_place(World& w) {
  const Tensor x = w.watch(ramp({4, 3})), y = w.watch(ramp({3}));
  w.body([x, y](World& o) {
    x.add_(1);
    o.mark();
    y.mul_(x.sum({0}));
    o.mark();
    o.results.push_back(x * y);
    x.mul_(y);
    o.mark();
  });
}

void views(World& w) {
  w.body([x = ramp({4, 6})](World& o) {
    const Tensor v = x.view({2, 12}).transpose(0, 1);
    Tensor h = v * 2;
    o.results.push_back(h.narrow(0, 1, 3));
    o.results.push_back(h.reshape({3, 8})[1]);
    o.results.push_back(x.t());
  });
}

/// A part of a tensor is written: interpreted.
void partial_writes(World& w) {
  const Tensor x = w.watch(ramp({3, 4}));
  w.body([x](World& o) {
    Tensor t = x + 1;
    t[1].mul_(2);
    o.results.push_back(t);
    x[0].add_(t[1]);
    o.mark();
  });
}

void overlapping_writes(World& w) {
  const Tensor x = w.watch(ramp({8}));
  w.body([x, a = x.narrow(0, 0, 5), b = x.narrow(0, 3, 5)](World& o) {
    o.results.push_back(a * 2);
    b.add_(a.sum());
    o.mark();
    o.results.push_back(a + b);
  });
}

// -- control flow around a call

struct Stop : std::exception {};

void exception_in_the_middle(World& w) {
  const Tensor x = w.watch(ramp({5}));
  auto f = [x](World& o) {
    x.add_(1);
    o.mark();
    o.results.push_back(x * 2);
    throw Stop();
  };
  w.eager = [&w, f] {
    w.results.clear();
    try {
      f(w);
    } catch (const Stop&) {}
  };
  w.compiled = [&w, c = compile(f)]() mutable {
    w.results.clear();
    try {
      c(w);
    } catch (const Stop&) {}
  };
}

/// User code that survives a failed operator and goes on in the same frame.
void error_caught_inside(World& w) {
  w.body([x = ramp({4})](World& o) {
    Tensor h = x + 1;
    try {
      h = h.view({3});
    } catch (const ShapeError&) { h = h * 2; }
    o.results.push_back(h + x);
  });
}

void nested(World& w) {
  auto inner = compile([](const Tensor& t) { return t.tanh() * 2; });
  w.body([inner, x = ramp({3, 3})](World& o) mutable { o.results.push_back(inner(x) + inner(x + 1)); });
}

void explained(World& w) {
  auto f = [x = ramp({4})](World& o) {
    Tensor h = x * 2;
    if (h.sum().item<float>() > -100) h = h + 1;
    o.results.push_back(h);
  };
  w.eager = [&w, f] { w.results.clear(), f(w); };
  w.compiled = [&w, c = compile(f)]() mutable {
    w.results.clear();
    const Explanation e = explain(c)(w);
    if (e.graph_break_count != 1) throw std::logic_error("explain() saw another number of breaks");
    (void)e.str();
  };
}

void reset_each_time(World& w) {
  auto f = [x = ramp({4})](World& o) { o.results.push_back(x.exp() - 1); };
  w.eager = [&w, f] { w.results.clear(), f(w); };
  w.compiled = [&w, c = compile(f)]() mutable {
    w.results.clear();
    c(w);
    w.results.clear();
    c.reset();
    c(w);
  };
}

void made_and_dropped(World& w) {
  auto f = [x = ramp({4})](World& o) { o.results.push_back(x.exp() - 1); };
  w.eager = [&w, f] { w.results.clear(), f(w); };
  w.compiled = [&w, f] {
    w.results.clear();
    compile(f, {.name = "dropped"})(w);
  };
}

/// Inputs that die before the region closes, made by creation functions inside the frame.
void temporary_inputs(World& w) {
  w.body([x = ramp({3})](World& o) {
    Tensor h = x;
    for (int i = 0; i < 12; ++i) h = h + tensor({1.0f, 2.0f, 3.0f});
    o.results.push_back(h);
    o.results.push_back(full({3}, 2) + linspace(0, 1, 3) + eye(3));
  });
}

void printed(World& w) {
  w.body([x = ramp({3, 2})](World& o) {
    const Tensor h = x * 2;
    if (h.str().empty()) throw std::logic_error("nothing printed");
    o.results.push_back(h + 1);
  });
}

// -- operators with more to them

void gemm_and_reductions(World& w) {
  w.body([x = ramp({6, 8}), m = ramp({8, 5}), b = ramp({5})](World& o) {
    const Tensor h = matmul(x, m) + b;
    o.results.push_back(layer_norm(h, {5}));
    o.results.push_back(log_softmax(h, 1));
    o.results.push_back(h.var({0}, true));
  });
}

void index_and_cat(World& w) {
  const Tensor index = tensor({2, 0, 1, 1});
  w.body([x = ramp({4, 3}), index](World& o) {
    const Tensor h = x.index_select(0, index);
    o.results.push_back(cat({x, h, x, h, x, h, x, h, x, h, x, h, x, h, x, h, x, h, x, h}, 0) * 2);
    o.results.push_back(argmax(h, 1));
  });
}

void random_operators(World& w) {
  w.body([x = ramp({4, 4})](World& o) {
    o.results.push_back(rand({4, 4}) + x);
    o.results.push_back(dropout(x, 0.5, true) * 2);
    o.results.push_back(randn_like(x).max());
    o.results.push_back(randperm(9));
  });
}

// -- autograd, modules, optimizers

void eager_autograd(World& w) {
  const Tensor x = w.watch(ramp({3, 4}).requires_grad_()), m = w.watch(ramp({4, 2}).requires_grad_());
  auto f = [x, m](World& o) {
    const Tensor h = matmul(x, m);
    h.register_hook([](const Tensor& g) { return g * 2; });
    const Tensor v = h.view({2, 3}) * x.view({4, 3}).narrow(0, 0, 2);
    v.retain_grad();
    const Tensor loss = cat({v.tanh(), v, v, v, v.exp()}, 0).sum() + x.pow(3).mean();
    loss.backward();
    o.results.push_back(v.grad());
    o.results.push_back(loss.detach());
  };
  w.eager = [&w, f] { w.results.clear(), f(w); };
  w.compiled = w.eager;
}

/// A list that the caller makes is the caller's memory.
std::vector<Tensor> list(std::initializer_list<Tensor> tensors) {
  const FaultPause pause;
  return tensors;
}

void gradients_in_the_frame(World& w) {
  const Tensor x = w.watch(ramp({3, 4}).requires_grad_());
  w.body([x](World& o) {
    const Tensor y = (x.sigmoid() * x).sum();
    const Tensor g = autograd::grad(list({y}), list({x}), {}, true, true)[0];
    o.results.push_back(autograd::grad(list({g.pow(2).sum()}), list({x}))[0]);
    o.results.push_back(g.detach());
  });
}

void in_place_with_gradients(World& w) {
  const Tensor x = w.watch(ramp({2, 3}).requires_grad_());
  w.body([x](World& o) {
    Tensor h = x * 2;
    h.mul_(x);
    h[0].add_(x[1]);
    h.sum().backward();
    o.results.push_back(h.detach());
  });
}

struct NetImpl : nn::Module {
  nn::Linear fc1{nullptr}, fc2{nullptr};
  NetImpl() {
    fc1 = register_module("fc1", nn::Linear(5, 4));
    fc2 = register_module("fc2", nn::Linear(4, 3));
  }
  Tensor forward(const Tensor& x) { return fc2(relu(fc1(x))); }
};
SINTER_MODULE(Net);

template <class Optimizer, class Options>
void training(World& w, Options options) {
  manual_seed(3);
  Net net;
  std::vector<Tensor> params = net->parameters();
  for (const Tensor& p : params) w.watch(p);
  auto optimizer = std::make_shared<std::unique_ptr<Optimizer>>();
  w.on_restore = [=] { *optimizer = std::make_unique<Optimizer>(params, options); };
  w.body([net, optimizer, x = ramp({6, 5}), y = tensor({0, 2, 1, 1, 0, 2})](World& o) mutable {
    const Tensor loss = F::cross_entropy(net(x), y);
    (*optimizer)->zero_grad();
    loss.backward();
    (*optimizer)->step();
    o.mark();
    o.results.push_back(loss.detach());
  });
}

void training_sgd(World& w) { training<optim::SGD>(w, optim::SGDOptions(0.1).momentum(0.9).weight_decay(0.01)); }
void training_adam(World& w) { training<optim::Adam>(w, optim::AdamOptions(0.1).amsgrad(true)); }

/// The forward compiled, backward outside: most of what it needs is computed again there.
void recomputed(World& w) {
  const Tensor a = w.watch(ramp({80, 80}).requires_grad_()), b = w.watch((ramp({80}) * 0.1).requires_grad_());
  const auto f = [a, b](World&) { return ((a * b).sin() * b).tanh().exp(); };
  const auto rest = [](World& o, const Tensor& y) {
    y.sum().backward();
    o.mark();
    o.results.push_back(y.detach());
  };
  w.eager = [&w, f, rest] { w.results.clear(), rest(w, f(w)); };
  w.compiled = [&w, c = compile(f), rest]() mutable { w.results.clear(), rest(w, c(w)); };
}

void module_forward(World& w) {
  manual_seed(3);
  Net net;
  w.eager = [&w, net, x = ramp({2, 5})]() mutable { w.results.clear(), w.results.push_back(net(x)); };
  w.compiled = [&w, c = compile(net), x = ramp({2, 5})]() mutable { w.results.clear(), w.results.push_back(c(x)); };
}

/// Each call freezes again, and packs.
void frozen_weights(World& w) {
  manual_seed(3);
  nn::Linear first(12, 20), second(20, 9);
  w.body([first, second, x = ramp({10, 12})](World& o) {
    freeze(first);
    freeze(second);
    o.results.push_back(second(relu(first(x))));
  });
}

void modules_made(World& w) {
  auto f = [x = ramp({2, 5})](World& o) {
    Net net;
    o.results.push_back(net(x).detach());
    o.results.push_back(nn::Sequential(nn::Linear(5, 2), nn::Tanh())->forward(x).detach());
  };
  w.eager = [&w, f] { w.results.clear(), f(w); };
  w.compiled = w.eager;
}

const std::vector<Scenario> kScenarios{
    {"first call", first_call},
    {"replay", first_call, 2},
    {"another shape", another_shape, 2},
    {"generalised sizes", another_shape, 3},
    {"generalised sizes, compiled", another_shape, 4},
    {"value reads", breaks},
    {"value reads, replayed", breaks, 2},
    {"raw pointers", raw_pointers},
    {"many results", many_results},
    {"large results", large_results},
    {"operator budget", operator_budget, 1, 60},
    {"many inputs", many_inputs},
    {"high rank", high_rank},
    {"inputs in place", inputs_in_place},
    {"inputs in place, replayed", inputs_in_place, 2},
    {"views", views},
    {"partial writes", partial_writes},
    {"overlapping writes", overlapping_writes},
    {"exception in the middle", exception_in_the_middle},
    {"exception in the middle, replayed", exception_in_the_middle, 2},
    {"error caught inside", error_caught_inside},
    {"nested", nested},
    {"explain", explained},
    {"reset", reset_each_time},
    {"made and dropped", made_and_dropped},
    {"temporary inputs", temporary_inputs},
    {"printed", printed},
    {"gemm and reductions", gemm_and_reductions},
    {"index and cat", index_and_cat},
    {"random operators", random_operators},
    {"eager autograd", eager_autograd},
    {"gradients in the frame", gradients_in_the_frame},
    {"in place with gradients", in_place_with_gradients},
    {"training with SGD", training_sgd},
    {"training with SGD, replayed", training_sgd, 2},
    {"training with SGD, from a tape", training_sgd, 5},
    {"training with Adam", training_adam},
    {"recomputed for backward", recomputed},
    {"recomputed for backward, replayed", recomputed, 4},
    {"module forward", module_forward},
    {"frozen weights", frozen_weights},
    {"frozen weights, replayed", frozen_weights, 2},
    {"modules made", modules_made},
};

void swallow(std::string_view) {}

}  // namespace

// A wrong answer, a crash, a leak or an untyped error after any single failed allocation would be missed without these.
TEST_CASE("every allocation fails once", "[faults]") {
  for (const Scenario& s : kScenarios) DYNAMIC_SECTION(s.name) {
      CHECK(try_all_faults(s) == "");
    }
}

TEST_CASE("every tensor's bytes fail once", "[faults]") {
  for (const Scenario& s : kScenarios)
    if (s.most_k > 100) DYNAMIC_SECTION(s.name) {
        CHECK(try_all_byte_faults(s) == "");
      }
}

TEST_CASE("every allocation fails once with all logs on", "[faults]") {
  set_log_sink(swallow);
  set_logs("all");
  for (const Scenario& s : {Scenario{"first call", first_call, 1, 500}, Scenario{"another shape", another_shape, 2, 500},
                            Scenario{"value reads", breaks, 1, 500}, Scenario{"inputs in place", inputs_in_place, 1, 500}})
    DYNAMIC_SECTION(s.name) { CHECK(try_all_faults(s) == ""); }
  set_logs("");
  set_log_sink(nullptr);
}

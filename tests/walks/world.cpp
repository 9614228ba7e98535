#include "world.h"
#include <cmath>
#include <limits>
#include <random>
#include <sstream>
#include "call.h"
#include "engine/autograd/autograd.h"
#include "frontend/nn/set_data.h"
#include "runtime/env.h"

namespace sinter::test {

int g_walk_global = 0;
thread_local int t_walk_value = 0;

namespace {

// -- what the rows of changes.inc call

#define NET (*w.net)

template <class F>
void with_no_grad(F&& f) {
  NoGradGuard guard;
  f();
}

/// Writes one number through a pointer, as host code between two calls may.
void write_bytes(const Tensor& t, int arg) {
  if (t.numel() == 0 || !t.is_floating_point()) return;
  const double value = arg / 256.0 - 0.5;
  if (t.dtype() == kFloat) *t.data_ptr<float>() = static_cast<float>(value);
  else *t.data_ptr<double>() = value;
}

/// Puts `with` in place of a handle, or what was there back when it is undefined.
void swap_handle(World& w, const std::string& name, Tensor& handle, const Tensor& with) {
  if (with.defined()) {
    w.saved[name] = std::exchange(handle, with);
  } else if (auto it = w.saved.find(name); it != w.saved.end()) {
    handle = it->second;
    w.saved.erase(it);
  }
}

void swap_head(World& w, int v) {
  if (v == 0 && w.saved.count("head") == 0) return;
  auto& head = w.net->head;
  if (v == 0) {
    head->weight = w.saved.at("head");
    head->bias = w.saved.at("head_bias");
    w.saved.erase("head"), w.saved.erase("head_bias");
    return;
  }
  w.saved["head"] = head->weight;
  w.saved["head_bias"] = head->bias;
  head->weight = w.data({v == 1 ? 5 : 7, 6}, head->weight.dtype()).requires_grad_();
  head->bias = Tensor();
}

void freeze(World& w, int v) {
  Tensor* const parameters[] = {&NET.first->weight, &NET.second->weight, &NET.norm->weight};
  for (int i = 0; i < 3; ++i) {
    const std::string name = "frozen" + std::to_string(i);
    if (v == i + 1) {
      w.saved[name] = *parameters[i];
      parameters[i]->set_requires_grad(false);
    } else if (v == 0 && w.saved.count(name)) {
      w.saved.at(name).set_requires_grad(true);
      w.saved.erase(name);
    }
  }
}

/// The second function, called by a hook while the first may be open.
std::vector<Tensor> call_again(World& w) {
  if (w.depth > 0) return {};
  const Deeper deeper(w.depth);
  return w.compiled ? (*w.functions[1])(w.captured, w.captured) : Body{&w, 1}(w.captured, w.captured);
}

/// A call whose results nobody sees.
void explain_call(World& w, int which) {
  if (w.stale || !w.x.defined()) return;
  w.points = 0;
  if (!w.compiled) Body{&w, which}(w.x, w.y);
  else if (explain(*w.functions[which])(w.x, w.y).call_us < 0) throw HostError("a call took less than no time");
}

void hook_parameter(World& w, int v) {
  if (v == 0) {
    if (!w.hooked.defined()) return;
    const Tensor t = std::exchange(w.hooked, Tensor());
    const bool on = t.requires_grad();  // frozen since
    t.set_requires_grad(true).remove_hook(w.hook);
    t.set_requires_grad(on);
    return;
  }
  const Tensor& p = NET.first->weight;
  if (!p.requires_grad()) return;
  w.hooked = p;
  w.hook = p.register_hook([&w, v](const Tensor& g) -> Tensor {
    ++w.hook_calls;
    if (v == 3) throw HostError("thrown by a hook");
    if (v == 4) w.log.push_back(std::to_string(call_again(w).size()));
    return v == 1 ? Tensor() : g * 0.5;
  });
}

void hook_activation(World& w, int v) {
  if (w.fullgraph()) return;  // a hook is a graph break
  w.net->activation_hook = nullptr;
  if (v != 0)
    w.net->activation_hook = [&w, v](const Tensor& g) {
      w.log.push_back("gradient of " + to_string(g.sizes()));
      return v == 1 ? Tensor() : g * 0.5;
    };
}

template <class F>
void each_option(World& w, F&& f) {
  for (auto& group : w.optimizer->param_groups()) f(group.options());
}

void set_decay(World& w, double decay) {
  each_option(w, [&](optim::OptimizerOptions& o) {
    if (auto* sgd = dynamic_cast<optim::SGDOptions*>(&o)) sgd->weight_decay(decay);
    if (auto* adam = dynamic_cast<optim::AdamOptions*>(&o)) adam->weight_decay(decay);
    if (auto* adamw = dynamic_cast<optim::AdamWOptions*>(&o)) adamw->weight_decay(decay);
  });
}

void set_momentum(World& w, int v) {
  each_option(w, [&](optim::OptimizerOptions& o) {
    if (auto* sgd = dynamic_cast<optim::SGDOptions*>(&o)) sgd->momentum(v ? 0.5 : 0.0);
    if (auto* adam = dynamic_cast<optim::AdamOptions*>(&o)) adam->betas({v ? 0.8 : 0.9, 0.999});
    if (auto* adamw = dynamic_cast<optim::AdamWOptions*>(&o)) adamw->betas({v ? 0.8 : 0.9, 0.999});
  });
}

void make_optimizer(World& w, int kind) {
  const std::vector<Tensor> p = w.net->parameters();
  switch (kind % 5) {
    case 0:
      w.optimizer = std::make_unique<optim::SGD>(p, optim::SGDOptions(0.05));
      break;
    case 1:
      w.optimizer = std::make_unique<optim::SGD>(p, optim::SGDOptions(0.05).momentum(0.5).nesterov(true));
      break;
    case 2:
      w.optimizer = std::make_unique<optim::Adam>(p, optim::AdamOptions(0.05));
      break;
    case 3:
      w.optimizer = std::make_unique<optim::AdamW>(p, optim::AdamWOptions(0.05));
      break;
    default:
      w.optimizer = std::make_unique<optim::Adam>(p, optim::AdamOptions(0.05).amsgrad(true));
  }
}

void resize_list(World& w, int n) {
  while (static_cast<int>(w.list.size()) > n) w.list.pop_back();
  while (static_cast<int>(w.list.size()) < n) w.list.push_back(w.data({6}));
}

void set_function(World& w, int v) {
  if (v == 0) w.function = [](const Tensor& t) { return t.sin(); };
  else if (v == 1) w.function = [](const Tensor& t) { return t.cos() * 0.5; };
  else w.function = [&w](const Tensor& t) { return t * w.captured.sum(); };
}

void replace_captured(World& w, int v) {
  if (v == 0) w.captured = w.data({4, 6});
  else if (v == 1) w.captured = w.data({4, 6}).clone();
  else if (v == 2) w.captured = w.data({4, 6}, kDouble);
  else if (v == 3) w.captured = w.data({24});
  else if (v == 4) w.captured = w.data({6, 4}).t();
  else if (v == 5) w.captured = NET.first->weight.detach().slice(0, 0, 4);
  else w.captured = w.net->running;
}

const Tensor& any_parameter(World& w, int arg) {
  const Tensor* const all[] = {&NET.first->weight, &NET.first->bias, &NET.second->weight, &NET.norm->weight};
  return *all[arg % 4];
}

void grad_zero(const Tensor& p) {
  if (p.grad().defined()) with_no_grad([&] { p.grad().zero_(); });
}

void grad_given(World& w, const Tensor& p) { p.mutable_grad() = w.data(p.sizes(), p.dtype()); }

bool has_both_grads(World& w) { return NET.first->weight.grad().defined() && NET.second->weight.grad().defined(); }

void grad_aliases_argument(World& w) {
  if (w.x.defined() && w.x.sizes() == NET.first->weight.sizes()) NET.first->weight.mutable_grad() = w.x.detach();
}

void copy_function(World& w, int arg) {
  if (!w.compiled) return;
  const Compiled<Body> copy = *w.functions[arg & 1];
  w.functions[arg & 1].reset();
  w.functions[arg & 1].emplace(copy);
}

void write_result(World& w, int arg) {
  const Tensor& t = w.kept[static_cast<size_t>(arg) % w.kept.size()];
  if (t.is_floating_point()) t.mul_(0.5);
}

/// Backward through what an earlier call left; a second time it throws, as in eager.
void backward_outside(World& w, int arg) {
  if (w.loss.defined() && w.loss.requires_grad()) w.loss.backward({}, (arg & 3) == 0);
}

template <class Holder>
void clone_into(World& w, const std::string& name, Holder& holder) {
  holder = Holder(std::dynamic_pointer_cast<typename Holder::ContainedType>(holder->clone()));
  w.net->replace_module(name, holder);
}

void clone_net(World& w) {
  clone_into(w, "first", w.net->first);
  clone_into(w, "second", w.net->second);
}

#undef NET

struct Row {
  const char* name;
  void (*run)(World& w, int v);
};

const Row kKnobRows[] = {
#define NET (*w.net)
#define KNOB(weight, name, variants, ...) {#name, []([[maybe_unused]] World& w, [[maybe_unused]] int v) { __VA_ARGS__; }},
#define EVENT(weight, name, ...)
#include "changes.inc"
#undef KNOB
#undef EVENT
};
const Row kEventRows[] = {
#define KNOB(weight, name, variants, ...)
#define EVENT(weight, name, ...) {#name, []([[maybe_unused]] World& w, [[maybe_unused]] int arg) { __VA_ARGS__; }},
#include "changes.inc"
#undef KNOB
#undef EVENT
#undef NET
};

/// The process's generator is the world's for a scope.
struct OwnGenerator {
  explicit OwnGenerator(World& w) : world(w) { Generator::get_default().set_state({w.generator_seed, w.generator_counter}); }
  ~OwnGenerator() { update(); }
  void update() {
    world.generator_seed = Generator::get_default().current_seed();
    world.generator_counter = Generator::get_default().counter();
  }
  World& world;
};

}  // namespace

// -- the module

NetImpl::NetImpl() {
  embed = register_module("embed", nn::Embedding(8, 6));
  first = register_module("first", nn::Linear(6, 6));
  second = register_module("second", nn::Linear(6, 6));
  head = register_module("head", nn::Linear(6, 5));
  norm = nn::LayerNorm(nn::LayerNormOptions({6}));
  drop = nn::Dropout(0.5);
  inner = nn::Sequential(nn::Linear(6, 6), drop, nn::Tanh());
  running = register_buffer("running", zeros({6}));
  rebuild(0);
  register_module("middle", middle);
}

void NetImpl::rebuild(int variant) {
  const nn::Sequential before = middle;
  if (variant == 1) middle = nn::Sequential(nn::GELU(), inner);
  else if (variant == 2) middle = nn::Sequential(norm, nn::GELU(), inner, nn::ReLU());
  else if (variant == 3) middle = nn::Sequential(inner, norm, nn::Sigmoid());
  else if (variant == 4) middle = nn::Sequential(nn::LayerNorm(nn::LayerNormOptions({6})), nn::GELU(), inner);
  else middle = nn::Sequential(norm, nn::GELU(), inner);
  if (before) replace_module("middle", middle);
}

Tensor NetImpl::forward(const Tensor& x) {
  Tensor h = first(x);
  for (int i = 0; i < repeats; ++i) h = middle(h);
  if (flag) h = h * 2;
  if (activation_hook && h.requires_grad()) h.register_hook(activation_hook);
  return second(h);
}

// -- the world

World::World(uint64_t seed, bool compiled, const std::array<std::vector<uint8_t>, 2>& blocks)
    : seed(seed), compiled(compiled), blocks(blocks), memory(2048), stream(seed * 2654435761u + 12345), generator_seed(seed) {
  const OwnGenerator mine(*this);
  net = Net();
  make_optimizer(*this, static_cast<int>(seed % 5));
  captured = data({4, 6});
  resize_list(*this, 2);
  set_function(*this, 0);
  if (compiled) compile_functions();
}

bool World::fullgraph() const {
  static const Env defaults;  // smaller budgets break graphs
  return env().region_ops >= defaults.region_ops && env().region_bytes >= defaults.region_bytes && is_pure(blocks[0]) &&
         is_pure(blocks[1]);
}

void World::compile_functions() {
  for (int i = 0; i < 2; ++i) {
    functions[i].reset();
    CompileOptions options;
    options.name = i == 0 ? "walk_a" : "walk_b";
    options.fullgraph = fullgraph();
    functions[i].emplace(sinter::compile(Body{this, i}, options));
  }
}

CompileStats World::stats() const {
  CompileStats sum;
  for (const auto& f : functions) {
    if (!f) continue;
    const CompileStats s = f->stats();
    sum.regions_compiled += s.regions_compiled;
    sum.recompiles += s.recompiles;
    sum.replays += s.replays;
    sum.interpreted += s.interpreted;
    sum.eager_fallbacks += s.eager_fallbacks;
  }
  return sum;
}

Tensor World::numbers(IntArrayRef sizes) {
  const Tensor t = empty(sizes, kDouble);
  double* p = t.data_ptr<double>();
  for (int64_t i = 0; i < t.numel(); ++i) {
    stream = stream * 6364136223846793005u + 1442695040888963407u;
    p[i] = static_cast<double>(static_cast<int64_t>(stream) >> 40) * 0x1p-23;
  }
  return t;
}

Tensor World::data(IntArrayRef sizes, ScalarType dtype) {
  const Tensor t = numbers(sizes);
  double* p = t.data_ptr<double>();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double special[2][5] = {{0x1p-130, -0x1p-140, 0x1p-1030, -0.0, 0x1p-126},
                                {std::nan(""), kInfinity, -kInfinity, -0.0, 1e38}};
  if (const int v = value(Knob::special_values))
    for (int64_t i = 0; i < t.numel(); i += 5) p[i] = special[v - 1][i / 5 % 5];
  return dtype == kBool ? t > 0 : dtype == kLong ? (t * 3).to(kLong) : t.to(dtype);
}

std::string World::set(int knob, int variant) {
  const OwnGenerator mine(*this);
  int& now = knobs[static_cast<size_t>(knob)];
  const int before = std::exchange(now, variant);
  if (before != 0) std::erase(active, knob);
  if (variant != 0) active.push_back(knob);
  try {
    if (before != 0) kKnobRows[knob].run(*this, 0);
    if (variant != 0) kKnobRows[knob].run(*this, variant);
    return {};
  } catch (const std::exception& e) { return describe(e); }
}

std::string World::event(int event, int arg) {
  const OwnGenerator mine(*this);
  const uint64_t seed_before = generator_seed, counter_before = generator_counter;
  std::string error;
  try {
    kEventRows[event].run(*this, arg);
  } catch (const std::exception& e) { error = describe(e); }
  if (generator_seed != seed_before || generator_counter != counter_before)  // set by the event itself
    Generator::get_default().set_state({generator_seed, generator_counter});
  return error;
}

std::string World::train_outside() {
  if (!loss.defined() || !loss.requires_grad()) return {};
  const OwnGenerator mine(*this);
  std::string error;
  try {
    loss.backward();
    optimizer->step();
    optimizer->zero_grad(value(Knob::set_to_none));
  } catch (const std::exception& e) { error = describe(e); }
  loss.reset();
  return error;
}

const char* knob_name(int knob) { return kKnobRows[knob].name; }
const char* event_name(int event) { return kEventRows[event].name; }

std::string World::call(int which) {
  if (stale) make_arguments();
  const int keep = value(Knob::keep_results);
  std::vector<Tensor> previous;
  if (keep == 1) previous = std::move(results);
  if (keep == 2)
    for (Tensor& t : results) kept.push_back(std::move(t));
  while (kept.size() > 6) kept.erase(kept.begin());
  results.clear();
  const OwnGenerator mine(*this);
  return call_in_ambience(*this, which, x, y, results);
}

// -- arguments

Tensor World::argument(std::vector<int64_t> sizes, ScalarType dtype, int layout, bool blob, size_t at) {
  const size_t rank = sizes.size();
  const auto grown = [&](size_t d, int64_t by, int64_t times = 1) {
    auto s = sizes;
    s[d] = s[d] * times + by;
    return s;
  };
  if (blob && is_floating(dtype)) {
    const Tensor values = data(sizes, dtype);
    const auto deleter = [this](void*) { deleted += (ones({3}) * 2).sum().item<int64_t>(); };  // enters the engine
    const Tensor t = value(Knob::borrowed) == 4 ? from_blob(memory.data() + at, sizes, deleter, dtype)
                                                : from_blob(memory.data() + at, sizes, dtype);
    return t.copy_(values);
  }
  if (rank == 0 || layout == 0) return data(sizes, dtype);
  const int64_t n = sizes[0];
  switch (layout) {
    case 1:
      std::swap(sizes[0], sizes[rank - 1]);
      return data(sizes, dtype).transpose(0, -1);
    case 2: {
      const auto full = sizes;
      sizes[0] = 1;
      return data(sizes, dtype).expand(full);
    }
    case 3:
      return data(grown(0, 2), dtype).slice(0, 1, n + 1);
    case 4:
      return data(grown(rank - 1, 0, 2), dtype).slice(-1, 0, std::nullopt, 2);
    case 5:
      return data(grown(0, 0, 2), dtype).slice(0, 1, std::nullopt, 2);
    case 6: {
      const int64_t count = numel_of(sizes);
      return data({count + 1}, dtype).slice(0, 1, count + 1).view(sizes);
    }
    default:
      return data(grown(rank - 1, 3), dtype).slice(-1, 2, sizes[rank - 1] + 2);
  }
}

void World::make_arguments() {
  stale = false;
  constexpr int64_t kRows[] = {4, 1, 0, 7, 17, 33}, kColumns[] = {6, 5, 1};
  constexpr ScalarType kTypes[] = {kFloat, kDouble, kLong, kBool};
  const int64_t n = kRows[value(Knob::x_rows)], m = kColumns[value(Knob::x_columns)];
  const int rank = value(Knob::x_rank);
  using Sizes = std::vector<int64_t>;
  const Sizes x_sizes = rank == 0 ? Sizes{n, m} : rank == 1 ? Sizes{2, n, m} : rank == 2 ? Sizes{m} : Sizes{};
  const Sizes y_sizes[] = {x_sizes, {n, 1}, {m}, {1, m}, {}, {1}};
  const int y_shape = value(Knob::y_shape), borrowed = value(Knob::borrowed);
  x = argument(x_sizes, kTypes[value(Knob::x_dtype)], value(Knob::x_layout), borrowed > 0, 0);
  y = y_shape == 4 ? Tensor()
                   : argument(y_sizes[y_shape], kTypes[value(Knob::y_dtype)], value(Knob::y_layout), borrowed > 1,
                              borrowed == 3 ? 3 : 1024);
  share_memory(x_sizes);
  if (value(Knob::x_requires_grad) && x.is_floating_point() && x.is_leaf()) x.set_requires_grad(true);
  if (value(Knob::y_requires_grad) && y.defined() && y.is_floating_point() && y.is_leaf()) y.set_requires_grad(true);
  const int form = value(Knob::index_form);
  index = form == 1   ? tensor({int64_t{1}, int64_t{9}, int64_t{2}, int64_t{0}})
          : form == 2 ? tensor({int64_t{1}, int64_t{-1}})
          : form == 3 ? tensor({int64_t{7}, int64_t{7}, int64_t{0}, int64_t{3}}).view({2, 2})
          : form == 4 ? empty({0}, kLong)
                      : data({4}, kLong) + 3;
  target = data({n}, kLong) + 2;
  if (value(Knob::target_form) == 1 && n > 0) target.select(0, 0).fill_(5);
  if (value(Knob::target_form) == 2 && n > 0) target.select(0, 0).fill_(-100);
  if (value(Knob::target_form) == 3) target = data({n, 5}).abs();
}

void World::share_memory(const std::vector<int64_t>& sizes) {
  const ScalarType t = x.dtype();
  const int64_t n = numel_of(sizes), rows = sizes.empty() ? 0 : sizes[0];
  const auto part = [&](const Tensor& base, int64_t from) { return base.slice(0, from, from + n).view(sizes); };
  switch (value(Knob::same_memory)) {
    case 1:
      y = x;
      break;
    case 2:
    case 3: {
      const Tensor base = data({n + 8}, t);
      x = part(base, value(Knob::same_memory) == 2 ? 0 : 2);
      y = part(base, 5);
      break;
    }
    case 4:
      if (!sizes.empty()) y = x.transpose(0, -1);
      break;
    case 5:
      x = net->first->weight.detach().slice(0, 0, std::max<int64_t>(rows, 1));
      break;
    case 6:
      x = net->first->weight;
      break;
    case 7:
      y = captured;
      break;
    case 8:
      if (!kept.empty()) y = kept.back();
      break;
    case 9: {
      const Tensor base = data({2 * n}, t);
      x = part(base, 0);
      y = part(base, n);
      break;
    }
    case 10:
      if (y.defined() && y.dim() > 0) x = y.slice(0, 0, y.size(0));
      break;
  }
}

// -- what is compared

namespace {

template <class List>
void add_all(List& out, const std::string& name, const std::vector<Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) out.emplace_back(name + "[" + std::to_string(i) + "]", tensors[i]);
}

template <class List>
void add_state(List& out, optim::Optimizer& o, const std::string& name, const Tensor& p) {
  const auto adam = [&](const optim::AdamParamState* s) {
    if (s == nullptr) return;
    out.emplace_back(name + " exp_avg", s->exp_avg);
    out.emplace_back(name + " exp_avg_sq", s->exp_avg_sq);
    out.emplace_back(name + " max_exp_avg_sq", s->max_exp_avg_sq);
  };
  if (auto* sgd = dynamic_cast<optim::SGD*>(&o)) {
    if (const auto* s = sgd->state(p)) out.emplace_back(name + " momentum", s->momentum_buffer);
  } else if (auto* a = dynamic_cast<optim::Adam*>(&o)) {
    adam(a->state(p));
  } else if (auto* aw = dynamic_cast<optim::AdamW*>(&o)) {
    adam(aw->state(p));
  }
}

}  // namespace

std::vector<std::pair<std::string, Tensor>> World::tensors() const {
  std::vector<std::pair<std::string, Tensor>> out = {{"x", x}, {"y", y}, {"index", index}, {"target", target}};
  out.reserve(96);
  add_all(out, "result", results);
  add_all(out, "kept", kept);
  add_all(out, "list", list);
  out.emplace_back("captured", captured);
  out.emplace_back("loss", loss);
  out.emplace_back("running", net->running);
  const auto parameter = [&](const std::string& name, const Tensor& p) {
    out.emplace_back(name, p);
    if (p.defined()) out.emplace_back(name + " grad", p.grad());
  };
  for (const auto& p : net->named_parameters()) {
    parameter(p.key(), p.value());
    add_state(out, *optimizer, p.key(), p.value());
  }
  for (const auto& [name, t] : saved) parameter("saved " + name, t);
  parameter("first.weight in use", net->first->weight);
  parameter("first.bias in use", net->first->bias);
  parameter("second.weight in use", net->second->weight);
  if (x.defined()) out.emplace_back("x grad", x.grad());
  if (y.defined()) out.emplace_back("y grad", y.grad());
  return out;
}

std::string World::configuration() const {
  std::ostringstream out;
  out << *net;
  for (const auto& p : net->named_parameters())
    out << p.key() << dtype_short_name(p.value().dtype()) << to_string(p.value().sizes()) << p.value().requires_grad();
  for (const auto& m : net->modules()) out << m->is_training();
  out << net->flag << net->repeats << k << dim << trips << s << on << maybe.has_value() << order.size() << list.size() << global
      << per_thread << active.size() << saved.size() << optimizer->param_groups()[0].options().get_lr();
  return out.str();
}

}  // namespace sinter::test

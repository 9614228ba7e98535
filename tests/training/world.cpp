#include "world.h"
#include <cmath>
#include <future>
#include <limits>
#include "engine/autograd/autograd.h"
#include "frontend/nn/set_data.h"

namespace sinter::test {

namespace {
constexpr int64_t kWords = 11;
}

const char* way_name(Way way) {
  static const char* const names[] = {"eager",
                                      "the step compiled",
                                      "the forward compiled",
                                      "forward and update compiled",
                                      "forward and backward compiled",
                                      "every second step compiled"};
  return names[static_cast<size_t>(way)];
}

World::World(const Plan& plan, Way way) : plan_(plan), way_(way), weights_(plan.dtype) {
  weights_.compiled = way != Way::Eager;
  manual_seed(plan.seed + 1);
  const int64_t n = plan.rows;
  if (plan.tokens > 0) inputs_ = randint(kWords, {n, plan.tokens});
  else if (plan.transposed) inputs_ = randn({plan.features, n}, plan.dtype).t();
  else inputs_ = randn({n, plan.features}, plan.dtype);
  classes_ = randint(plan.outputs, {n});
  targets_ = randn({n, plan.outputs}, plan.dtype);
  make_model();
  optimizer_ = make_optimizer(plan, weights_.parameters());
  schedule_ = make_schedule(plan, *optimizer_.optimizer);
  compile_parts();
}

void World::make_model() {
  {
    NoGradGuard no_grad;
    const Tensor x = plan_.tokens > 0 ? inputs_.slice(0, 0, 2) : inputs_.slice(0, 0, 2).clone();
    now_ = 0;
    head(layers(x, 0, plan_.layers.size()));
    weights_.kept.reset();
    for (const Tensor& b : weights_.buffers()) b.zero_();
  }
  share_memory();
  const Tensor& first = weights_.parameters().front();
  if (plan_.hook && first.requires_grad()) first.register_hook([](const Tensor& g) { return g * 0.5; });
}

/// Parameters, or their gradients, become views of one tensor.
void World::share_memory() {
  NoGradGuard no_grad;
  int64_t total = 0, at = 0;
  for (const Tensor& p : weights_.parameters()) total += p.numel();
  if (plan_.flat) flat_ = zeros({total}, plan_.dtype);
  if (plan_.flat_grads) flat_grads_ = zeros({total}, plan_.dtype);
  for (const Tensor& p : weights_.parameters()) {
    const auto part = [&](const Tensor& all) { return all.narrow(0, at, p.numel()).view(p.sizes()); };
    if (plan_.flat) sinter::detail::set_data(p, part(flat_).copy_(p));
    if (plan_.flat_grads && p.requires_grad()) p.mutable_grad() = part(flat_grads_);
    at += p.numel();
  }
}

/// The function, compiled, with its counters remembered.
template <class F>
F World::compiled(F f, const char* name) {
  auto g = std::make_shared<Compiled<F>>(compile(std::move(f), {.name = name}));
  stats_.push_back([g] { return g->stats(); });
  stats_.push_back([g] { return g->backward_stats(); });
  return [g](auto&&... args) { return (*g)(args...); };
}

void World::compile_parts() {
  const size_t n = plan_.layers.size(), half = plan_.split ? n / 2 : n;
  first_ = [this, half](const Tensor& x) { return plan_.split ? layers(x, 0, half) : head(layers(x, 0, half)); };
  second_ = [this, half, n](const Tensor& x) { return plan_.split ? head(layers(x, half, n)) : x; };
  gradients_ = [this](const Batch& b) { return gradients(b); };
  update_ = [this] { plan_.only_step ? (void)optimizer_.optimizer->step() : clip_and_step(); };
  step_ = [this] { train(); };
  if (way_ == Way::Forward || way_ == Way::ForwardAndUpdate) {
    first_ = compiled(std::move(first_), "forward");
    if (plan_.split) second_ = compiled(std::move(second_), "rest");
  }
  if (way_ == Way::ForwardAndUpdate) update_ = compiled(std::move(update_), "update");
  if (way_ == Way::Gradients) gradients_ = compiled(std::move(gradients_), "gradients");
  if (way_ == Way::Step || way_ == Way::Sometimes) step_ = compiled(std::move(step_), "step");
}

Tensor World::layers(Tensor x, size_t from, size_t to) {
  if (from == 0 && plan_.tokens > 0) {
    weights_.enter(plan_.layers.size() + 1, false);
    x = embedding(weights_(0, {kWords, plan_.features}), x);
  }
  for (size_t i = from; i < to; ++i) {
    const LayerPlan& layer = plan_.layers[i];
    if (now_ % layer.every != 0) continue;
    weights_.enter(i, layer.frozen);
    layer_rows()[static_cast<size_t>(layer.kind)].run(x, weights_, layer.k, layer.s);
  }
  return x;
}

Tensor World::head(Tensor x) {
  if (x.dim() == 3 && plan_.pool == 0) x = x.mean({1});
  else if (x.dim() == 3) x = plan_.pool == 1 ? x.flatten(1) : x.select(1, -1);
  weights_.enter(plan_.layers.size(), false);
  // The head has the width of the first step, whatever layers are left out in others.
  const Tensor weight = weights_(0, {plan_.outputs, x.size(-1)}), bias = weights_(1, {plan_.outputs});
  return weight.size(1) == x.size(-1) ? linear(x, weight, bias) : x.mean({-1}, true) * weight.mean({1}) + bias;
}

Tensor World::forward(const Tensor& x) {
  const Tensor out = second_(first_(x));
  weights_.kept.reset();
  return out;
}

World::Batch World::batch(int64_t number) {
  const int64_t per_epoch = (plan_.rows + plan_.batch - 1) / plan_.batch, start = number % per_epoch * plan_.batch;
  const int64_t n = std::min(plan_.batch, plan_.rows - start);
  Batch b{inputs_.narrow(0, start, n), classes_.narrow(0, start, n), targets_.narrow(0, start, n)};
  if (plan_.input_grad && plan_.tokens == 0) {
    b.x = b.x.detach().clone().requires_grad_();
    results_.emplace_back("an input", b.x);
  }
  return b;
}

Tensor World::loss_of(const Tensor& out, const Batch& b, int row) {
  return loss_rows()[static_cast<size_t>(row)].run(out, b.y, b.t);
}

Tensor World::gradients(const Batch& b) {
  const Tensor out = forward(b.x);
  Tensor loss = loss_of(out, b, plan_.loss);
  if (now_ == plan_.forget && way_ != Way::Eager) sinter::reset();
  if (plan_.penalty)
    for (const Tensor& p : weights_.parameters()) loss = loss + p.square().sum() * 1e-3;
  if (plan_.input_penalty && b.x.requires_grad())
    loss = loss + autograd::grad({loss}, {b.x}, {}, true, true)[0].square().sum() * 0.01;
  if (plan_.micro > 1) loss = loss * (1.0 / static_cast<double>(plan_.micro));
  const Tensor scaled = plan_.scale != 0 ? loss * plan_.scale : loss;
  if (plan_.other_loss >= 0) {
    Tensor other = loss_of(out, b, plan_.other_loss) * 0.3;
    backward(scaled, true);
    backward(other);
    results_.emplace_back("the other loss", other.detach());
  } else {
    backward(scaled);
  }
  return loss.detach();
}

void World::backward(const Tensor& loss, std::optional<bool> retain_graph) {
  if (plan_.thread) std::async(std::launch::async, [&] { loss.backward({}, retain_graph); }).get();
  else loss.backward({}, retain_graph);
}

void World::zero() {
  if (plan_.zero != Zero::Never) optimizer_.optimizer->zero_grad(plan_.zero == Zero::ToNone && !plan_.flat_grads);
}

void World::clip_and_step() {
  const std::vector<Tensor>& parameters = weights_.parameters();
  if (plan_.scale != 0) {
    NoGradGuard no_grad;
    for (const Tensor& p : parameters)
      if (p.grad().defined()) p.grad().mul_(1 / plan_.scale);
  }
  constexpr double kMost = 0.5;
  bool good = true;
  if (plan_.clip == Clip::Norm) results_.emplace_back("the norm", nn::utils::clip_grad_norm_(parameters, kMost));
  if (plan_.clip == Clip::MaxNorm) nn::utils::clip_grad_norm_(parameters, kMost, std::numeric_limits<double>::infinity());
  if (plan_.clip == Clip::Value) nn::utils::clip_grad_value_(parameters, kMost / 5);
  if (plan_.clip == Clip::ReadNorm) good = std::isfinite(nn::utils::clip_grad_norm_(parameters, kMost, 1).item<double>());
  if (!good) return;
  plan_.only_step ? update_() : (void)optimizer_.optimizer->step();
  if (plan_.average != 0) average();
}

void World::average() {
  NoGradGuard no_grad;
  const std::vector<Tensor>& parameters = weights_.parameters();
  averages_.resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!averages_[i].defined()) averages_[i] = parameters[i].detach().clone();
    else averages_[i].mul_(plan_.average).add_(parameters[i], 1 - plan_.average);
  }
}

void World::update() { plan_.only_step ? clip_and_step() : update_(); }

/// Gradients of all batches of a step; the last one's loss.
Tensor World::accumulate() {
  if (!plan_.zero_last) zero();
  Tensor loss;
  for (int64_t m = 0; m < plan_.micro; ++m) {
    const Batch b = plan_.slice_inside ? batch(now_ * plan_.micro + m) : batches_[static_cast<size_t>(m)];
    loss = gradients_(b);
    results_.emplace_back("a loss", loss);
  }
  return loss;
}

void World::train() {
  Tensor loss;
  if (plan_.closure) {
    loss = optimizer_.optimizer->step([this] { return accumulate(); });
    if (plan_.average != 0) average();
  } else {
    loss = accumulate();
    update();
  }
  schedule_(loss);
  if (plan_.zero_last) zero();
}

/// What happens between two steps.
void World::before(int i) {
  if (i == plan_.reload) optimizer_.optimizer->load_state_dict(optimizer_.optimizer->state_dict());
  if (i == plan_.thaw)
    for (const Tensor& p : weights_.frozen()) p.set_requires_grad(true);
  if (i == plan_.freeze) weights_.parameters().front().set_requires_grad(false);
}

void World::step(int i) {
  now_ = i;
  try {
    before(i);
    batches_.clear();
    for (int64_t m = 0; m < plan_.micro && !plan_.slice_inside; ++m) batches_.push_back(batch(i * plan_.micro + m));
    way_ == Way::Sometimes&& i % 2 == 1 ? train() : step_();
    if (plan_.evaluate > 0 && i % plan_.evaluate == plan_.evaluate - 1) {
      NoGradGuard no_grad;
      weights_.training = false;
      results_.emplace_back("an evaluation", forward(batch(i).x));
    }
  } catch (const std::exception& e) { note_error(errors_, fmt::format("step {}", i), e); }
  weights_.training = true;
  weights_.kept.reset();
}

void World::visit(const std::function<void(const std::string&, const Tensor&)>& f) const {
  for (const auto& [name, t] : results_) f(name, t);
  for (size_t i = 0; i < weights_.parameters().size(); ++i) {
    const Tensor& p = weights_.parameters()[i];
    f(fmt::format("parameter {}", i), p);
    for (const auto& [name, value] : optimizer_.state(p))
      if (const Tensor* t = std::get_if<Tensor>(&value)) f(fmt::format("{} of parameter {}", name, i), *t);
  }
  for (const Tensor& t : averages_) f("an average", t);
  for (const Tensor& t : weights_.buffers()) f("a buffer", t);
  f("the inputs", inputs_);
  f("the memory of the parameters", flat_);
  f("the memory of the gradients", flat_grads_);
}

/// Rates and what else optimizers count.
std::string World::numbers() const {
  std::string out = fmt::format("generator {}; ", weights_.generator.counter());
  for (const auto& group : optimizer_.optimizer->param_groups())
    out += fmt::format("lr {} momentum {}; ", group.options().get_lr(), group.options().get_momentum().value_or(-1));
  for (const Tensor& p : weights_.parameters())
    for (const auto& [name, value] : optimizer_.state(p)) {
      if (const auto* n = std::get_if<int64_t>(&value)) out += fmt::format("{} {}; ", name, *n);
      if (const auto* d = std::get_if<double>(&value)) out += fmt::format("{} {}; ", name, *d);
    }
  return out;
}

Run World::seen() const {
  Run run;
  visit([&](const std::string&, const Tensor& t) { run.values.push_back(t); });
  run.errors = errors_.errors;
  run.errors.push_back(numbers());
  return run;
}

std::string World::name(size_t v) const {
  std::string found = "?";
  visit([&, i = size_t{0}](const std::string& name, const Tensor&) mutable {
    if (i++ == v) found = name;
  });
  return found;
}

CompileStats World::stats() const {
  CompileStats sum;
  for (const auto& part : stats_) {
    const CompileStats s = part();
    sum.regions_compiled += s.regions_compiled;
    sum.recompiles += s.recompiles;
    sum.replays += s.replays;
    sum.interpreted += s.interpreted;
    sum.eager_fallbacks += s.eager_fallbacks;
    sum.verify_failures += s.verify_failures;
  }
  return sum;
}

bool World::finite() const {
  for (const Tensor& p : weights_.parameters())
    if (!std::isfinite(p.detach().abs().sum().item<double>())) return false;
  return true;
}

}  // namespace sinter::test

#include "lr_scheduler.h"
#include <algorithm>
#include <cmath>
#include <numbers>

namespace sinter::optim {

namespace {
constexpr double kPi = std::numbers::pi;

std::vector<double> rates_of(const Optimizer& optimizer) {
  std::vector<double> rates;
  for (const auto& group : optimizer.param_groups()) rates.push_back(group.options().get_lr());
  return rates;
}
}  // namespace

LRScheduler::LRScheduler(Optimizer& optimizer) : optimizer_(optimizer) {
  for (auto& group : optimizer_.param_groups()) {
    // Kept in the group: a schedule chained to another one starts from the rate before the other changed it.
    if (!group.initial_lr()) group.initial_lr() = group.options().get_lr();
    state_.base_lrs.push_back(*group.initial_lr());
  }
}

void LRScheduler::step() {
  ++state_.last_epoch;
  std::vector<double> rates;
  try {
    if (optimizer_.param_groups().size() < state_.base_lrs.size())
      raise<ValueError>("the optimizer has {} parameter groups, the scheduler was made for {}", optimizer_.param_groups().size(),
                        state_.base_lrs.size());
    for (size_t i = 0; i < state_.base_lrs.size(); ++i)
      rates.push_back(next_lr(i, optimizer_.param_groups()[i].options().get_lr()));
  } catch (...) {
    --state_.last_epoch;
    throw;
  }
  for (size_t i = 0; i < rates.size(); ++i) {
    OptimizerOptions& options = optimizer_.param_groups()[i].options();
    options.set_lr(rates[i]);
    set_others(options);
  }
}

std::vector<double> LRScheduler::get_last_lr() const { return rates_of(optimizer_); }

void LRScheduler::load_state_dict(const LRSchedulerState& state) {
  if (state.base_lrs.size() != state_.base_lrs.size())
    raise<ValueError>("loaded state has {} base rates, the scheduler {} groups", state.base_lrs.size(), state_.base_lrs.size());
  state_ = state;
}

StepLR::StepLR(Optimizer& optimizer, int64_t step_size, double gamma)
    : LRScheduler(optimizer), step_size_(step_size), gamma_(gamma) {
  if (step_size <= 0) raise<ValueError>("StepLR: step_size must be positive, but got {}", step_size);
  start();
}

double StepLR::next_lr(size_t, double lr) const { return last_epoch() == 0 || last_epoch() % step_size_ != 0 ? lr : lr * gamma_; }

MultiStepLR::MultiStepLR(Optimizer& optimizer, std::vector<int64_t> milestones, double gamma)
    : LRScheduler(optimizer), milestones_(std::move(milestones)), gamma_(gamma) {
  start();
}

double MultiStepLR::next_lr(size_t, double lr) const {
  const auto times = std::count(milestones_.begin(), milestones_.end(), last_epoch());
  return times == 0 ? lr : lr * std::pow(gamma_, static_cast<double>(times));
}

ExponentialLR::ExponentialLR(Optimizer& optimizer, double gamma) : LRScheduler(optimizer), gamma_(gamma) { start(); }

double ExponentialLR::next_lr(size_t, double lr) const { return last_epoch() == 0 ? lr : lr * gamma_; }

CosineAnnealingLR::CosineAnnealingLR(Optimizer& optimizer, int64_t T_max, double eta_min)
    : LRScheduler(optimizer), t_max_(T_max), eta_min_(eta_min) {
  if (T_max <= 0) raise<ValueError>("CosineAnnealingLR: T_max must be positive, but got {}", T_max);
  start();
}

/// eta_t = eta_min + (base - eta_min) (1 + cos(pi t / T)) / 2, as a factor on the rate before, so that others may change it too.
double CosineAnnealingLR::next_lr(size_t group, double lr) const {
  const auto t = static_cast<double>(last_epoch()), full = static_cast<double>(t_max_);
  if (last_epoch() == 0) return lr;
  if ((last_epoch() - 1 - t_max_) % (2 * t_max_) == 0)  // from the minimum, where the factor would be 0 / 0
    return lr + (base_lr(group) - eta_min_) * (1 - std::cos(kPi / full)) / 2;
  return (1 + std::cos(kPi * t / full)) / (1 + std::cos(kPi * (t - 1) / full)) * (lr - eta_min_) + eta_min_;
}

LinearLR::LinearLR(Optimizer& optimizer, double start_factor, double end_factor, int64_t total_iters)
    : LRScheduler(optimizer), start_factor_(start_factor), end_factor_(end_factor), total_iters_(total_iters) {
  if (!(start_factor >= 0 && start_factor <= 1))
    raise<ValueError>("Starting multiplicative factor expected to be between 0 and 1.");
  if (!(end_factor >= 0 && end_factor <= 1)) raise<ValueError>("Ending multiplicative factor expected to be between 0 and 1.");
  if (total_iters <= 0) raise<ValueError>("LinearLR: total_iters must be positive, but got {}", total_iters);
  start();
}

double LinearLR::next_lr(size_t, double lr) const {
  if (last_epoch() == 0) return lr * start_factor_;
  if (last_epoch() > total_iters_) return lr;
  const double rise = end_factor_ - start_factor_;
  return lr * (1 + rise / (static_cast<double>(total_iters_) * start_factor_ + static_cast<double>(last_epoch() - 1) * rise));
}

OneCycleLR::OneCycleLR(Optimizer& optimizer, OneCycleLROptions options) : LRScheduler(optimizer), options_(std::move(options)) {
  if (options_.total_steps() <= 0) raise<ValueError>("Expected positive integer total_steps, but got {}", options_.total_steps());
  if (!(options_.pct_start() >= 0 && options_.pct_start() <= 1))
    raise<ValueError>("Expected float between 0 and 1 pct_start, but got {}", options_.pct_start());
  auto& groups = optimizer.param_groups();
  if (!options_.max_lrs().empty() && options_.max_lrs().size() != groups.size())
    raise<ValueError>("expected {} values for max_lr, got {}", groups.size(), options_.max_lrs().size());
  if (options_.cycle_momentum() && !optimizer.defaults().get_momentum())
    raise<ValueError>("optimizer must support momentum with `cycle_momentum` option enabled");
  for (size_t i = 0; i < groups.size(); ++i) groups[i].initial_lr() = max_lr(i) / options_.div_factor();
  const auto steps = static_cast<double>(options_.total_steps());
  const double peak = options_.pct_start() * steps - 1, end = steps - 1;
  if (options_.three_phase())
    phases_ = {{0, peak, 0, 1, true, false}, {peak, 2 * peak, 1, 0, false, false}, {2 * peak, end, 0, 2, false, true}};
  else phases_ = {{0, peak, 0, 1, true, false}, {peak, end, 1, 2, false, false}};
  start();
}

std::pair<OneCycleLR::Phase, double> OneCycleLR::where() const {
  const auto step = static_cast<double>(last_epoch());
  size_t i = 0;
  while (i + 1 < phases_.size() && step > phases_[i].to) ++i;
  return {phases_[i], (step - phases_[i].from) / (phases_[i].to - phases_[i].from)};
}

double OneCycleLR::anneal(double start, double end, double part) const {
  if (options_.anneal_strategy() == OneCycleLROptions::Anneal::linear) return (end - start) * part + start;
  return end + (start - end) / 2 * (std::cos(kPi * part) + 1);
}

double OneCycleLR::next_lr(size_t group, double) const {
  if (last_epoch() > options_.total_steps())
    raise<ValueError>("Tried to step {} times. The specified number of total steps is {}", last_epoch() + 1,
                      options_.total_steps());
  const auto [phase, part] = where();
  const double first = max_lr(group) / options_.div_factor();
  const double rates[] = {first, max_lr(group), first / options_.final_div_factor()};
  return anneal(rates[phase.start], rates[phase.end], part);
}

void OneCycleLR::set_others(OptimizerOptions& options) const {
  if (!options_.cycle_momentum()) return;
  const auto [phase, part] = where();
  const double high = options_.max_momentum(), low = options_.base_momentum();
  options.set_momentum(anneal(phase.rises || phase.momentum_rests ? high : low, phase.rises ? low : high, part));
}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, Options options)
    : optimizer_(optimizer), options_(std::move(options)) {
  if (!(options_.factor() < 1)) raise<ValueError>("Factor should be < 1.0.");
  const double worst = std::numeric_limits<double>::infinity();
  state_.best = options_.mode() == Options::Mode::min ? worst : -worst;
}

bool ReduceLROnPlateau::is_better(double metric) const {
  const bool min = options_.mode() == Options::Mode::min, relative = options_.threshold_mode() == Options::ThresholdMode::rel;
  const double change = min ? -options_.threshold() : options_.threshold();
  const double bound = relative ? state_.best * (1 + change) : state_.best + change;
  return min ? metric < bound : metric > bound;
}

void ReduceLROnPlateau::step(double metric) {
  ++state_.last_epoch;
  if (is_better(metric)) {
    state_.best = metric;
    state_.num_bad_epochs = 0;
  } else {
    ++state_.num_bad_epochs;
  }
  if (state_.cooldown_counter > 0) {
    --state_.cooldown_counter;
    state_.num_bad_epochs = 0;
  }
  if (state_.num_bad_epochs <= options_.patience()) return;
  for (auto& group : optimizer_.param_groups()) {
    const double lr = group.options().get_lr(), reduced = std::max(lr * options_.factor(), options_.min_lr());
    if (lr - reduced > options_.eps()) group.options().set_lr(reduced);
  }
  state_.cooldown_counter = options_.cooldown();
  state_.num_bad_epochs = 0;
}

std::vector<double> ReduceLROnPlateau::get_last_lr() const { return rates_of(optimizer_); }

}  // namespace sinter::optim

// Schedules of learning rates. Names, defaults and semantics of torch.optim.lr_scheduler: step() comes after Optimizer::step(). A
// rate is a number that compiled code reads at run time, so no schedule ever recompiles anything.
#pragma once
#include <limits>
#include <vector>
#include "optimizer.h"

namespace sinter::optim {

/// Where a schedule stands.
struct LRSchedulerState {
  int64_t last_epoch = -1;
  std::vector<double> base_lrs;
};

/// Base of schedules that depend on the number of steps alone. They may be chained: each goes on from the rate it finds. The
/// optimizer must outlive the scheduler; groups added to it later keep their rates.
class LRScheduler {
 public:
  LRScheduler(const LRScheduler&) = delete;
  LRScheduler& operator=(const LRScheduler&) = delete;
  virtual ~LRScheduler() = default;

  /// Sets the rates of the next epoch, or of the next batch when called after each.
  void step();
  /// How many steps were made.
  int64_t last_epoch() const { return state_.last_epoch; }
  /// The rates of the groups as they are now.
  std::vector<double> get_last_lr() const;
  LRSchedulerState state_dict() const { return state_; }
  /// Rates are part of the optimizer's state, not of this. @throws ValueError when the number of groups differs.
  void load_state_dict(const LRSchedulerState& state);

 protected:
  explicit LRScheduler(Optimizer& optimizer);
  /// For the constructors of derived classes, at their end: the rates of epoch 0.
  void start() { step(); }
  /// The rate of a group for last_epoch(), where it has `lr` now.
  virtual double next_lr(size_t group, double lr) const = 0;
  /// What else changes with the epoch.
  virtual void set_others(OptimizerOptions&) const {}

  double base_lr(size_t group) const { return state_.base_lrs[group]; }
  Optimizer& optimizer() const { return optimizer_; }

 private:
  Optimizer& optimizer_;
  LRSchedulerState state_;
};

/// lr times gamma every step_size epochs. @throws ValueError unless step_size > 0.
class StepLR : public LRScheduler {
 public:
  StepLR(Optimizer& optimizer, int64_t step_size, double gamma = 0.1);

 protected:
  double next_lr(size_t group, double lr) const override;

 private:
  const int64_t step_size_;
  const double gamma_;
};

/// lr times gamma at each of the epochs `milestones` (once for each time it is there).
class MultiStepLR : public LRScheduler {
 public:
  MultiStepLR(Optimizer& optimizer, std::vector<int64_t> milestones, double gamma = 0.1);

 protected:
  double next_lr(size_t group, double lr) const override;

 private:
  const std::vector<int64_t> milestones_;
  const double gamma_;
};

/// lr times gamma every epoch.
class ExponentialLR : public LRScheduler {
 public:
  ExponentialLR(Optimizer& optimizer, double gamma);

 protected:
  double next_lr(size_t group, double lr) const override;

 private:
  const double gamma_;
};

/// Half a cosine from the first rate down to eta_min in T_max epochs, and up again in as many (Loshchilov and Hutter 2017,
/// without restarts). @throws ValueError unless T_max > 0.
class CosineAnnealingLR : public LRScheduler {
 public:
  CosineAnnealingLR(Optimizer& optimizer, int64_t T_max, double eta_min = 0);

 protected:
  double next_lr(size_t group, double lr) const override;

 private:
  const int64_t t_max_;
  const double eta_min_;
};

/// From start_factor to end_factor times the first rate, in equal steps over total_iters epochs. @throws ValueError for factors
/// outside of [0, 1] and unless total_iters > 0.
class LinearLR : public LRScheduler {
 public:
  LinearLR(Optimizer& optimizer, double start_factor = 1.0 / 3, double end_factor = 1, int64_t total_iters = 5);

 protected:
  double next_lr(size_t group, double lr) const override;

 private:
  const double start_factor_, end_factor_;
  const int64_t total_iters_;
};

/// How OneCycleLR goes. All groups share max_lr unless max_lrs has one for each.
struct OneCycleLROptions {
  enum class Anneal { cos, linear };
  OneCycleLROptions(double max_lr, int64_t total_steps) : max_lr_(max_lr), total_steps_(total_steps) {}
  SINTER_ARG(double, max_lr);
  SINTER_ARG(std::vector<double>, max_lrs);
  SINTER_ARG(int64_t, total_steps);
  SINTER_ARG(double, pct_start) = 0.3;
  SINTER_ARG(Anneal, anneal_strategy) = Anneal::cos;
  SINTER_ARG(bool, cycle_momentum) = true;
  SINTER_ARG(double, base_momentum) = 0.85;
  SINTER_ARG(double, max_momentum) = 0.95;
  SINTER_ARG(double, div_factor) = 25;
  SINTER_ARG(double, final_div_factor) = 1e4;
  SINTER_ARG(bool, three_phase) = false;
};

/// Smith and Topin 2018: the rate rises from max_lr / div_factor to max_lr in pct_start of the steps and falls to
/// max_lr / div_factor / final_div_factor in the rest (three phases: back first, then down), momentum (or beta1) the other way.
/// step() comes after every batch. @throws ValueError for options outside of their range, for an optimizer without momentum when
/// it is cycled, and from step() after total_steps steps.
class OneCycleLR : public LRScheduler {
 public:
  OneCycleLR(Optimizer& optimizer, OneCycleLROptions options);

 protected:
  double next_lr(size_t group, double lr) const override;
  void set_others(OptimizerOptions& options) const override;

 private:
  struct Phase {
    double from, to;  // steps
    int start, end;   // 0: the first rate, 1: the maximal, 2: the last
    bool rises, momentum_rests;
  };
  /// The phase of last_epoch() and how much of it is over.
  std::pair<Phase, double> where() const;
  double anneal(double start, double end, double part) const;
  double max_lr(size_t group) const { return options_.max_lrs().empty() ? options_.max_lr() : options_.max_lrs()[group]; }

  const OneCycleLROptions options_;
  std::vector<Phase> phases_;
};

struct ReduceLROnPlateauOptions {
  enum class Mode { min, max };
  enum class ThresholdMode { rel, abs };
  SINTER_ARG(Mode, mode) = Mode::min;
  SINTER_ARG(double, factor) = 0.1;
  SINTER_ARG(int64_t, patience) = 10;
  SINTER_ARG(double, threshold) = 1e-4;
  SINTER_ARG(ThresholdMode, threshold_mode) = ThresholdMode::rel;
  SINTER_ARG(int64_t, cooldown) = 0;
  SINTER_ARG(double, min_lr) = 0;
  SINTER_ARG(double, eps) = 1e-8;
};

/// Where a ReduceLROnPlateau stands.
struct ReduceLROnPlateauState {
  double best = 0;
  int64_t num_bad_epochs = 0, cooldown_counter = 0, last_epoch = 0;
};

/// Rates times `factor` when the metric has not become better for more than `patience` epochs; nothing for `cooldown` epochs
/// after.
class ReduceLROnPlateau {
 public:
  using Options = ReduceLROnPlateauOptions;
  /// @throws ValueError unless factor < 1.
  explicit ReduceLROnPlateau(Optimizer& optimizer, Options options = {});
  /// After each epoch, with the loss or another measure of it.
  void step(double metric);
  std::vector<double> get_last_lr() const;
  ReduceLROnPlateauState state_dict() const { return state_; }
  void load_state_dict(const ReduceLROnPlateauState& state) { state_ = state; }

 private:
  bool is_better(double metric) const;

  Optimizer& optimizer_;
  const Options options_;
  ReduceLROnPlateauState state_;
};

}  // namespace sinter::optim

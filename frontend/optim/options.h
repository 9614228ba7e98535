// What parameter groups carry: rates and the like of one kind of optimizer.
#pragma once
#include <memory>
#include <optional>

namespace sinter::optim {

/// Base of each optimizer's options.
class OptimizerOptions {
 public:
  virtual ~OptimizerOptions() = default;
  virtual std::unique_ptr<OptimizerOptions> clone() const = 0;
  virtual double get_lr() const = 0;
  virtual void set_lr(double lr) = 0;
  /// Momentum, or the first of Adam's betas; empty: there is no such thing. Schedulers that cycle it use these.
  virtual std::optional<double> get_momentum() const = 0;
  virtual void set_momentum(double momentum) = 0;
};

/// Gives `Derived` clone and the accessors of rate and momentum.
template <class Derived>
class OptimizerCloneableOptions : public OptimizerOptions {
 public:
  std::unique_ptr<OptimizerOptions> clone() const override { return std::make_unique<Derived>(self()); }
  double get_lr() const override { return self().lr(); }
  void set_lr(double lr) override { self().lr(lr); }
  std::optional<double> get_momentum() const override {
    if constexpr (requires(const Derived& d) { d.betas(); }) return std::get<0>(self().betas());
    else if constexpr (requires(const Derived& d) { d.momentum(); }) return self().momentum();
    else return std::nullopt;
  }
  void set_momentum([[maybe_unused]] double momentum) override {
    if constexpr (requires(Derived & d) { d.betas(); }) std::get<0>(self().betas()) = momentum;
    else if constexpr (requires(Derived & d) { d.momentum(); }) self().momentum(momentum);
  }

 private:
  Derived& self() { return static_cast<Derived&>(*this); }
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

}  // namespace sinter::optim

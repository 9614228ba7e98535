// A training program as it runs: its data, model, optimizer and loop, with some of it compiled.
#pragma once
#include "../random/run.h"
#include "layers.h"
#include "optimizers.h"

namespace sinter::test {

/// What is compiled.
enum class Way : uint8_t {
  Eager,             // nothing
  Step,              // all of a step
  Forward,           // the forward pass, in an eager loop
  ForwardAndUpdate,  // that and, apart from it, the optimizer's step
  Gradients,         // forward, loss and backward
  Sometimes          // all of a step, in every second step
};
const char* way_name(Way way);

class World {
 public:
  /// Worlds of one plan begin alike.
  World(const Plan& plan, Way way);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Everything of step i. What it throws is noted.
  void step(int i);
  /// All that somebody could see now: losses and outputs so far, parameters, gradients, states, errors, rates.
  Run seen() const;
  /// What value v of seen() is.
  std::string name(size_t v) const;
  /// Of everything compiled: regions so far.
  CompileStats stats() const;
  bool finite() const;
  bool failed() const { return !errors_.errors.empty(); }

 private:
  using Function = std::function<Tensor(const Tensor&)>;
  struct Batch {
    Tensor x, y, t;
  };

  void make_model();
  void share_memory();
  void compile_parts();
  template <class F>
  F compiled(F f, const char* name);
  Tensor layers(Tensor x, size_t from, size_t to);
  Tensor head(Tensor x);
  Tensor forward(const Tensor& x);
  Batch batch(int64_t number);
  Tensor loss_of(const Tensor& out, const Batch& b, int row);
  Tensor gradients(const Batch& b);
  void backward(const Tensor& loss, std::optional<bool> retain_graph = std::nullopt);
  void zero();
  void clip_and_step();
  void update();
  void average();
  void train();
  Tensor accumulate();
  void before(int i);
  void visit(const std::function<void(const std::string&, const Tensor&)>& f) const;
  std::string numbers() const;

  const Plan& plan_;
  const Way way_;
  Weights weights_;
  Tensor flat_, flat_grads_;
  Tensor inputs_, classes_, targets_;
  AnyOptimizer optimizer_;
  std::function<void(const Tensor&)> schedule_;
  Function first_, second_;
  std::function<Tensor(const Batch&)> gradients_;
  std::function<void()> update_, step_;
  std::vector<std::function<CompileStats()>> stats_;
  std::vector<Tensor> averages_;
  std::vector<std::pair<std::string, Tensor>> results_;  // losses, outputs, inputs
  Run errors_;
  int now_ = 0;
  std::vector<Batch> batches_;  // of this step, when they are taken outside
};

}  // namespace sinter::test

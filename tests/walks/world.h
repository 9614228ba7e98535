// The world of a walk: everything a compiled function can depend on. Two worlds made from one seed are equal; one runs
// its functions eager, the other compiled, and every change is made to both.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>
#include "frontend/sinter/sinter.h"

namespace sinter::test {

/// What the host code of a walk throws in the middle.
struct HostError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Embedding and four linear layers, with a Sequential that holds another one.
struct NetImpl : nn::Module {
  NetImpl();
  Tensor forward(const Tensor& x);
  /// The middle part anew: 0 as built, 1 without the norm, 2 with one more layer, 3 in another order, 4 with a fresh norm.
  void rebuild(int variant);

  nn::Embedding embed{nullptr};
  nn::Linear first{nullptr}, second{nullptr}, head{nullptr};
  nn::LayerNorm norm{nullptr};
  nn::Dropout drop{nullptr};
  nn::Sequential inner{nullptr}, middle{nullptr};
  Tensor running;
  bool flag = false;
  int repeats = 1;
  std::function<Tensor(const Tensor&)> activation_hook;  // put on an activation when set
};
SINTER_MODULE(Net);

struct World;

/// One of the world's two functions: its blocks (blocks.inc) in order.
struct Body {
  World* world;
  int which;
  std::vector<Tensor> operator()(const Tensor& x, const Tensor& y) const;
};

// What a change sets: KNOB rows of changes.inc, each with a value per world; 0 is its state at rest.
enum class Knob : int {
#define KNOB(weight, name, variants, ...) name,
#define EVENT(weight, name, ...)
#include "changes.inc"
#undef KNOB
#undef EVENT
  count
};
inline constexpr int kKnobs = static_cast<int>(Knob::count);

struct World {
  World(uint64_t seed, bool compiled, const std::array<std::vector<uint8_t>, 2>& blocks);
  World(const World&) = delete;

  int value(Knob k) const { return knobs[static_cast<size_t>(k)]; }
  /// Sets a knob; 0 undoes it. Empty, or type and text of what was thrown.
  std::string set(int knob, int variant);
  /// A change that stays: EVENT rows of changes.inc. Empty, or type and text of what was thrown.
  std::string event(int event, int arg);
  /// Calls function `which` under this world's ambient state. Empty, or type and text of what was thrown.
  std::string call(int which);
  /// Backward through the loss a call left, then a step of the optimizer, outside of any call.
  std::string train_outside();
  /// Makes the functions anew: nothing is compiled.
  void compile_functions();
  CompileStats stats() const;
  /// Both functions consist of blocks that never break a graph: they are compiled with fullgraph.
  bool fullgraph() const;
  /// Everything that undoing all knobs must bring back.
  std::string configuration() const;
  /// Named tensors: arguments, parameters, gradients, optimizer state, captured ones, results.
  std::vector<std::pair<std::string, Tensor>> tensors() const;
  /// Numbers in [-1, 1] from the world's own stream, the same in both worlds; data has special ones when the knob says so.
  Tensor data(IntArrayRef sizes, ScalarType dtype = kFloat);
  Tensor numbers(IntArrayRef sizes);

  const uint64_t seed;
  const bool compiled;
  const std::array<std::vector<uint8_t>, 2> blocks;
  std::array<int, kKnobs> knobs{};
  std::vector<int> active;  // knobs not at rest, in the order in which they were set

  // -- what the functions capture
  Net net{nullptr};
  std::unique_ptr<optim::Optimizer> optimizer;
  Tensor x, y, index, target;  // the arguments of the next call; made anew when `stale`
  bool stale = true;
  Tensor captured;
  std::vector<Tensor> list;
  int64_t k = 2, dim = 0, trips = 2;
  double s = 0.5;
  bool on = false;
  std::optional<double> maybe;
  std::vector<int> order = {0, 1};
  std::function<Tensor(const Tensor&)> function;
  int global = 0, per_thread = 0;
  std::vector<double> memory;  // behind from_blob inputs

  // -- what calls leave behind
  std::vector<Tensor> kept, results;
  Tensor loss;
  int64_t counter = 0, hook_calls = 0, deleted = 0;
  std::vector<std::string> log;

  // -- for the walk
  std::optional<Compiled<Body>> functions[2];
  std::map<std::string, Tensor> saved;  // what undoing puts back
  Tensor hooked;
  unsigned hook = 0;
  int depth = 0, points = 0;
  uint64_t stream, generator_seed, generator_counter = 0;

 private:
  void make_arguments();
  Tensor argument(std::vector<int64_t> sizes, ScalarType dtype, int layout, bool blob, size_t at);
  void share_memory(const std::vector<int64_t>& sizes);
};

const char* knob_name(int knob);
const char* event_name(int event);

/// Threads of a walk share it.
extern int g_walk_global;
extern thread_local int t_walk_value;

}  // namespace sinter::test

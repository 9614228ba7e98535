// Philox 4x32-10: counter-based random numbers, the same eager and compiled.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include "dtype.h"
#include "ops/ops.h"

namespace sinter {

/// Where a generator stands.
struct GeneratorState {
  uint64_t seed = 0, counter = 0;
  friend bool operator==(const GeneratorState&, const GeneratorState&) = default;
};

/// A source of random numbers; copies are the same source. Random operators reserve a range of its counter when they are
/// called, so that the numbers do not depend on when (or whether together) they are computed. Any thread may draw from it.
class Generator {
 public:
  static constexpr uint64_t kDefaultSeed = 67280421310721;  // LibTorch's
  /// @throws OutOfMemoryError.
  explicit Generator(uint64_t seed = kDefaultSeed);
  Generator(const Generator&) = default;  // no moving: there is none without a state
  Generator& operator=(const Generator&) = default;
  /// The one that random functions draw from unless they are given another.
  static Generator& get_default();
  /// Another source that goes on from here.
  Generator clone() const;

  /// Starts the stream of a seed.
  void manual_seed(uint64_t seed) const { set_state({seed, 0}); }
  void set_current_seed(uint64_t seed) const { manual_seed(seed); }
  /// Starts a stream that nobody chose, and returns its seed.
  uint64_t seed() const;
  uint64_t current_seed() const { return state_->seed.load(std::memory_order_relaxed); }
  uint64_t initial_seed() const { return current_seed(); }
  GeneratorState get_state() const { return {current_seed(), counter()}; }
  void set_state(const GeneratorState& state) const;

  /// How many counters are used; each gives 128 random bits.
  uint64_t counter() const { return state_->counter.load(std::memory_order_relaxed); }
  /// Returns the first counter of a block of `n` draws and moves past it.
  uint64_t reserve(uint64_t n) const;
  /// Whether both are the same source.
  friend bool operator==(const Generator& a, const Generator& b) { return a.state_ == b.state_; }

 private:
  // Two words without a lock: threads that draw must not wait for each other.
  struct State {
    std::atomic<uint64_t> seed, counter{0};
  };
  std::shared_ptr<State> state_;
};

inline Generator make_generator(uint64_t seed = Generator::kDefaultSeed) { return Generator(seed); }
inline Generator& default_generator() { return Generator::get_default(); }

/// The generator that a call draws from: none given means the default one.
class GeneratorArg {
 public:
  GeneratorArg(const Generator& g) : generator_(g) {}
  GeneratorArg(const std::optional<Generator>& g) : generator_(g ? *g : Generator::get_default()) {}
  GeneratorArg(std::nullopt_t) : generator_(Generator::get_default()) {}
  const Generator& get() const { return generator_; }

 private:
  const Generator& generator_;
};

/// Seeds the default generator; as torch::manual_seed.
void manual_seed(uint64_t seed);

/// Four 32-bit words of stream `seed` at `counter` (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
void philox4x32(uint64_t seed, uint64_t counter, uint32_t out[4]);

/// Counters that a random operator making n elements of `dtype` uses. It takes 32-bit words in order, four per counter,
/// each call from a fresh counter. Words per element and its value (u = word as an integer, (hi, lo) = two words):
///   rand       float 1: (u >> 8) / 2^24         double 2: ((hi:lo) >> 11) / 2^53
///   randn      1: elements 2j and 2j + 1 share words u, v (Box and Muller, 1958): r cos a and r sin a
///              float: r = sqrt(-2 ln(1 - (u >> 8) / 2^24)), a = 2 pi (v >> 8) / 2^24, in float32 by the operators' own
///              log, cos and sin; double: r = sqrt(-2 ln((u + 1) / 2^32)), a = 2 pi v / 2^32, by the C library
///   randint    2: low + (hi:lo) % (high - low)
///   bernoulli  1: u / 2^32 < p
uint64_t random_counters(Op op, ScalarType dtype, int64_t n);

}  // namespace sinter

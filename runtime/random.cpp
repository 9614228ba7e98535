#include "random.h"
#include <random>
#include "mutants.h"
#include "out_of_memory.h"

namespace sinter {

Generator::Generator(uint64_t seed) : state_(memory_gate([] { return std::make_shared<State>(); })) { manual_seed(seed); }

Generator& Generator::get_default() {
  static Generator& g = *new Generator();  // there until the end: destructors of statics may draw
  return g;
}

Generator Generator::clone() const {
  Generator g;
  g.set_state(get_state());
  return g;
}

uint64_t Generator::seed() const {
  std::random_device device;
  const uint64_t chosen = static_cast<uint64_t>(device()) << 32 | device();
  manual_seed(chosen);
  return chosen;
}

void Generator::set_state(const GeneratorState& state) const {
  state_->seed.store(state.seed, std::memory_order_relaxed);
  state_->counter.store(state.counter, std::memory_order_relaxed);
}

uint64_t Generator::reserve(uint64_t n) const {
  return state_->counter.fetch_add(SINTER_MUTANT(random_counters_not_reserved) ? 0 : n, std::memory_order_relaxed);
}

void manual_seed(uint64_t seed) { Generator::get_default().manual_seed(seed); }

void philox4x32(uint64_t seed, uint64_t counter, uint32_t out[4]) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    // Multipliers and Weyl constants of the paper, section 4.3.
    const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

uint64_t random_counters(Op op, ScalarType dtype, int64_t n) {
  const uint64_t per_element = op == Op::randint || (op == Op::rand && dtype == ScalarType::Double) ? 2 : 1;
  return (static_cast<uint64_t>(n) * (SINTER_MUTANT(random_counters_too_few) ? 1 : per_element) + 3) / 4;
}

}  // namespace sinter

// Guard rows G86-G95: guards themselves, keys, limits, eviction.
#include <atomic>
#include <cstdlib>
#include <new>
#include "codegen/kernel.h"
#include "engine/frame/verify.h"
#include "engine/program/region_key.h"
#include "guard_rows.h"
#include "region_tape.h"
#include "runtime/env.h"

using namespace sinter;
using namespace sinter::test;

namespace {
std::atomic<int64_t> heap_calls{0};
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] void* operator new(size_t n) {
  ++heap_calls;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }
#endif

TEST_CASE("G87 comparing guards, met or not, allocates nothing and changes no argument") {
  const int64_t verifying = verify_interval.exchange(0);  // its copies are allocations
  auto g = compile([](const Tensor& x, const Tensor& y) { return (x * y).sum(); });
  const std::vector<std::pair<Tensor, Tensor>> args = {{randn({4, 3}), randn({3})},
                                                       {randn({4, 3}, kDouble), randn({3})},
                                                       {randn({3, 4}).t(), randn({4, 3})},
                                                       {randn({4, 3}), randn({})}};
  for (int i = 0; i < 4; ++i)
    for (const auto& [x, y] : args) g(x, y);
  const auto before = compiles(g);
  for (int i = 0; i < 3; ++i)
    for (const auto& [x, y] : args) {
      const auto heads = std::pair(x.impl()->head.load(), y.impl()->head.load());
      const int64_t calls = heap_calls;
      g(x, y);
      REQUIRE(heap_calls == calls);
      REQUIRE(std::pair(x.impl()->head.load(), y.impl()->head.load()) == heads);
      REQUIRE(x._version() + y._version() == 0);
    }
  REQUIRE(compiles(g) == before);
  verify_interval = verifying;
}

TEST_CASE("G87 an undefined operand where a tensor was recorded is noticed before it is looked into") {
  const auto f = [](Tensors& v) { return layer_norm(v[0], {3}, v[1], v[2]); };
  check_row({.f = f,
             .states = {{ARGS(m({m.n, 3}), m({3}), m({3}))},
                        {ARGS(m({m.n, 3}), m({3}), Tensor())},
                        {ARGS(m({m.n, 3}), Tensor(), Tensor())},
                        {ARGS(Tensor(), m({3}), m({3}))}}});
}

namespace {

/// x to the power a, plus x to the power b: exponents are part of the key, any 64 bits are one.
Tape powers(uint64_t a, uint64_t b) {
  Tape t;
  const int x = t.input({6}, kDouble);
  const int p = t.call(Op::pow, {x}, a, {}, {}, kAttrExponent), q = t.call(Op::pow, {x}, b, {}, {}, kAttrExponent);
  t.live(t.binary(Op::add, p, q));
  return t;
}

uint64_t inverse(uint64_t odd) {
  uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}

/// The word at `at` for which `words` hashes to `target` (hash_words backwards).
uint64_t colliding_word(const std::vector<uint64_t>& words, size_t at, uint64_t state_after) {
  const uint64_t before = hash_words({words.begin(), words.begin() + static_cast<long>(at)});
  return before ^ ((state_after - (before >> 29)) * inverse(0xff51afd7ed558ccdull));
}

uint64_t bits_of(double x) { return std::bit_cast<uint64_t>(x); }

}  // namespace

TEST_CASE("G88 forced hash collision of regions: full equality decides") {
  const uint64_t a = bits_of(2.0), b = bits_of(3.0), other_a = bits_of(0.5);
  const std::vector<uint64_t> first = region_key(powers(a, b).region);
  std::vector<uint64_t> second = region_key(powers(other_a, b).region);
  REQUIRE(first.size() == second.size());
  const size_t at = static_cast<size_t>(std::find(first.rbegin(), first.rend(), b).base() - first.begin()) - 1;
  const uint64_t after = hash_words({first.begin(), first.begin() + static_cast<long>(at) + 1});
  const uint64_t other_b = colliding_word(second, at, after);
  second = region_key(powers(other_a, other_b).region);
  REQUIRE(first != second);
  REQUIRE(hash_words(first) == hash_words(second));
  sinter::reset();
  for (int i = 0; i < 3; ++i) {
    check_tape(powers(a, b));
    check_tape(powers(other_a, other_b));
  }
  // The same through compile(): replays of one never run the other's program.
  const auto f = [](const Tensor& x, uint64_t p, uint64_t q) {
    return pow(x, std::bit_cast<double>(p)) + pow(x, std::bit_cast<double>(q));
  };
  auto g = compile(f);
  for (int i = 0; i < 6; ++i) {
    const Tensor x = rand({6}, kDouble);
    if (i % 2) REQUIRE(same_bits(g(x, a, b), f(x, a, b)));
    else REQUIRE(same_bits(g(x, other_a, other_b), f(x, other_a, other_b)));
  }
  REQUIRE(compiles(g) == 2);
}

namespace {
/// out = x + a + b over n doubles.
codegen::LoopSpec two_constants(uint64_t a, uint64_t b) {
  using codegen::LoopKind;
  codegen::LoopSpec s;
  s.sizes = {8};
  s.operands.resize(2);
  for (auto& o : s.operands) o.dtype = kDouble, o.strides = {1};
  s.operands[1].output = true;
  s.nodes.resize(5);
  for (auto& n : s.nodes) n.dtype = kDouble;
  s.nodes[0].kind = LoopKind::Load, s.nodes[0].index = 0;
  s.nodes[1].bits = a;
  s.nodes[2].bits = b;
  const auto add = [&](size_t at, int32_t x, int32_t y) {
    s.nodes[at].kind = LoopKind::Compute, s.nodes[at].op = Op::add, s.nodes[at].n_in = 2;
    s.nodes[at].in[0] = x, s.nodes[at].in[1] = y;
  };
  add(3, 0, 1);
  add(4, 3, 2);
  s.stores = {{4, 1}};
  return s;
}

/// The step of kernel_hash, forwards and backwards.
uint64_t mixed(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 29;
}
uint64_t unmixed(uint64_t h) {
  h ^= h >> 29 ^ h >> 58;
  return h * inverse(0x9e3779b97f4a7c15u);
}

/// kernel_hash of two_constants up to and without the second constant's bits.
uint64_t hash_before_second(uint64_t a, Isa isa) {
  const codegen::LoopSpec s = two_constants(a, 0);
  uint64_t h = static_cast<uint64_t>(isa) * 31 + static_cast<uint64_t>(s.mode);
  h = mixed(h, 8);
  for (const auto& o : s.operands) h = mixed(mixed(h, static_cast<uint64_t>(o.dtype) * 2 + o.output), 1);
  const auto kind = [](const codegen::LoopNode& n) {
    return static_cast<uint64_t>(n.kind) << 32 | static_cast<uint64_t>(n.op) << 8 | static_cast<uint64_t>(n.dtype);
  };
  const auto index = [](const codegen::LoopNode& n) { return static_cast<uint64_t>(static_cast<uint32_t>(n.index)) ^ n.bits; };
  for (size_t i : {0, 1}) h = mixed(mixed(h, kind(s.nodes[i])), index(s.nodes[i]));
  return mixed(h, kind(s.nodes[2]));
}

double run_on_two(const codegen::Kernel& kernel) {
  alignas(64) double x[8] = {2, 2, 2, 2, 2, 2, 2, 2}, out[8] = {};
  void* operands[] = {x, out};
  std::vector<char> scratch(kernel.scratch_bytes + 64);
  kernel.fn(operands, nullptr, scratch.data());
  return out[7];
}
}  // namespace

TEST_CASE("G88 forced hash collision of kernels: full equality decides") {
  const uint64_t a = bits_of(1.0), b = bits_of(10.0), other_a = bits_of(100.0);
  const uint64_t index = 0xffffffff;  // of a constant: none
  const uint64_t after = mixed(hash_before_second(a, isa()), index ^ b);
  const uint64_t other_b = unmixed(after) ^ hash_before_second(other_a, isa()) ^ index;
  const codegen::LoopSpec first = two_constants(a, b), second = two_constants(other_a, other_b);
  REQUIRE_FALSE(first == second);
  REQUIRE(codegen::kernel_hash(first, isa()) == codegen::kernel_hash(second, isa()));
  if (!codegen::jit_available()) return;
  for (int i = 0; i < 3; ++i) {
    const auto one = codegen::get_kernel(first), two = codegen::get_kernel(second);
    REQUIRE(one != two);
    REQUIRE(run_on_two(*one) == 13.0);
    REQUIRE(bits_of(run_on_two(*two)) == bits_of(102.0 + std::bit_cast<double>(other_b)));
  }
}

TEST_CASE("G93 the recompile limit: eager, right, counted") {
  static int kind = 0;
  for (const bool training : {false, true}) {
    sinter::reset();
    const Row row = {.f = [](Tensors& v) {
      Tensor r = v[0];
      for (int i = 0; i < kind; ++i) r = r.sin();
      return r + 1;
    }};
    const auto f = [&](Tensors& v) { return training ? forward_and_backward(row, v) : row.f(v); };
    auto g = compile(f, {.name = "limited"});
    uint64_t seed = 0;
    const State state = {[](Maker& m) { return tensors(m({m.n, 3})); }};
    const auto agree = [&] {
      ++seed;
      const Outcome expected = run_state(f, row, state, 4, training, seed), got = run_state(g, row, state, 4, training, seed);
      REQUIRE(expected.tensors == got.tensors);
      REQUIRE(expected.sharing == got.sharing);
    };
    for (kind = 0; kind < 30; ++kind) agree(), agree();
    REQUIRE(g.stats().eager_fallbacks > 0);
    const auto seen = compiles(g);
    for (kind = 0; kind < 4; ++kind) agree();  // what exists still replays
    for (kind = 0; kind < 30; ++kind) agree();
    REQUIRE(compiles(g) == seen);
  }
}

TEST_CASE("G94 forgotten by reset or eviction, then the same again") {
  const auto f = [](const Tensor& x) {
    const Tensor y = x.sin() + 1;
    if (y.requires_grad()) y.sum().backward();
    return y.detach();
  };
  for (const bool training : {false, true}) {
    auto g = compile(f);
    int64_t expected = 0;
    const auto agree = [&](int64_t n) {
      const Tensor x = randn({n, 3}), y = x.clone();
      x.set_requires_grad(training), y.set_requires_grad(training);
      REQUIRE(same_bits(f(x), g(y)));
      if (training) REQUIRE(same_bits(x.grad(), y.grad()));
    };
    for (int way = 0; way < 4; ++way) {
      INFO("way " << way);
      for (int i = 0; i < 3; ++i)
        for (const int64_t n : {4, 6, 9}) agree(n);
      if (way > 0) REQUIRE(compiles(g) == expected);
      expected = compiles(g);
      if (way == 0) g.reset();
      if (way == 1) sinter::reset();
      if (way == 2) clear_program_cache();  // what g holds lives on
    }
  }
}

TEST_CASE("G95 several variants in any order: the one whose guards all hold") {
  const std::vector<State> states = {{ARGS(m({m.n, 3}), m({3}))},
                                     {ARGS(m({m.n, 3}, kDouble), m({3}))},
                                     {ARGS(m({m.n, 3}), m({3}, kDouble))},
                                     {ARGS(m({3, m.n}).t(), m({3}))},
                                     {ARGS(m({m.n, 3}), m({m.n, 3}))}};
  Row row = {.f = GIVES(v[0] * v[1] + v[0].sin())};
  uint64_t order = 1;
  for (int i = 0; i < 6; ++i) {  // the same states in other orders
    row.states = states;
    for (size_t k = states.size(); k-- > 1;) {
      order = order * 6364136223846793005ull + 1442695040888963407ull;
      std::swap(row.states[k], row.states[(order >> 33) % (k + 1)]);
    }
    row.no_sweep = "one size: five kinds in two sizes each are above the limit of variants";
    check_row(row);
  }
  check_row({.f = row.f, .states = {states[1], states[0], states[2]}});
}

TEST_CASE("G95 no guard is skipped: each of six inputs differs alone") {
  for (size_t which = 0; which < 6; ++which) {
    const auto with = [which](bool other) {
      return State{[=](Maker& m) {
        Tensors all;
        for (size_t i = 0; i < 6; ++i) all.push_back(other && i == which ? m({m.n, 1}) : m({m.n, 3}));
        return all;
      }};
    };
    check_row({.f = GIVES(v[0] * v[1] + v[2] * v[3] - v[4] * v[5] + v[0].sin()), .states = {with(false), with(true)}});
  }
}

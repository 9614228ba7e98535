// Generated pointwise kernels against the scalar interpreter: every operator, type and instruction set.
#include <catch2/catch.hpp>
#include "codegen_reference.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

struct Row {
  Op op;
  int n_in;
};
const Row kRows[] = {
#define R(name) {Op::name, 1},
    SINTER_POINTWISE_UNARY(R)
#undef R
#define R(name) {Op::name, 2},
        SINTER_POINTWISE_BINARY(R)
#undef R
#define R(name) {Op::name, 3},
            SINTER_POINTWISE_TERNARY(R)
#undef R
#define R(name) {Op::name, 4},
                SINTER_POINTWISE_QUATERNARY(R)
#undef R
};
constexpr ScalarType kTypes[] = {kBool, kLong, kFloat, kDouble};

LoopSpec spec_of(const Row& row, ScalarType t, int64_t n, uint64_t bits) {
  SpecBuilder b(LoopMode::Pointwise, {n});
  std::vector<int> in;
  for (int i = 0; i < row.n_in; ++i) in.push_back(b.load(row.op == Op::where && i == 0 ? kBool : t));
  b.store(b.compute(row.op, in, bits));
  return b.spec;
}

void require_equal(const LoopSpec& spec, uint64_t seed, bool at_start = false, std::vector<std::pair<int, int>> shared = {}) {
  for (Isa isa : levels()) {
    const Check c = check(spec, isa, seed, at_start, shared);
    INFO(to_string(spec) << (at_start ? "at start" : "at end"));
    REQUIRE(c.failure == "");
  }
}

}  // namespace

TEST_CASE("every operator in every type") {
  int emitted = 0;
  for (const Row& row : kRows) {
    for (ScalarType t : kTypes) {
      if (!can_emit(row.op, t)) continue;
      std::vector<uint64_t> attrs = {0};
      if (row.op == Op::pow && row.n_in == 1) {
        attrs.clear();
        for (double e : {2.0, 3.0, 0.5, -0.5, -1.0, -2.0, 0.0, 1.0, 1.7}) attrs.push_back(std::bit_cast<uint64_t>(e));
      }
      if (row.op == Op::clamp) attrs = row.n_in == 2 ? std::vector<uint64_t>{kClampMin, kClampMax} : std::vector<uint64_t>{3};
      for (uint64_t bits : attrs) {
        ++emitted;
        for (int64_t n : {1, 7, 49, 130})
          require_equal(spec_of(row, t, n, bits), static_cast<uint64_t>(n) + 1000 * static_cast<uint64_t>(emitted));
      }
    }
  }
  REQUIRE(emitted > 110);
}

TEST_CASE("every length, both ends against a faulting page") {
  for (ScalarType t : kTypes)
    for (int64_t n = 0; n <= 3 * 16 + 1; ++n)
      for (bool at_start : {false, true}) require_equal(spec_of({Op::add, 2}, t, n, 0), static_cast<uint64_t>(n), at_start);
  for (int64_t n = 1; n <= 3 * 16 + 1; ++n) {
    const LoopSpec spec = spec_of_every_type(n);
    require_equal(spec, static_cast<uint64_t>(n));
    require_equal(spec, static_cast<uint64_t>(n), true);
  }
}

TEST_CASE("casts") {
  for (ScalarType from : kTypes)
    for (ScalarType to : kTypes)
      for (int64_t n : {5, 100}) {
        SpecBuilder b(LoopMode::Pointwise, {n});
        b.store(b.cast_to(to, b.load(from)));
        for (uint64_t seed = 0; seed < 5; ++seed) require_equal(b.spec, seed);
      }
}

TEST_CASE("bool kernels") {
  for (int64_t n : {1, 15, 16, 17, 64, 100}) {
    SpecBuilder b(LoopMode::Pointwise, {n});
    const int x = b.load(kBool), y = b.load(kBool), s = b.scalar(kBool);
    b.store(b.compute(Op::logical_or,
                      {b.compute(Op::logical_and, {x, y}), b.compute(Op::logical_not, {b.compute(Op::logical_xor, {x, s})})}));
    b.store(b.compute(Op::where, {x, y, b.constant(kBool, 1)}));
    require_equal(b.spec, static_cast<uint64_t>(n));
  }
}

TEST_CASE("strides, broadcasting and outer loops") {
  for (ScalarType t : {kBool, kLong, kFloat, kDouble}) {
    const auto both = [&](SpecBuilder& b, int x, int y) { b.store(b.compute(t == kBool ? Op::eq : Op::mul, {x, y})); };
    for (int64_t n : {1, 5, 16, 37}) {
      SpecBuilder a(LoopMode::Pointwise, {3, n});
      both(a, a.load(t), a.load(t, {1, 3}));  // transposed
      require_equal(a.spec, 1);
      SpecBuilder b(LoopMode::Pointwise, {4, n});
      both(b, b.load(t, {0, 1}), b.load(t, {1, 0}));
      require_equal(b.spec, 2);
      SpecBuilder c(LoopMode::Pointwise, {2, 3, n});
      both(c, c.load(t, {3 * n, 0, 1}), c.load(t, {7, 0, 2}));
      require_equal(c.spec, 3);
      SpecBuilder d(LoopMode::Pointwise, {3, n});  // strided output
      const int v = d.compute(Op::eq, {d.load(t), d.load(t, {0, 0})});
      d.store(d.cast_to(t, v), {1, 3});
      require_equal(d.spec, 4);
    }
  }
}

TEST_CASE("iota and scalars") {
  for (ScalarType t : {kLong, kFloat, kDouble}) {
    SpecBuilder b(LoopMode::Pointwise, {3, 4, 21});
    const int s = b.scalar(t);
    int sum = s;
    for (int d = 0; d < 3; ++d) sum = b.compute(Op::add, {b.compute(Op::mul, {sum, b.constant(t, 3)}), b.iota(d, t)});
    b.store(sum);
    require_equal(b.spec, 7);
  }
}

TEST_CASE("more values than registers") {
  for (ScalarType t : {kFloat, kDouble, kLong, kBool}) {
    for (int64_t n : {3, 64}) {
      SpecBuilder b(LoopMode::Pointwise, {n});
      std::vector<int> values;
      for (int i = 0; i < 45; ++i) values.push_back(b.load(t));
      std::vector<int> derived;
      for (size_t i = 0; i < values.size(); ++i)
        derived.push_back(b.compute(Op::add, {values[i], values[(i * 7 + 3) % values.size()]}));
      int total = derived[0];
      for (size_t i = derived.size(); i-- > 1;) total = b.compute(Op::maximum, {total, derived[i]});
      for (size_t i = 0; i < derived.size(); ++i) total = b.compute(Op::mul, {total, derived[i]});
      for (size_t i = 0; i < values.size(); ++i)
        total = b.compute(Op::add, {total, b.cast_to(t, b.compute(Op::lt, {values[i], total}))});
      b.store(total);
      require_equal(b.spec, 3);
    }
  }
}

TEST_CASE("values spilled while lanes go through memory stay whole") {
  for (ScalarType from : {kLong, kBool}) {
    SpecBuilder b(LoopMode::Pointwise, {3, 21});
    std::vector<int> values, mixed;
    for (int i = 0; i < 40; ++i) values.push_back(b.cast_to(kDouble, b.load(from, {2, 9})));
    for (size_t i = 0; i < values.size(); ++i)
      mixed.push_back(b.compute(Op::add, {values[i], values[(i * 7 + 3) % values.size()]}));
    int total = mixed[0];
    for (size_t i = mixed.size(); i-- > 1;) total = b.compute(Op::sub, {b.compute(Op::mul, {total, values[i]}), mixed[i]});
    b.store(total);
    b.store(b.cast_to(kLong, mixed[5]), {1, 3});
    b.store(b.cast_to(kBool, mixed[6]), {1, 3});
    for (uint64_t seed = 0; seed < 3; ++seed) require_equal(b.spec, seed);
  }
}

TEST_CASE("outputs that share memory with inputs") {
  for (int64_t n : {1, 40, 200}) {
    SpecBuilder b(LoopMode::Pointwise, {n});
    const int x = b.load(kFloat), y = b.load(kFloat);
    b.store(b.compute(Op::mul, {x, x}));  // over y, which is read below
    b.store(b.compute(Op::add, {y, y}));  // over x
    require_equal(b.spec, 1, false, {{2, 1}, {3, 0}});
  }
}

TEST_CASE("slow lanes inside long chains keep every register") {
  SpecBuilder b(LoopMode::Pointwise, {77});
  std::vector<int> keep;
  for (int i = 0; i < 20; ++i) keep.push_back(b.load(kFloat));
  int v = keep[0];
  for (int i = 0; i < 6; ++i) v = b.compute(i % 2 ? Op::sin : Op::cos, {b.compute(Op::mul, {v, b.constant(kFloat, 3e7)})});
  for (int k : keep) v = b.compute(Op::add, {v, k});
  b.store(v);
  for (uint64_t seed = 0; seed < 4; ++seed) require_equal(b.spec, seed);
}

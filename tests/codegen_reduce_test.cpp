// Generated reductions against the scalar interpreter: order of the sums, stages, rows and columns.
#include <catch2/catch.hpp>
#include "codegen_reference.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

void require_equal(const LoopSpec& spec, uint64_t seed, std::vector<std::pair<int, int>> shared = {}) {
  for (Isa isa : levels()) {
    const Check c = check(spec, isa, seed, seed % 2, shared);
    INFO(to_string(spec));
    REQUIRE(c.failure == "");
  }
}

constexpr ReduceKind kKinds[] = {ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min};

SpecBuilder softmax(int64_t rows, int64_t n, ScalarType t, bool log) {
  SpecBuilder b(LoopMode::Row, {rows, n});
  const int x = b.load(t);
  const int d = b.compute(Op::sub, {x, b.reduce(ReduceKind::Max, x)});
  const int e = b.compute(Op::exp, {d});
  const int s = b.reduce(ReduceKind::Sum, e);
  if (log) b.store(b.compute(Op::sub, {d, b.compute(Op::log, {s})}));
  else b.store(b.compute(Op::mul, {e, b.compute(Op::reciprocal, {s})}));
  return b;
}

SpecBuilder layer_norm(int64_t rows, int64_t n, ScalarType t) {
  SpecBuilder b(LoopMode::Row, {rows, n});
  const int x = b.load(t), w = b.load(t, {0, 1}), bias = b.load(t, {0, 1}), count = b.constant(t, static_cast<double>(n)),
            eps = b.scalar(t);
  const int mean = b.compute(Op::div, {b.reduce(ReduceKind::Sum, x), count});
  const int d = b.compute(Op::sub, {x, mean});
  const int var = b.compute(Op::div, {b.reduce(ReduceKind::Sum, b.compute(Op::mul, {d, d})), count});
  const int r = b.compute(Op::rsqrt, {b.compute(Op::add, {var, eps})});
  b.store(b.compute(Op::add, {b.compute(Op::mul, {b.compute(Op::mul, {d, r}), w}), bias}));
  b.store(mean, {1, 0});
  b.store(r, {1, 0});
  return b;
}

}  // namespace

TEST_CASE("rows: every kind, type and length") {
  for (ScalarType t : {kFloat, kDouble, kLong})
    for (ReduceKind kind : kKinds)
      for (int64_t n : {0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 48, 49, 64, 100}) {
        SpecBuilder b(LoopMode::Row, {3, n});
        b.store(b.reduce(kind, b.load(t)), {1, 0});
        for (uint64_t seed = 0; seed < 4; ++seed) require_equal(b.spec, seed);
      }
}

TEST_CASE("full sums with two levels") {
  for (ScalarType t : {kFloat, kDouble, kLong})
    for (int64_t n : {16 * 64, 16 * 64 + 1, 16 * 128, 16 * 64 * 3 + 5, 16 * 192 - 1, 70001}) {
      SpecBuilder b(LoopMode::Row, {n});
      const int x = b.load(t);
      b.store(b.reduce(ReduceKind::Sum, x), {0});
      b.store(b.reduce(ReduceKind::Max, b.compute(Op::mul, {x, x})), {0});
      require_equal(b.spec, static_cast<uint64_t>(n));
    }
}

TEST_CASE("columns: every kind, type and shape") {
  for (ScalarType t : {kFloat, kDouble, kLong})
    for (ReduceKind kind : kKinds)
      for (int64_t n : {1, 5, 16, 33, 130, 300})
        for (int64_t r : {0, 1, 2, 9, 70, 200}) {
          SpecBuilder b(LoopMode::Column, {2, r, n});
          b.store(b.reduce(kind, b.load(t)), {n, 0, 1});
          require_equal(b.spec, static_cast<uint64_t>(n * r));
        }
}

TEST_CASE("columns with producers and consumers") {
  for (int64_t n : {3, 40, 150}) {
    SpecBuilder b(LoopMode::Column, {21, n});
    const int x = b.load(kFloat), y = b.load(kFloat, {1, 0}), old = b.load(kFloat, {0, 1});
    const int s = b.reduce(ReduceKind::Sum, b.compute(Op::mul, {x, y}));
    b.store(b.compute(Op::add, {old, b.compute(Op::mul, {s, b.scalar(kFloat)})}), {0, 1});
    require_equal(b.spec, 1);
    SpecBuilder c(LoopMode::Column, {21, n});  // softmax down the columns
    const int v = c.load(kFloat);
    const int e = c.compute(Op::exp, {c.compute(Op::sub, {v, c.reduce(ReduceKind::Max, v)})});
    c.store(c.compute(Op::mul, {e, c.compute(Op::reciprocal, {c.reduce(ReduceKind::Sum, e)})}));
    require_equal(c.spec, 2);
  }
}

TEST_CASE("softmax and log_softmax") {
  for (ScalarType t : {kFloat, kDouble})
    for (int64_t n : {1, 4, 10, 16, 37, 100, 1100})
      for (bool log : {false, true}) require_equal(softmax(3, n, t, log).spec, static_cast<uint64_t>(n));
}

TEST_CASE("layer norm with row statistics") {
  for (ScalarType t : {kFloat, kDouble})
    for (int64_t n : {1, 5, 16, 50, 1500}) require_equal(layer_norm(3, n, t).spec, static_cast<uint64_t>(n));
}

TEST_CASE("in-place rows are read before they are written") {
  for (int64_t n : {10, 100}) {
    SpecBuilder b(LoopMode::Row, {3, n});
    const int x = b.load(kFloat);
    const int early = b.compute(Op::relu, {x});  // could be written in the first sweep, but x is read again later
    b.store(early);
    b.store(b.compute(Op::sub, {x, b.reduce(ReduceKind::Sum, x)}));
    require_equal(b.spec, 1, {{1, 0}});
    SpecBuilder c = softmax(3, n, kFloat, false);
    require_equal(c.spec, 2, {{1, 0}});
  }
}

TEST_CASE("cross entropy: iota, where, two reductions") {
  for (int64_t n : {3, 10, 50}) {
    SpecBuilder b(LoopMode::Row, {7, n});
    const int x = b.load(kFloat), target = b.load(kLong, {1, 0});
    const int d = b.compute(Op::sub, {x, b.reduce(ReduceKind::Max, x)});
    const int lse = b.compute(Op::log, {b.reduce(ReduceKind::Sum, b.compute(Op::exp, {d}))});
    const int hit = b.compute(Op::eq, {b.iota(1), target});
    const int picked = b.reduce(ReduceKind::Sum, b.compute(Op::where, {hit, d, b.constant(kFloat, 0)}));
    b.store(b.compute(Op::sub, {lse, picked}), {1, 0});
    require_equal(b.spec, 5);
  }
}

TEST_CASE("more running values than registers") {
  for (ScalarType t : {kFloat, kDouble}) {
    SpecBuilder b(LoopMode::Row, {2, 83});
    for (int i = 0; i < 14; ++i) b.store(b.reduce(kKinds[i % 3], b.compute(Op::mul, {b.load(t), b.constant(t, i)})), {1, 0});
    require_equal(b.spec, 1);
    SpecBuilder c(LoopMode::Column, {30, 83});
    for (int i = 0; i < 14; ++i) c.store(c.reduce(kKinds[i % 3], c.compute(Op::mul, {c.load(t), c.constant(t, i)})), {0, 1});
    require_equal(c.spec, 1);
  }
}

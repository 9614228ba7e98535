// Programs in which one missing condition of a pass, of fusion or of the buffer plan would give another value.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include "engine/passes/passes.h"
#include "region_tape.h"

using namespace sinter;
using namespace sinter::test;

namespace {

void checked(const Tape& t) {
  set_verify_passes(true);
  REQUIRE(check_tape(t));
}

int sum_kept(Tape& t, int x, uint32_t dims) { return t.sum(x, dims, true); }

}  // namespace

TEST_CASE("row sums read along the other dimension") {
  SECTION("broadcast against the values they are sums of") {  // s[j] is not the sum of the row in which x[i][j] stands
    Tape t;
    const int e = t.unary(Op::exp, t.input({16, 16}));
    const int s = t.sum(e, 2);
    t.live(t.binary(Op::add, s, e));
    checked(t);
  }
  SECTION("a column of sums against itself transposed") {
    Tape t;
    const int e = t.unary(Op::exp, t.input({16, 16}));
    const int s = sum_kept(t, e, 2);
    t.live(t.binary(Op::sub, s, t.call(Op::t, {s})));
    checked(t);
  }
  SECTION("maxima of one dimension against sums of the other") {
    Tape t;
    const int e = t.unary(Op::exp, t.input({20, 20}));
    const int s = t.sum(e, 2), m = t.call(Op::amax, {e}, reduce_attr(1, false, 4));
    t.live(t.binary(Op::mul, t.binary(Op::add, m, e), s));
    t.live(t.binary(Op::mul, t.binary(Op::add, e, s), m));
    checked(t);
  }
}

TEST_CASE("a square value and its transpose in one kernel") {
  Tape t;
  const int e = t.unary(Op::exp, t.input({12, 12})), f = t.unary(Op::sin, t.input({12, 12}));
  const int a = t.binary(Op::add, e, t.call(Op::t, {f}));
  t.live(t.binary(Op::mul, t.call(Op::t, {a}), t.binary(Op::add, e, f)));
  t.live(t.sum(t.binary(Op::mul, a, t.call(Op::t, {a})), 1));
  checked(t);
}

TEST_CASE("reductions over dimensions that are not neighbours") {
  for (const Op op : {Op::sum, Op::mean, Op::amax, Op::amin}) {
    Tape t;
    const int x = t.unary(Op::exp, t.input({5, 7, 9}));
    t.live(t.call(op, {x}, reduce_attr(5, false, 4)));
    t.live(t.call(op, {t.input({70, 3, 40})}, reduce_attr(5, true, 4)));
    checked(t);
  }
}

TEST_CASE("one kernel for all that compute the same, whatever their sizes") {
  const auto updates = [](std::vector<int64_t> sizes) {
    Tape t;
    for (const int64_t n : sizes) {
      const int p = t.input({n}), g = t.input({n});
      t.live(t.unary(Op::sqrt, t.binary(Op::mul, t.binary(Op::add, p, g), g)));
    }
    return t;
  };
  set_verify_passes(true);
  for (const auto& sizes : {std::vector<int64_t>{5, 64}, {1, 5, 33, 5, 1000, 64, 17, 2, 70000}}) {
    const auto program = check_tape(updates(sizes));
    REQUIRE(program);
    CHECK(program->n_kernels == 1);
  }
  Tape others = updates({5, 64});  // of equal shape but for the operators
  for (const int64_t n : {7, 9}) {
    const int p = others.input({n}), g = others.input({n});
    others.live(others.unary(Op::sqrt, others.binary(Op::mul, others.binary(Op::sub, p, g), g)));
  }
  checked(others);
}

TEST_CASE("a product that is added to a cleared gradient lies in its memory; not where the old one is still read") {
  const auto step = [](bool read_before, bool read_after, bool transposed) {
    Tape t;
    const int x = t.input({24, 16}), g = t.input({24, 32}), grad = t.input({32, 16}), p = t.input({32, 16});
    if (read_before) t.live(t.unary(Op::exp, grad));
    const int kept = read_after ? t.unary(Op::clone, grad) : -1;
    t.call(Op::fill_, {grad}, 0, {}, {Scalar(0)}, kInplace);
    int product = t.call(Op::mm, {t.call(Op::t, {g}), x});
    if (transposed) product = t.call(Op::t, {t.call(Op::mm, {t.call(Op::t, {x}), g})});
    t.call(Op::add, {grad, product}, 0, {}, {}, kInplace);
    t.call(Op::sub, {p, t.scalar(Op::mul, grad, Scalar(0.1))}, 0, {}, {}, kInplace);
    if (read_after) t.live(t.binary(Op::add, kept, p));
    checked(t);
    return check_tape(t)->arena_bytes;
  };
  const int64_t in_place = step(false, false, false);
  CHECK(in_place < 32 * 16 * 4);
  step(true, false, false);
  CHECK(step(false, true, false) >= 32 * 16 * 4);
  step(false, false, true);
}

TEST_CASE("softmax over the rows of a tall matrix") {
  for (const Op op : {Op::_softmax, Op::_log_softmax}) {
    Tape t;
    t.live(t.call(op, {t.input({3000, 6})}, 0));
    t.live(t.call(op, {t.input({4, 300, 5})}, 1));
    checked(t);
  }
}

TEST_CASE("a part of a value, and a part of that part") {
  Tape t;
  const int x = t.input({8, 4});
  const int part = t.call(Op::clone, {t.call(Op::slice, {x}, 0, {3, 7, 1})}, 1);  // the copy is dropped, the view stays
  t.live(t.unary(Op::exp, t.call(Op::select, {part}, 0, {2})));
  t.live(t.unary(Op::exp, t.call(Op::slice, {part}, 0, {1, 3, 1})));
  checked(t);
}

TEST_CASE("parts of one value that differ only in where they start") {
  Tape t;
  const int x = t.input({6, 4});
  const int a = t.unary(Op::exp, t.call(Op::select, {x}, 0, {1})), b = t.unary(Op::exp, t.call(Op::select, {x}, 0, {4}));
  t.live(t.binary(Op::sub, a, b));
  const int g = t.input({4});
  t.live(t.call(Op::select_backward, {g}, 0, {1, 6, 4}));
  t.live(t.call(Op::select_backward, {g}, 0, {4, 6, 4}));
  checked(t);
}

TEST_CASE("square sums that differ only in their dimension; powers that differ only in their exponent") {
  Tape t;
  const int x = t.input({9, 9});
  t.live(t.binary(Op::sub, t.sum(x, 1), t.sum(x, 2)));
  const auto power = [&](double p) { return t.call(Op::pow, {x}, std::bit_cast<uint64_t>(p), {}, {}, kAttrExponent); };
  t.live(t.binary(Op::sub, power(2), power(3)));
  checked(t);
}

TEST_CASE("an input overwritten by a value of the other layout") {
  Tape t;
  const int x = t.input({6, 6}, kFloat, {1, 6}), z = t.input({6, 6});
  t.call(Op::copy_, {x, t.call(Op::t, {t.unary(Op::exp, z)})});
  checked(t);
  Tape u;
  const int y = u.input({6, 6}), w = u.input({6, 6});
  u.call(Op::copy_, {y, u.call(Op::t, {u.unary(Op::exp, w)})});
  checked(u);
}

TEST_CASE("an input overwritten by a part of a larger value") {
  Tape t;
  const int x = t.input({3, 4}), e = t.unary(Op::exp, t.input({6, 4}));
  t.call(Op::copy_, {x, t.call(Op::slice, {e}, 0, {3, 6, 1})});
  checked(t);
}

TEST_CASE("an input overwritten by sums of itself at its own rows") {
  Tape t;
  const int x = t.input({4, 3}), i = t.input({4}, kLong, {}, 4);
  t.call(Op::copy_, {x, t.call(Op::index_add, {x, i, x}, 0)});
  checked(t);
}

TEST_CASE("sums and extremes of short rows: signed zeros and NaN") {
  for (uint64_t seed = 1; seed < 9; ++seed)
    for (const int64_t length : {2, 3, 5, 11}) {
      Tape t(seed);
      t.specials = true;
      const int x = t.unary(Op::neg, t.input({200, length}));
      t.live(t.sum(x, 2));
      for (const Op op : {Op::amax, Op::amin}) t.live(t.call(op, {x}, reduce_attr(2, false, 4)));
      const int zeros = t.scalar(Op::mul, t.call(Op::abs, {t.input({200, length})}), -0.0);
      t.live(t.sum(zeros, 2));
      checked(t);
    }
}

TEST_CASE("bounds of clamp: signed zeros and NaN") {
  for (const double bound : {0.0, -0.0, std::nan("")})
    for (const uint64_t attr : {1u, 2u}) {
      Tape t;
      t.specials = true;
      t.live(t.call(Op::clamp, {t.input({200})}, attr, {}, {Scalar(bound)}));
      t.live(t.call(Op::clamp, {t.input({7, 300})}, 3, {}, {Scalar(bound), Scalar(bound)}));
      checked(t);
    }
}

TEST_CASE("an exponent that is no int64, in int64 arithmetic") {  // was converted as the compiler liked
  const double inf = std::numeric_limits<double>::infinity();
  for (const double exponent : {inf, 1e300}) {
    Tape t;
    t.live(t.call(Op::pow, {t.input({20}, kLong, {}, 3)}, std::bit_cast<uint64_t>(exponent), {}, {}, kAttrExponent));
    checked(t);
  }
}

// Random and creating operators.
#include <catch2/catch.hpp>
#include "kernel_buffers.h"
#include "runtime/random.h"

using namespace sinter;
using namespace sinter::test;

namespace {

Buffer draw(Op op, ScalarType t, IntArrayRef shape, uint64_t counter, uint64_t seed, std::vector<Scalar> more = {},
            Layout layout = Layout::Dense) {
  Buffer out(t, shape, layout);
  std::vector<Scalar> scalars{Scalar(static_cast<int64_t>(counter)), Scalar(static_cast<int64_t>(seed))};
  scalars.insert(scalars.end(), more.begin(), more.end());
  Call{op, {}, static_cast<uint64_t>(t), shape, scalars}.run(out);
  REQUIRE(out.intact());
  return out;
}

struct Moments {
  double mean = 0, var = 0, min = INFINITY, max = -INFINITY;
  explicit Moments(const Buffer& b) {
    const auto n = static_cast<double>(b.numel());
    for (int64_t i = 0; i < b.numel(); ++i) {
      mean += b.value(i) / n;
      min = std::min(min, b.value(i));
      max = std::max(max, b.value(i));
    }
    for (int64_t i = 0; i < b.numel(); ++i) var += (b.value(i) - mean) * (b.value(i) - mean) / n;
  }
};

constexpr int64_t kMany = 200000;

}  // namespace

TEST_CASE("Philox known answers") {
  // Random123 distribution, kat_vectors, philox4x32 10 rounds: counter 0 and key 0.
  uint32_t w[4];
  philox4x32(0, 0, w);
  CHECK(w[0] == 0x6627e8d5u);
  CHECK(w[1] == 0xe169c58du);
  CHECK(w[2] == 0xbc57ac4cu);
  CHECK(w[3] == 0x9b00dbd8u);
}

TEST_CASE("rand takes one word a float, two a double, from its counter on") {
  uint32_t w[8];
  philox4x32(42, 1000, w);
  philox4x32(42, 1001, w + 4);
  const Buffer f = draw(Op::rand, ScalarType::Float, {7}, 1000, 42), d = draw(Op::rand, ScalarType::Double, {3}, 1000, 42);
  for (int64_t i = 0; i < 7; ++i) CHECK(f.value(i) == (w[i] >> 8) / 16777216.0);
  for (int64_t i = 0; i < 3; ++i) {
    const uint64_t bits = static_cast<uint64_t>(w[2 * i]) << 32 | w[2 * i + 1];
    CHECK(d.value(i) == static_cast<double>(bits >> 11) / 9007199254740992.0);
  }
  const Buffer turned = draw(Op::rand, ScalarType::Float, {7, 1}, 1000, 42, {}, Layout::Stepped);
  CHECK(same_bits(f, turned));
}

TEST_CASE("random_counters covers exactly the words used") {
  CHECK(random_counters(Op::rand, ScalarType::Float, 0) == 0);
  CHECK(random_counters(Op::rand, ScalarType::Float, 4) == 1);
  CHECK(random_counters(Op::rand, ScalarType::Float, 5) == 2);
  CHECK(random_counters(Op::rand, ScalarType::Double, 5) == 3);
  CHECK(random_counters(Op::randn, ScalarType::Double, 5) == 2);
  CHECK(random_counters(Op::randint, ScalarType::Long, 5) == 3);
  CHECK(random_counters(Op::bernoulli, ScalarType::Float, 9) == 3);
}

TEST_CASE("moments of the distributions") {
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double}) {
    const Moments u(draw(Op::rand, t, {kMany}, 0, 1)), z(draw(Op::randn, t, {kMany}, 0, 1)),
        c(draw(Op::bernoulli, t, {kMany}, 0, 1, {Scalar(0.3)}));
    CHECK(u.mean == Approx(0.5).margin(0.005));
    CHECK(u.var == Approx(1 / 12.0).margin(0.002));
    CHECK((u.min >= 0 && u.max < 1));
    CHECK(z.mean == Approx(0).margin(0.02));
    CHECK(z.var == Approx(1).margin(0.02));
    CHECK(c.mean == Approx(0.3).margin(0.01));
  }
  const Moments n(draw(Op::randint, ScalarType::Long, {kMany}, 0, 1, {Scalar(-3), Scalar(5)}));
  CHECK((n.min == -3 && n.max == 4));
  CHECK(n.mean == Approx(0.5).margin(0.03));
  CHECK(Moments(draw(Op::bernoulli, ScalarType::Float, {1000}, 0, 1, {Scalar(0.0)})).max == 0);
  CHECK(Moments(draw(Op::bernoulli, ScalarType::Float, {1000}, 0, 1, {Scalar(1.0)})).min == 1);
}

TEST_CASE("randn pairs are Box and Muller's") {
  uint32_t w[4];
  philox4x32(9, 5, w);
  const long double pi = std::acos(-1.0L);
  const Buffer z = draw(Op::randn, ScalarType::Double, {3}, 5, 9), f = draw(Op::randn, ScalarType::Float, {3}, 5, 9);
  const auto radius = [](long double u) { return std::sqrt(-2 * std::log(u)); };
  const long double r = radius((w[0] + 1.0L) / 4294967296.0L), a = 2 * pi * w[1] / 4294967296.0L;
  CHECK(z.value(0) == Approx(static_cast<double>(r * std::cos(a))).margin(1e-14));
  CHECK(z.value(1) == Approx(static_cast<double>(r * std::sin(a))).margin(1e-14));
  for (int64_t i = 0; i < 3; ++i) {
    const long double rf = radius(1 - (w[i & 2] >> 8) / 16777216.0L), af = 2 * pi * (w[(i & 2) + 1] >> 8) / 16777216.0L;
    CHECK(f.value(i) == Approx(static_cast<double>(rf * (i % 2 ? std::sin(af) : std::cos(af)))).margin(4e-6));
  }
}

TEST_CASE("every level draws the same numbers, and a prefix does not depend on the length") {
  const EachIsa levels;
  for (const Op op : {Op::rand, Op::randn, Op::bernoulli})
    for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
      for (const int64_t n : {1, 2, 5, 16, 33, 511, 512, 513, 1500}) {
        Buffer first, longer;
        for (const Isa level : levels) {
          set_isa_cap(level);
          const Buffer b = draw(op, t, {n}, 0xfffffff0u, 0x123456789abcdefull, {Scalar(0.5)});
          if (level == Isa::None) {
            first = b;
            longer = draw(op, t, {2000}, 0xfffffff0u, 0x123456789abcdefull, {Scalar(0.5)});
          }
          REQUIRE(same_bits(b, first));
          for (int64_t i = 0; i < n; ++i) REQUIRE(b.value(i) == longer.value(i));
        }
      }
}

TEST_CASE("the generator reserves ranges and starts over with a seed") {
  Generator& g = Generator::get_default();
  manual_seed(77);
  CHECK(g.current_seed() == 77);
  CHECK(g.reserve(5) == 0);
  CHECK(g.reserve(2) == 5);
  CHECK(g.counter() == 7);
  g.set_state({3, 100});
  CHECK((g.current_seed() == 3 && g.counter() == 100));
  manual_seed(3);
  CHECK(g.counter() == 0);
}

TEST_CASE("full and arange") {
  for (const ScalarType t : {ScalarType::Bool, ScalarType::Long, ScalarType::Float, ScalarType::Double}) {
    for (const Layout layout : {Layout::Dense, Layout::Stepped}) {
      Buffer out(t, {3, 5}, layout);
      Call{Op::full, {}, static_cast<uint64_t>(t), {3, 5}, {Scalar(1.0)}}.run(out);
      CHECK(out.intact());
      for (int64_t i = 0; i < 15; ++i) CHECK(out.value(i) == 1);
      if (t == ScalarType::Bool) continue;
      Buffer line(t, {9}, layout);
      Call{Op::arange, {}, static_cast<uint64_t>(t), {9}, {Scalar(-4), Scalar(3)}}.run(line);
      for (int64_t i = 0; i < 9; ++i) CHECK(line.value(i) == static_cast<double>(-4 + 3 * i));
    }
  }
  Buffer tenths(ScalarType::Float, {11});
  Call{Op::arange, {}, static_cast<uint64_t>(ScalarType::Float), {11}, {Scalar(0.0), Scalar(0.1)}}.run(tenths);
  for (int64_t i = 0; i < 11; ++i) CHECK(tenths.get<float>(i) == static_cast<float>(0.0 + static_cast<double>(i) * 0.1));
  Buffer none(ScalarType::Long, {0});
  Call{Op::arange, {}, static_cast<uint64_t>(ScalarType::Long), {0}, {Scalar(0), Scalar(1)}}.run(none);
  CHECK(none.intact());
}

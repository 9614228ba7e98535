// Special values (NaN, infinities, subnormals, zeros of both signs, the ends of the range) in every lane of a vector, in bodies
// and tails: the lane's result is that of the value alone, and no other lane notices.
#include <cmath>
#include <limits>
#include "engine/dispatch.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

constexpr int64_t kLength = 16 + 8 + 5;  // a vector of AVX-512 or three of AVX2 with a rest, and what is left over

const std::vector<float>& specials() {
  using Limits = std::numeric_limits<float>;
  static const std::vector<float> values = {NAN,
                                            -NAN,
                                            INFINITY,
                                            -INFINITY,
                                            0.0f,
                                            -0.0f,
                                            Limits::denorm_min(),
                                            -Limits::denorm_min(),
                                            0x1.fffffcp-127f,
                                            -0x1.fffffcp-127f,
                                            Limits::min(),
                                            -Limits::min(),
                                            Limits::max(),
                                            -Limits::max(),
                                            1.0f,
                                            -1.0f,
                                            std::nextafter(1.0f, 2.0f),
                                            std::nextafter(1.0f, 0.0f)};
  return values;
}

/// One element of a contiguous tensor of one dimension.
Tensor element(const Tensor& t, int64_t i) { return t.slice(0, i, i + 1).clone(); }

/// `f` on `ordinary` with a special value at each place in turn: compiled equals eager, and every lane what it is alone.
template <class F>
void check(const F& f, const Tensor& ordinary, const std::vector<Tensor>& alone) {
  auto compiled = compile(f);
  for (const float special : specials()) {
    const Tensor value = full({1}, special);
    const Tensor expected = f(value);
    for (int64_t at = 0; at < kLength; ++at) {
      const Tensor x = ordinary.clone();
      x.slice(0, at, at + 1).copy_(value);
      const Tensor eager = f(x), got = compiled(x);
      INFO("value " << special << " at " << at);
      REQUIRE(same_bits(eager, got));
      REQUIRE(same_bits(element(eager, at), expected));
      const int64_t other = (at + 1) % kLength;
      REQUIRE(same_bits(element(eager, other), alone[static_cast<size_t>(other)]));
    }
  }
}

template <class F>
void check(const F& f) {
  manual_seed(5);
  const Tensor ordinary = rand({kLength}) + 0.5;
  std::vector<Tensor> alone;
  for (int64_t i = 0; i < kLength; ++i) alone.push_back(f(element(ordinary, i)));
  check(f, ordinary, alone);
}

}  // namespace

TEST_CASE("specials in every lane: unary operators") {
  const NoGradGuard no_grad;
  for (const Op op : {Op::neg, Op::abs, Op::sign, Op::exp, Op::log, Op::log1p, Op::sqrt, Op::rsqrt, Op::reciprocal, Op::sin,
                      Op::cos, Op::tanh, Op::sigmoid, Op::erf, Op::relu, Op::silu, Op::gelu}) {
    INFO(op_info(op).name);
    check([op](const Tensor& x) { return call1(op, x, 0, Loc::current()); });
  }
}

TEST_CASE("specials in every lane: binary operators, either side") {
  const NoGradGuard no_grad;
  const Tensor two = full({1}, 2.0);
  for (const Op op :
       {Op::add, Op::sub, Op::mul, Op::div, Op::minimum, Op::maximum, Op::eq, Op::ne, Op::lt, Op::le, Op::gt, Op::ge}) {
    INFO(op_info(op).name);
    check([&](const Tensor& x) { return call2(op, x, two, 0, Loc::current()); });
    check([&](const Tensor& x) { return call2(op, two, x, 0, Loc::current()); });
  }
}

TEST_CASE("specials in every lane: chains") {
  const NoGradGuard no_grad;
  check([](const Tensor& x) { return (x * 2 - 1).exp() + x.sin(); });
  check([](const Tensor& x) { return where(x > 1, x.sqrt(), x * x); });
}

TEST_CASE("specials in every lane: reductions of rows and columns") {
  const NoGradGuard no_grad;
  manual_seed(6);
  const Tensor ordinary = rand({3, kLength}) + 0.5;
  const auto rows = [](const Tensor& x) {
    return std::vector{x.sum(-1), x.amax(-1), x.amin(-1), x.mean(-1), x.softmax(-1), x.log_softmax(-1)};
  };
  const auto columns = [](const Tensor& x) { return std::vector{x.sum(0), x.amax(0), x.amin(0), x.softmax(0)}; };
  auto compiled_rows = compile(rows);
  auto compiled_columns = compile(columns);
  for (const float special : specials())
    for (int64_t at = 0; at < kLength; ++at) {
      INFO("value " << special << " at " << at);
      const Tensor x = ordinary.clone();
      x[1].slice(0, at, at + 1).fill_(special);
      const auto by_rows = rows(x), got_rows = compiled_rows(x), by_columns = columns(x), got_columns = compiled_columns(x);
      for (size_t i = 0; i < by_rows.size(); ++i) REQUIRE(same_bits(by_rows[i], got_rows[i]));
      for (size_t i = 0; i < by_columns.size(); ++i) REQUIRE(same_bits(by_columns[i], got_columns[i]));
      // A NaN is seen by its row and by no other; so is an infinity by sums and maxima.
      for (size_t i = 0; i < 4; ++i) {
        REQUIRE(std::isnan(by_rows[i][1].item<float>()) == std::isnan(special));
        REQUIRE(std::isfinite(by_rows[i][0].item<float>()));
        REQUIRE(std::isfinite(by_rows[i][2].item<float>()));
      }
      REQUIRE(std::isnan(by_columns[1][at].item<float>()) == std::isnan(special));
      if (special == INFINITY) REQUIRE(by_rows[1][1].item<float>() == INFINITY);
      if (special == -INFINITY) REQUIRE(by_rows[2][1].item<float>() == -INFINITY);
    }
}

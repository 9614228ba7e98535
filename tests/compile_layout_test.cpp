// Results lie in memory as eager's do, whatever the passes made of their operator.
#include "support.h"

using namespace sinter;
using namespace sinter::test;

TEST_CASE("what a decomposed operator makes lies as eager's result lies") {
  const auto check = [](const auto& f) {
    auto g = compile(f);
    const Tensor x = randn({5, 7}).t(), y = randn({5, 7}).t(), z = randn({5, 7}).t();
    const Tensor eager = f(x, y, z), compiled = g(x, y, z);
    REQUIRE(same_bits(eager, compiled));
    REQUIRE(eager.strides() == compiled.strides());
  };
  using T = const Tensor&;
  check([](T x, T, T) { return clamp(x, -0.5, 0.5); });
  check([](T x, T y, T z) { return addcmul(x, y, z, 0.5); });
  check([](T x, T y, T z) { return addcdiv(x, y, z, 0.5); });
  check([](T x, T, T) { return gelu(x); });
  check([](T x, T, T) { return softmax(x, 0); });
  check([](T x, T, T) { return log_softmax(x, 1); });
  check([](T x, T, T) { return silu(x); });
  check([](T x, T y, T) { return mse_loss(x, y, Reduction::None); });
}

TEST_CASE("a decomposed in-place call keeps the operand's layout for what reads it next") {
  const auto f = [](Tensor& x) {
    x.clamp_(-1.0, 1.0);
    const Tensor row = x.select(0, 0);
    return std::vector<Tensor>{row, maximum(x, row)};
  };
  for (const int64_t rows : {1, 6}) {
    auto g = compile(f);
    for (int i = 0; i < 3; ++i) {
      const Tensor base = randn({rows, 8});
      Tensor a = base.clone().slice(1, 0, 8, 2), b = base.clone().slice(1, 0, 8, 2);
      const auto eager = f(a), compiled = g(b);
      for (size_t k = 0; k < eager.size(); ++k) {
        REQUIRE(same_bits(eager[k], compiled[k]));
        REQUIRE(eager[k].strides() == compiled[k].strides());
      }
      REQUIRE(same_bits(a, b));
    }
  }
}

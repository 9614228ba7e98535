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

// In-place calls on the short path of a replay: what it must still compare, refuse and do at once.
#include "support.h"

using namespace sinter;
using namespace sinter::test;

TEST_CASE("attributes of in-place calls") {
  const auto f = [](const Tensor& x, int i) {
    const Tensor y = x * 1;
    if (i % 2 == 0) x.pow_(2), y.clamp_(-0.5, std::nullopt);
    else x.pow_(3), y.clamp_(std::nullopt, 0.5);
    return y;
  };
  auto g = compile(f);
  for (int i = 0; i < 8; ++i) {
    manual_seed(i);
    const Tensor a = randn({3, 4}), b = a.clone();
    const int way = i < 4 ? 0 : i;
    REQUIRE(same_bits(f(a, way), g(b, way)));
    REQUIRE(same_bits(a, b));
  }
}

TEST_CASE("operands that share the written memory in a later call") {
  const auto f = [](const Tensor& a, const Tensor& b) {
    const Tensor y = a * 2 + b;
    a.add_(b);
    return y;
  };
  auto g = compile(f);
  for (int i = 0; i < 8; ++i) {
    const auto run = [&](auto& h) {
      const Tensor all = arange(12, kFloat);
      const Tensor a = all.slice(0, 0, 6), b = i < 5 ? all.slice(0, 6, 12) : all.slice(0, 1, 7);
      std::string text;
      try {
        text = bits(h(a, b));
      } catch (const Error& e) { text = std::string(e.what()).substr(0, 60); }
      return text + bits(all);
    };
    INFO("call " << i);
    REQUIRE(run(f) == run(g));
  }
}

TEST_CASE("a write to memory whose pointer was taken inside is done at once") {
  std::vector<float> seen;
  const auto f = [&](const Tensor& x) {
    const float* p = x.data_ptr<float>();
    x.add_(1);
    seen.push_back(p[0]);
    x.mul_(3);
    seen.push_back(p[0]);
    return x * 2;
  };
  auto g = compile(f);
  for (int i = 0; i < 6; ++i) {
    const Tensor a = full({5}, i, kFloat), b = a.clone();
    seen.clear();
    const Tensor want = f(a);
    const std::vector<float> eager = std::exchange(seen, {});
    REQUIRE(same_bits(want, g(b)));
    REQUIRE(seen == eager);
  }
}

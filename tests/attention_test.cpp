// Attention, and the layer of BERT around it.
#include "fixture_models.h"
#include "support.h"

using namespace sinter;
using sinter::test::same_bits;

namespace {

/// The largest |a - b| over 1 + |b|.
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return ((a.to(kDouble) - b.to(kDouble)).abs() / (b.to(kDouble).abs() + 1)).max().item<double>();
}

}  // namespace

TEST_CASE("a layer of BERT compiled is eager's to the bit, and near the same in float64") {
  manual_seed(7);
  const NoGradGuard no_grad;
  const int64_t length = GENERATE(1, 16, 37);
  INFO("length " << length);
  test::EncoderLayer layer(768, 12, 3072);
  layer->eval();
  const Tensor x = randn({2, length, 768});
  Tensor mask = ones({2, length});
  if (length > 1) mask[1][length - 1].zero_();
  auto compiled = compile([&](const Tensor& a, const Tensor& m) { return layer->forward(a, m); });
  const Tensor eager = layer->forward(x, mask);
  for (int round = 0; round < 3; ++round) CHECK(same_bits(compiled(x, mask), eager));
  CHECK(compiled.stats().replays == 2);
  CHECK(compiled.stats().eager_fallbacks == 0);
  layer->to(kDouble);
  CHECK(difference(eager, layer->forward(x.to(kDouble), mask.to(kDouble))) < 1e-5);
}

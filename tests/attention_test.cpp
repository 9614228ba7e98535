// Attention as an operator and in its primitive spelling, and the layer of BERT around it.
#include "fixture_models.h"
#include "runtime/threads.h"
#include "support.h"

using namespace sinter;
using sinter::test::compiles;
using sinter::test::error_of;
using sinter::test::same_bits;
namespace F = sinter::nn::functional;

namespace {

/// The largest |a - b| over 1 + |b|.
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return ((a.to(kDouble) - b.to(kDouble)).abs() / (b.to(kDouble).abs() + 1)).max().item<double>();
}

/// PyTorch's definition in primitive operators; weights are drawn from the default generator as by dropout.
Tensor composed(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask = {}, double p = 0, bool causal = false,
                std::optional<double> scale = std::nullopt) {
  Tensor s = matmul(q, k.transpose(-2, -1)) * scale.value_or(1 / std::sqrt(static_cast<double>(q.size(-1))));
  const double inf = std::numeric_limits<double>::infinity();
  Tensor shown = mask;
  if (causal) shown = arange(q.size(-2)).unsqueeze(1) >= arange(k.size(-2));
  if (shown.defined()) s = s + (shown.dtype() == kBool ? where(shown, zeros({}, s.dtype()), full({}, -inf, s.dtype())) : shown);
  const Tensor blind = s.eq(-inf).all(-1, true);
  Tensor w = where(blind, zeros({}, s.dtype()), softmax(s, -1));
  if (p > 0) w = dropout(w, p, true);
  return matmul(w, v);
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

TEST_CASE("scaled_dot_product_attention is what PyTorch says it is") {
  manual_seed(8);
  const Tensor q = randn({2, 3, 11, 8}, kDouble), k = randn({2, 3, 13, 8}, kDouble), v = randn({2, 3, 13, 5}, kDouble);
  const auto same = [](const Tensor& a, const Tensor& b) { CHECK(allclose(a, b, 1e-12, 1e-12)); };
  same(scaled_dot_product_attention(q, k, v), composed(q, k, v));
  same(F::scaled_dot_product_attention(q, k, v, {}, 0, false, 2.5), composed(q, k, v, {}, 0, false, 2.5));
  same(scaled_dot_product_attention(q, k, v, {}, 0, true), composed(q, k, v, {}, 0, true));
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{2, 3, 11, 13}, {2, 1, 1, 13}, {11, 1}, {13}, {}, {3, 11, 13}}) {
    const Tensor added = randn(sizes, kDouble), kept = added > -0.5;
    same(scaled_dot_product_attention(q, k, v, added), composed(q, k, v, added));
    same(scaled_dot_product_attention(q, k, v, kept), composed(q, k, v, kept));
  }
  // Leading dimensions broadcast; heads lie behind positions, as a linear layer leaves them.
  same(scaled_dot_product_attention(q, k[0], v[1][2]), composed(q, k[0], v[1][2]));
  same(scaled_dot_product_attention(q[1][2], k[1][2], v[1][2]), composed(q[1][2], k[1][2], v[1][2]));
  const auto heads = [](const Tensor& t) { return t.transpose(1, 2).contiguous().transpose(1, 2); };
  CHECK(same_bits(scaled_dot_product_attention(heads(q), heads(k), heads(v)), scaled_dot_product_attention(q, k, v)));
  // float32, within its rounding
  const auto f = [](const Tensor& t) { return t.to(kFloat); };
  CHECK(difference(scaled_dot_product_attention(f(q), f(k), f(v)), composed(q, k, v)) < 1e-6);
  CHECK(scaled_dot_product_attention(f(q), f(k), f(v)).is_contiguous());
}

TEST_CASE("a query that sees no key gives zeros, and has no gradient") {
  manual_seed(9);
  Tensor q = randn({2, 3, 4}).requires_grad_(), k = randn({2, 5, 4}).requires_grad_(), v = randn({2, 5, 2}).requires_grad_();
  Tensor kept = ones({3, 5}, kBool);
  kept[1].zero_();
  const Tensor out = scaled_dot_product_attention(q, k, v, kept);
  CHECK(equal(out.select(1, 1), zeros({2, 2})));
  (out * out).sum().backward();
  CHECK(equal(q.grad().select(1, 1), zeros({2, 4})));
  for (const Tensor& t : {q, k, v}) CHECK(t.grad().eq(t.grad()).all().item<bool>());  // no NaN
  CHECK_FALSE(equal(q.grad(), zeros_like(q)));
}

TEST_CASE("dropout of attention draws what dropout of its weights draws") {
  const Tensor q = randn({2, 3, 6, 4}, kDouble), k = randn({2, 3, 7, 4}, kDouble), v = randn({2, 3, 7, 2}, kDouble);
  for (const double p : {0.1, 0.75}) {
    manual_seed(10);
    const Tensor want = composed(q, k, v, {}, p);
    const auto after = default_generator().get_state();
    manual_seed(10);
    CHECK(allclose(scaled_dot_product_attention(q, k, v, {}, p), want, 1e-12, 1e-12));
    CHECK(default_generator().get_state() == after);
  }
  CHECK(equal(scaled_dot_product_attention(q, k, v, {}, 1), zeros({2, 3, 6, 2}, kDouble)));
  manual_seed(11);
  auto f =
      compile([](const Tensor& a, const Tensor& b, const Tensor& c) { return scaled_dot_product_attention(a, b, c, {}, 0.4); });
  std::vector<Tensor> got;
  for (int i = 0; i < 3; ++i) got.push_back(f(q, k, v));
  manual_seed(11);
  for (int i = 0; i < 3; ++i) CHECK(same_bits(got[static_cast<size_t>(i)], scaled_dot_product_attention(q, k, v, {}, 0.4)));
  CHECK(compiles(f) == 1);
}

TEST_CASE("attention compiled, forward and backward, has eager's bits") {
  manual_seed(12);
  const bool causal = GENERATE(false, true);
  const double p = GENERATE(0.0, 0.3);
  const auto attend = [&](const Tensor& x, const Tensor& y) {
    const auto heads = [](const Tensor& t) { return t.view({2, -1, 3, 4}).transpose(1, 2); };
    const Tensor a = scaled_dot_product_attention(heads(x), heads(y), heads(y * 2), {}, p, causal);
    return a.transpose(1, 2).reshape({2, -1, 12}) + x;
  };
  auto compiled = compile(attend);
  for (int round = 0; round < 4; ++round) {
    const Tensor x = randn({2, 9, 12}), y = randn({2, 10, 12});
    std::vector<Tensor> grads[2];
    for (const bool jit : {false, true}) {
      manual_seed(static_cast<uint64_t>(round));
      Tensor a = x.clone().requires_grad_(), b = y.clone().requires_grad_();
      const Tensor out = jit ? compiled(a, b) : attend(a, b);
      out.pow(2).sum().backward();
      grads[jit] = {out, a.grad(), b.grad()};
    }
    for (size_t i = 0; i < 3; ++i) CHECK(same_bits(grads[0][i], grads[1][i]));
  }
}

TEST_CASE("attention has the same bits on any number of threads") {
  manual_seed(13);
  const NoGradGuard no_grad;
  const Tensor q = randn({2, 5, 70, 32}), k = randn({2, 5, 90, 32}), v = randn({2, 5, 90, 24}), mask = randn({70, 90});
  const int threads = get_num_threads();
  std::vector<Tensor> got;
  auto f = compile([&](const Tensor& a) { return scaled_dot_product_attention(a, k, v, mask); });
  for (const int n : {1, 2, 3}) {
    set_num_threads(n);
    got.push_back(scaled_dot_product_attention(q, k, v, mask));
    got.push_back(f(q));
  }
  set_num_threads(threads);
  for (const Tensor& t : got) CHECK(same_bits(t, got[0]));
}

TEST_CASE("bad attention calls are refused in PyTorch's words") {
  const auto f = [](IntArrayRef s) { return zeros(s); };
  const auto error = [](const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& m = {}, double p = 0, bool c = false) {
    return error_of([&] { scaled_dot_product_attention(q, k, v, m, p, c); });
  };
  using Catch::Contains;
  const Tensor q = f({2, 3, 4}), k = f({2, 5, 4}), v = f({2, 5, 6});
  CHECK_THAT(error(q, k.to(kDouble), v),
             Contains("Expected query, key, and value to have the same dtype, but got query.dtype: "));
  CHECK_THAT(error(q.to(kLong), k.to(kLong), v.to(kLong)), Contains("not implemented for"));
  CHECK_THAT(error(f({4}), k, v), Contains("to all be  at least 2 dimensional, but got query.dim: 1"));
  CHECK_THAT(error(q, f({2, 5, 3}), v), Contains("the same last dimension, but got 4 and 3"));
  CHECK_THAT(error(q, k, f({2, 4, 6})), Contains("the same number of rows, but got 5 and 4"));
  CHECK_THAT(error(q, f({3, 5, 4}), v), Contains("the same leading dimensions"));
  CHECK_THAT(error(q, k, v, f({4, 5})), Contains("Expected a mask that broadcasts to [2, 3, 5], but got [4, 5]"));
  CHECK_THAT(error(q, k, v, f({1, 2, 3, 5})), Contains("Expected a mask that broadcasts to"));
  CHECK_THAT(error(q, k, v, zeros({3, 5}, kDouble)), Contains("Expected attn_mask dtype to be bool or to match query dtype"));
  CHECK_THAT(error(q, k, v, f({3, 5}), 0, true), Contains("Explicit attn_mask should not be set when is_causal=True"));
  CHECK_THAT(error(q, k, v, {}, 1.5), Contains("dropout probability has to be between 0 and 1, but got 1.5"));
  CHECK_THAT(error({}, k, v), Contains("undefined"));
  const auto before = default_generator().get_state();
  CHECK(error(q, f({2, 5, 3}), v, {}, 0.5) != "");
  CHECK(default_generator().get_state() == before);  // nothing was drawn
}

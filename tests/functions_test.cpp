// Functions against what LibTorch printed: values, type, sizes, strides and offset. Arithmetic, reductions, losses, creation.
#include "functions_expected.h"

using namespace sinter;
using namespace sinter::test;

TEST_CASE("Arithmetic") {
  CHECK_SAME(A({2, 3}).add(A({3}), 2));
  CHECK_SAME(A({2, 3}) - A({2, 1}));
  CHECK_SAME(1 - A({3}));
  CHECK_SAME(2 / A({4}));
  CHECK_SAME(A({2, 3}).sub(1.5, 2));
  CHECK_SAME(rsub(A({3}), 4, 2));
  CHECK_SAME(-A({2, 2}));
  CHECK_SAME(I({7}) % tensor({3, -2, 3, 3, 2, -3, 1}));
  CHECK_SAME(remainder(A({6}), -3));
  CHECK_SAME(A({6}).floor_divide(0.75));
  CHECK_SAME(A({6}).div(0.75, "trunc"));
  CHECK_SAME(I({6}).div(2, "floor"));
  CHECK_SAME(I({6}).div(2, "trunc"));
  CHECK_SAME(I({6}) / 4);
}

TEST_CASE("Powers") {
  CHECK_SAME(A({6}).pow(2));
  CHECK_SAME(A({6}).pow(3));
  CHECK_SAME(A({6}).pow(-1));
  CHECK_SAME(A({6}).pow(0.5));
  CHECK_SAME(A({6}).pow(2.5));
  CHECK_SAME(I({6}).pow(3));
  CHECK_SAME(I({6}).pow(0.5));
  CHECK_SAME(pow(2, I({6}) + 2));
  CHECK_SAME(pow(2.0, A({6})));
  CHECK_SAME(pow(A({4}), A({4})));
  CHECK_SAME(A({6}).pow(0));
  CHECK_SAME(A({6}).pow(-2));
}

TEST_CASE("Clamping, comparing, choosing") {
  CHECK_SAME(A({6}).clamp(-1, 1));
  CHECK_SAME(A({6}).clamp_min(0));
  CHECK_SAME(A({6}).clamp_max(0));
  CHECK_SAME(I({6}).clamp(0.5));
  CHECK_SAME(minimum(A({6}), zeros({6})));
  CHECK_SAME(maximum(A({2, 3}), A({3})));
  CHECK_SAME(A({6}) < 0);
  CHECK_SAME(A({6}) >= zeros({6}));
  CHECK_SAME(A({6}).eq(0));
  CHECK_SAME(I({6}).ne(0.5));
  CHECK_SAME(where(A({6}) > 0, A({6}), zeros({})));
  CHECK_SAME(where(A({2, 3}) > 0, A({3}), 1));
  CHECK_SAME(where(I({6}) > 0, I({6}), 1.5));
  CHECK_SAME(A({6}).masked_fill(A({6}) > 0, 7));
  CHECK_SAME(addcmul(A({3}), A({3}), A({3}), 0.5));
  CHECK_SAME(addcdiv(A({3}), A({3}), A({3}) + 7, 2));
  CHECK_SAME(A({3}).to(kLong));
  CHECK_SAME(A({3}).to(kBool));
  CHECK_SAME(A({3}).logical_and(ones({3})));
  CHECK_SAME(A({3}).logical_not());
  CHECK_SAME(A({6}).relu());
  CHECK_SAME(A({6}).abs());
  CHECK_SAME(A({6}).sign());
  CHECK_SAME(I({6}).sign());
  CHECK_SAME(square(A({3})));
}

TEST_CASE("Reductions") {
  CHECK_SAME(A({2, 3}).sum());
  CHECK_SAME(A({2, 3}).sum(0));
  CHECK_SAME(A({2, 3}).sum(1, true));
  CHECK_SAME(A({2, 3, 4}).sum(IntArrayRef({0, 2})));
  CHECK_SAME(A({2, 3, 4}).sum(IntArrayRef({0, -1}), true));
  CHECK_SAME(I({6}).sum());
  CHECK_SAME((A({6}) > 0).sum());
  CHECK_SAME(A({2, 3}).sum(0, false, kDouble));
  CHECK_SAME(A({2, 3}).mean());
  CHECK_SAME(A({2, 3}).mean({1}));
  CHECK_SAME(I({4}).mean(kFloat));
  CHECK_SAME(A({2, 3}).amax({0}));
  CHECK_SAME(A({2, 3}).amin({0, 1}, true));
  CHECK_SAME(A({2, 3}).max());
  CHECK_SAME(A({2, 3}).argmax());
  CHECK_SAME(A({2, 3}).argmax(1));
  CHECK_SAME(A({2, 3}).argmin(0, true));
  CHECK_SAME(argmax(A({2, 3})));
  CHECK_SAME(std::get<0>(A({2, 3}).max(1)));
  CHECK_SAME(std::get<1>(A({2, 3}).max(1, true)));
  CHECK_SAME(std::get<1>(min(A({2, 3}), 0)));
  CHECK_SAME(A({2, 3}).var());
  CHECK_SAME(A({2, 3}).var({1}, true));
  CHECK_SAME(A({2, 3}).var({1}, false, true));
  CHECK_SAME(A({2, 3}).std());
  CHECK_SAME((A({2, 3}) > 0).any());
  CHECK_SAME((A({2, 3}) > 0).all(0));
  CHECK_SAME((A({2, 3}) > 0).any(1, true));
  CHECK_SAME(A({2, 3, 4}).permute({2, 0, 1}).sum(0));
  CHECK_SAME(A({2, 3, 4}).permute({2, 0, 1}).amax({1}, true));
  CHECK_SAME(A({0, 3}).sum(0));
  CHECK_SAME(A({0}).sum());
  CHECK_SAME(A({0}).mean());
  CHECK_SAME(A({0, 3}).mean({0}));
  CHECK_SAME(A({}).sum(0));
  CHECK_SAME(A({}).sum(-1, true));
  CHECK_SAME(std::get<1>(A({}).max(0)));
  CHECK_SAME(A({0, 3}).any(0));
  CHECK_SAME(A({0, 3}).all());
  CHECK_SAME(A({0, 3}).amax({1}));
  CHECK_SAME(A({1}).var());
  CHECK_SAME(A({}).argmax(0));
}

TEST_CASE("Softmax and layer norm") {
  CHECK_SAME(A({2, 3}).softmax(1));
  CHECK_SAME(A({2, 3}).log_softmax(0));
  CHECK_SAME(A({2, 2, 2}).softmax(1));
  CHECK_SAME(A({3}).softmax(-1));
  CHECK_SAME(A({}).softmax(0));
  CHECK_SAME(A({0, 3}).softmax(1));
  CHECK_SAME(I({3}).softmax(0, kFloat));
  CHECK_SAME(layer_norm(A({2, 4}), {4}));
  CHECK_SAME(layer_norm(A({2, 4}), {4}, A({4}), A({4})));
  CHECK_SAME(layer_norm(A({2, 2, 2}), {2, 2}, A({2, 2})));
}

TEST_CASE("Losses") {
  CHECK_SAME(nll_loss(A({2, 3}), tensor({0, 2})));
  CHECK_SAME(nll_loss(A({2, 3}), tensor({0, 2}), A({3})));
  CHECK_SAME(nll_loss(A({2, 3}), tensor({0, 2}), {}, 0));
  CHECK_SAME(nll_loss(A({2, 3}), tensor({0, 2}), {}, 2));
  CHECK_SAME(nll_loss(A({2, 3}), tensor({0, -100})));
  CHECK_SAME(nll_loss(A({2, 3}), tensor({1, 2}), {}, 1, 2));
  CHECK_SAME(nll_loss(A({3}), tensor(1)));
  CHECK_SAME(cross_entropy_loss(A({2, 3}), tensor({0, 2})));
  CHECK_SAME(cross_entropy_loss(A({2, 3}), A({2, 3})));
  CHECK_SAME(cross_entropy_loss(A({2, 3, 2}), tensor({{0, 2}, {1, 1}}), {}, 0));
  CHECK_SAME(cross_entropy_loss(A({2, 3}), tensor({0, 2}), A({3}) + 3, 1, -100, 0.1));
  CHECK_SAME(cross_entropy_loss(A({2, 3}), tensor({0, 1}), {}, 1, 1, 0.2));
  CHECK_SAME(cross_entropy_loss(A({2, 3}), tensor({0, 1}), A({3}) + 3, 1, 1, 0.2));
  CHECK_SAME(cross_entropy_loss(A({2, 3}), A({2, 3}), A({3}), 2, -100, 0.25));
  CHECK_SAME(mse_loss(A({3}), A({3}) * 2));
  CHECK_SAME(mse_loss(A({3}), A({3}) * 2, 2));
  CHECK_SAME(l1_loss(A({3}), A({3}) * 2, 0));
  CHECK_SAME(dropout(A({3}), 0.5, false));
  CHECK_SAME(dropout(A({3}), 1, true));
  CHECK_SAME(cross_entropy_loss(A({3}), tensor(1)));
}

TEST_CASE("In place") {
  CHECK_SAME(A({3}).add_(1));
  CHECK_SAME(A({2, 3}).add_(A({3}), 0.5));
  CHECK_SAME(A({2, 3}).mul_(2));
  CHECK_SAME(A({2, 3}).t().copy_(A({2})));
  CHECK_SAME(A({3}).fill_(2));
  CHECK_SAME(A({3}).zero_());
  CHECK_SAME(I({3}).mul_(3));
  CHECK_SAME(A({3}).div_(I({3}) + 5));
  CHECK_SAME(A({3}).clamp_(0, 0.5));
  CHECK_SAME(A({3}).pow_(2));
  CHECK_SAME(A({3}).sub_(1, 3));
  CHECK_SAME(I({3}).copy_(A({3}) + 0.7));
  CHECK_SAME(I({3}).fill_(2.9));
  CHECK_SAME(A({2, 3}).masked_fill_(A({2, 3}) > 0, 9));
  CHECK_SAME(A({3}).addcmul_(A({3}), A({3}), 2));
  CHECK_SAME(A({3}).addcdiv_(A({3}), A({3}) + 9));
}

TEST_CASE("Creation") {
  CHECK_SAME(arange(5));
  CHECK_SAME(arange(1, 2.5, 0.5));
  CHECK_SAME(arange(5, 0, -2));
  CHECK_SAME(arange(3, kDouble));
  CHECK_SAME(linspace(0, 1, 5));
  CHECK_SAME(eye(2));
  CHECK_SAME(eye(2, 3));
  CHECK_SAME(full({2}, true));
  CHECK_SAME(full({2}, 3));
  CHECK_SAME(full({2}, 3.5));
  CHECK_SAME(tensor({{1, 2}, {3, 4}}));
  CHECK_SAME(tensor({1.5}));
  CHECK_SAME(empty_strided({2, 2}, {1, 2}).fill_(1));
  CHECK_SAME(arange(0));
  CHECK_SAME(scalar_tensor(3));
  CHECK_SAME(empty_like(A({2, 3}).t()).fill_(0));
  CHECK_SAME(isnan(A({2}) / 0));
  CHECK_SAME(silu(A({3})));
  CHECK_SAME(gelu(A({3})));
  CHECK_SAME(gelu(A({3}), "tanh"));
  CHECK_SAME(linspace(-3, 7, 4));
  CHECK_SAME(arange(10, 10));
  CHECK_SAME(arange(2, kLong).expand({2, 2}) * 2);
}

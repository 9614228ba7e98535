// Functions against what LibTorch printed: values, type, sizes, strides and offset. Views, strides, products, indexing.
#include "functions_expected.h"

using namespace sinter;
using namespace sinter::test;

TEST_CASE("Strides of results follow the operands") {
  CHECK_SAME(A({2, 3, 4}).transpose(0, 2) + 1);
  CHECK_SAME(A({2, 3, 4}).permute({2, 0, 1}) * A({4, 2, 3}));
  CHECK_SAME(A({2, 3}).t() + A({3, 2}));
  CHECK_SAME(A({2, 3}).t() + A({3, 1}));
  CHECK_SAME(A({3, 1}) + A({2, 3}).t());
  CHECK_SAME(A({2, 3}).t() * A({2, 3}).t());
  CHECK_SAME(A({1, 3}).expand({2, 3}) + 1);
  CHECK_SAME(A({4, 6}).slice(1, 0, 6, 2) + 1);
  CHECK_SAME(A({2, 3, 4}).permute({1, 2, 0}).select(2, 0) + A({3, 1}));
  CHECK_SAME(A({2, 1, 4}).transpose(1, 2) + A({1, 4, 3}).permute({0, 1, 2}));
  CHECK_SAME(ones({3, 1, 2}).permute({1, 2, 0}) + A({3, 1, 2}).permute({1, 2, 0}));
  CHECK_SAME(A({1, 1}) + A({1}));
  CHECK_SAME(A({4, 1, 3}).permute({2, 1, 0}) + 1);
  CHECK_SAME(A({2, 3, 4}).permute({2, 0, 1}).to(kDouble));
  CHECK_SAME(A({2, 3, 4}).permute({2, 0, 1}).clone());
  CHECK_SAME(A({4, 6}).slice(1, 0, 6, 2).clone());
  CHECK_SAME(A({1, 3}).expand({2, 3}).clone());
  CHECK_SAME(A({4, 6}).t().slice(1, 0, 4, 2).to(kDouble));
  CHECK_SAME(A({2, 3}).t().contiguous());
  CHECK_SAME(zeros_like(A({2, 3, 4}).permute({2, 0, 1})));
  CHECK_SAME(ones_like(A({1, 3}).expand({2, 3})));
  CHECK_SAME(full_like(A({4, 6}).t().slice(1, 0, 4, 2), 3));
  CHECK_SAME(zeros_like(A({2, 3}), kLong));
}

TEST_CASE("Matrix products") {
  CHECK_SAME(A({2, 3}).mm(A({3, 4})));
  CHECK_SAME(A({3, 2}).t().mm(A({4, 3}).t()));
  CHECK_SAME(addmm(A({4}), A({2, 3}), A({3, 4})));
  CHECK_SAME(addmm(A({2, 1}), A({2, 3}), A({3, 4}), 0.5, 2));
  CHECK_SAME(linear(A({2, 3}), A({4, 3}), A({4})));
  CHECK_SAME(linear(A({2, 2, 3}), A({4, 3})));
  CHECK_SAME(linear(A({3}), A({4, 3}), A({4})));
  CHECK_SAME(matmul(A({3}), A({3})));
  CHECK_SAME(matmul(A({2, 3}), A({3})));
  CHECK_SAME(matmul(A({3}), A({3, 2})));
  CHECK_SAME(matmul(A({2, 2, 3}), A({3, 2})));
  CHECK_SAME(matmul(A({2, 2, 3}), A({3})));
  CHECK_SAME(matmul(A({3}), A({2, 3, 2})));
  CHECK_SAME(matmul(A({2, 3}), A({2, 3, 2})));
  CHECK_SAME(matmul(A({2, 1, 2, 3}), A({3, 3, 2})));
  CHECK_SAME(bmm(A({2, 2, 3}), A({2, 3, 1})));
  CHECK_SAME(mv(A({2, 3}), A({3})));
  CHECK_SAME(dot(I({4}), I({4})));
  CHECK_SAME(A({0, 3}).mm(A({3, 2})));
  CHECK_SAME(A({2, 0}).mm(A({0, 2})));
  CHECK_SAME(matmul(A({2, 0, 3}), A({3, 2})));
  CHECK_SAME(I({2, 3}).mm(I({3, 2})));
}

TEST_CASE("Views and joins") {
  CHECK_SAME(A({2, 6}).view({3, -1}));
  CHECK_SAME(A({2, 6}).t().reshape({3, 4}));
  CHECK_SAME(A({2, 6}).slice(1, 0, 4).reshape({2, 2, 2}));
  CHECK_SAME(A({2, 6}).transpose(0, -1));
  CHECK_SAME(A({2, 3}).expand({2, 2, 3}));
  CHECK_SAME(A({2, 1}).expand({-1, 3}));
  CHECK_SAME(A({}).expand({2}));
  CHECK_SAME(A({3}).expand({2, 1, 3}));
  CHECK_SAME(A({2, 3})[1]);
  CHECK_SAME(A({2, 3})[-1][0]);
  CHECK_SAME(A({4, 3}).slice(0, 1, 3));
  CHECK_SAME(A({7}).slice(0, -5, 100, 2));
  CHECK_SAME(A({7}).slice(0, 5, 2));
  CHECK_SAME(A({4, 3}).narrow(0, 1, 2));
  CHECK_SAME(A({1, 3, 1}).squeeze());
  CHECK_SAME(A({1, 3, 1}).squeeze(0));
  CHECK_SAME(A({1, 3, 1}).squeeze(1));
  CHECK_SAME(A({2, 3}).unsqueeze(1));
  CHECK_SAME(A({2, 3}).unsqueeze(-1));
  CHECK_SAME(A({2, 3}).unsqueeze(0));
  CHECK_SAME(A({2, 3}).t().unsqueeze(1));
  CHECK_SAME(A({2, 3, 4}).flatten());
  CHECK_SAME(A({2, 3, 4}).flatten(1));
  CHECK_SAME(A({2, 3, 4}).flatten(0, 1));
  CHECK_SAME(A({}).flatten());
  CHECK_SAME(cat({A({2, 3}), A({1, 3})}));
  CHECK_SAME(cat({A({2, 3}), A({2, 1})}, 1));
  CHECK_SAME(cat({A({0}), A({2, 3})}, -1));
  CHECK_SAME(cat({A({2}), I({2})}));
  CHECK_SAME(stack({A({2}), A({2}) + 1}, 1));
  CHECK_SAME(A({5}).split(2)[2]);
  CHECK_SAME(A({5, 2}).chunk(2)[1]);
  CHECK_SAME(A({0, 3}).view({3, 0}));
  CHECK_SAME(A({0, 3}).reshape({-1, 3}));
  CHECK_SAME(A({2, 3}).detach());
  CHECK_SAME(A({2, 3, 4}).transpose(1, 2).reshape({2, 12}));
  CHECK_SAME(A({2, 3, 4}).transpose(0, 1).flatten(1));
  CHECK_SAME(A({3, 1, 2}).view({3, 2}));
  CHECK_SAME(A({6}).view({1, 6, 1}));
  CHECK_SAME(A({4, 3}).t().view({3, 2, 2}));
  CHECK_SAME(A({4, 4}).slice(0, 0, 4, 2).view({2, 2, 2}));
}

TEST_CASE("Indexing") {
  CHECK_SAME(A({3, 2}).gather(0, tensor({{0, 2}, {1, 1}})));
  CHECK_SAME(A({3, 2}).gather(1, tensor({{0}, {1}, {1}})));
  CHECK_SAME(A({3, 2}).index_select(0, tensor({2, 0, 0})));
  CHECK_SAME(embedding(A({3, 2}), tensor({{0, 2}, {1, 1}})));
  CHECK_SAME(zeros({3, 2}).scatter_add(0, tensor({{0, 1}, {0, 2}}), A({2, 2})));
  CHECK_SAME(zeros({3, 2}).index_add(0, tensor({0, 0, 1}), A({3, 2})));
  CHECK_SAME(zeros({3, 2}).scatter_add_(0, tensor({{0, 1}, {0, 2}}), A({2, 2})));
  CHECK_SAME(zeros({3, 2}).index_add_(0, tensor({0, 0, 1}), A({3, 2})));
  CHECK_SAME(A({}).gather(0, tensor(0)));
  CHECK_SAME(A({}).index_select(0, tensor({0})));
}

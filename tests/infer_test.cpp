// infer: geometry and types from metadata alone.
#include "runtime/ops/infer.h"
#include <catch2/catch.hpp>
#include <random>
#include "engine/creation.h"

using namespace sinter;

namespace {

/// A tensor whose storage has no bytes, as pending results have.
Tensor hollow(ScalarType t, IntArrayRef sizes) {
  return Tensor::adopt(new TensorImpl(t, sizes, contiguous_strides(sizes), 0, Storage::empty()));
}

TensorMeta infer1(Op op, const Tensor& x, uint64_t attr = 0, IntArrayRef ints = {}) {
  TensorImpl* in[] = {x.impl()};
  OpCall c{.op = op};
  c.n_in = 1, c.in = in, c.attr = attr, c.ints = ints;
  return infer(c, kFloat);
}

TensorMeta infer2(Op op, const Tensor& a, const Tensor& b, uint8_t flags = 0) {
  TensorImpl* in[] = {a.impl(), b.impl()};
  OpCall c{.op = op};
  c.flags = flags, c.n_in = 2, c.in = in;
  return infer(c, kFloat);
}

}  // namespace

TEST_CASE("No bytes are needed") {
  const Tensor x = hollow(kFloat, {2, 3}), y = hollow(kLong, {3});
  const TensorMeta sum = infer2(Op::add, x, y);
  CHECK(sum.dtype == kFloat);
  CHECK(sum.sizes == SizeVec{2, 3});
  CHECK(sum.strides == SizeVec{3, 1});
  CHECK(infer1(Op::select, x, 1, 2).offset == 2);
  CHECK(infer1(Op::t, x).strides == SizeVec{1, 3});
  CHECK(infer2(Op::mm, x, hollow(kFloat, {3, 5})).sizes == SizeVec{2, 5});
  CHECK(infer1(Op::sum, x, reduce_attr(2, true, static_cast<uint8_t>(ScalarType::Undefined))).sizes == SizeVec{2, 1});
  CHECK(infer2(Op::add, x, y, kInplace).sizes == x.impl()->sizes);
  CHECK_THROWS_AS(infer2(Op::add, y, x, kInplace), ShapeError);
}

TEST_CASE("infer agrees with what operators return") {
  const Tensor x = arange(24, kFloat).view({2, 3, 4}).permute({2, 0, 1});
  const auto same = [](const TensorMeta& m, const Tensor& t) {
    CHECK(m.dtype == t.dtype());
    CHECK(IntArrayRef(m.sizes) == t.sizes());
    CHECK(IntArrayRef(m.strides) == t.strides());
    CHECK(m.offset == t.storage_offset());
  };
  same(infer1(Op::exp, x), exp(x));
  same(infer2(Op::lt, x, ones({3})), lt(x, ones({3})));
  same(infer1(Op::to, x, static_cast<uint64_t>(kLong)), x.to(kLong));
  same(infer1(Op::clone, x, 1), x.contiguous());
  same(infer1(Op::slice, x, 0, {1, 4, 2}), x.slice(0, 1, 4, 2));
  same(infer1(Op::expand, x.slice(0, 0, 1), 0, {5, 4, 2, 3}), x.slice(0, 0, 1).expand({5, 4, -1, -1}));
  same(infer1(Op::squeeze, x.unsqueeze(1), 2), x);
}

TEST_CASE("view_strides finds a view exactly when walking the elements in order allows one") {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int64_t>(random() % static_cast<unsigned>(n)); };
  int views = 0, copies = 0;
  for (int round = 0; round < 4000; ++round) {
    // A random strided tensor of 12 or 24 elements, then a random factorisation of its number of elements.
    SizeVec sizes, target;
    const auto factors = [&](SizeVec& out, int64_t n) {
      while (n > 1) {
        int64_t f = 1 + pick(4);
        if (n % f) continue;
        out.push_back(f);
        n /= f;
      }
    };
    const int64_t n = pick(2) ? 12 : 24;
    factors(sizes, n);
    factors(target, n);
    SizeVec strides = contiguous_strides(sizes);
    const int64_t k = 1 + pick(3);
    for (auto& s : strides) s *= pick(2) ? k : 1;
    if (sizes.size() > 1 && pick(2)) {
      std::swap(sizes[0], sizes[sizes.size() - 1]);
      std::swap(strides[0], strides[strides.size() - 1]);
    }
    const auto offsets = [](IntArrayRef sz, IntArrayRef st) {
      std::vector<int64_t> out;
      const int64_t count = numel_of(sz);
      for (int64_t i = 0; i < count; ++i) {
        int64_t rest = i, at = 0;
        for (size_t d = sz.size(); d-- > 0;) {
          at += rest % sz[d] * st[d];
          rest /= sz[d];
        }
        out.push_back(at);
      }
      return out;
    };
    const auto found = view_strides(sizes, strides, target);
    CAPTURE(to_string(sizes), to_string(strides), to_string(target));
    if (found) {
      ++views;
      CHECK(offsets(target, *found) == offsets(sizes, strides));
    } else {
      // No strides can exist: they are forced by single steps along each dimension.
      ++copies;
      const auto order = offsets(sizes, strides);
      SizeVec forced;
      forced.resize(target.size());
      int64_t step = 1;
      for (size_t d = target.size(); d-- > 0;) {
        forced[d] = target[d] > 1 ? order[static_cast<size_t>(step)] : 0;
        step *= target[d];
      }
      CHECK(offsets(target, forced) != order);
    }
  }
  CHECK(views > 500);
  CHECK(copies > 500);
}

TEST_CASE("describe names operator, operands and numbers") {
  const Tensor x = ones({2, 3});
  TensorImpl* in[] = {x.impl(), nullptr};
  OpCall c{.op = Op::add};
  c.n_in = 1, c.in = in, c.flags = kScalarRhs, c.n_scalars = 1, c.scalars[0] = 2.5;
  CHECK(describe(c) == "add(float[2, 3], 2.5)");
  c.flags = kScalarLhs;
  CHECK(describe(c) == "add(2.5, float[2, 3])");
  c.flags = kInplace, c.n_scalars = 0, c.n_in = 2;
  CHECK(describe(c) == "add_(float[2, 3], undefined)");
}

TEST_CASE("broadcast_sizes and pointwise_strides") {
  const Tensor a = ones({2, 1, 4}), b = ones({3, 1});
  TensorImpl* in[] = {a.impl(), b.impl()};
  CHECK(broadcast_sizes(in, "add") == SizeVec{2, 3, 4});
  const Tensor c = ones({3});
  TensorImpl* bad[] = {a.impl(), c.impl()};
  CHECK_THROWS_WITH(broadcast_sizes(bad, "add"),
                    Catch::Contains("add: The size of tensor a (4) must match the size of tensor b (3)"));
  const Tensor t = ones({4, 3, 2}).permute({2, 1, 0});
  TensorImpl* one[] = {t.impl()};
  CHECK(pointwise_strides(t.sizes(), one) == SizeVec{1, 2, 6});
}

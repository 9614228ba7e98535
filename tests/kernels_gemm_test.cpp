// Matrix products against long double, in every layout, dtype and ISA level.
#include <catch2/catch.hpp>
#include "kernel_buffers.h"

using namespace sinter;
using namespace sinter::test;

namespace {

struct Size {
  int64_t m, n, k;
};
// Both sides of the register-tile, packing and Eigen paths, vectors, tails, nothing to sum.
const std::vector<Size> kSizes = {{1, 1, 1},      {10, 5, 10},  {10, 2, 5},    {1, 1, 300},  {1, 37, 20},
                                  {37, 1, 20},    {3, 8, 0},    {5, 16, 7},    {5, 17, 7},   {9, 33, 31},
                                  {4, 64, 64},    {15, 31, 33}, {40, 40, 40},  {33, 70, 65}, {1, 512, 784},
                                  {64, 128, 100}, {2, 3, 4000}, {100, 3, 200}, {7, 2048, 3}};

/// C = beta * bias + alpha * A * B at (i, j) in long double, and the size of the terms for the bound.
struct Cell {
  long double value = 0, size = 0;
};
Cell cell(const Buffer& a, const Buffer& b, int64_t ai, int64_t bi, const Size& s, int64_t i, int64_t j, bool b_transposed) {
  Cell c;
  for (int64_t q = 0; q < s.k; ++q) {
    const long double t =
        static_cast<long double>(a.value(ai + i * s.k + q)) * b.value(bi + (b_transposed ? j * s.k + q : q * s.n + j));
    c.value += t;
    c.size += std::fabs(t);
  }
  return c;
}

double eps_of(ScalarType t) { return t == ScalarType::Float ? 0x1p-24 : t == ScalarType::Double ? 0x1p-53 : 0; }

void require_close(const Buffer& out, int64_t at, const Cell& c, const Size& s) {
  const long double steps = std::ceil(std::log2(static_cast<double>(s.k) + 1)) + 8;
  // Register tiles add in order: their bound grows with k, not with log k.
  const long double bound = std::max<long double>(steps, static_cast<long double>(s.k)) * eps_of(out.dtype) * c.size;
  REQUIRE(std::fabs(out.value(at) - c.value) <= bound);
}

}  // namespace

TEST_CASE("mm, bmm and linear in every layout") {
  std::mt19937 rng(1);
  const EachIsa levels;
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double, ScalarType::Long})
    for (const Size& s : kSizes)
      for (const Layout la : kLayouts)
        for (const Layout lb : kLayouts) {
          if (s.m * s.n * s.k > 100000 && (la == Layout::Expanded || lb == Layout::Expanded)) continue;
          const Buffer a = random_buffer(rng, t, {s.m, s.k}, la), b = random_buffer(rng, t, {s.k, s.n}, lb);
          const Buffer w = random_buffer(rng, t, {s.n, s.k}, lb), bias = random_buffer(rng, t, {s.n}, Layout::Stepped);
          for (const Isa level : levels) {
            set_isa_cap(level);
            INFO(dtype_name(t) << " " << s.m << "x" << s.k << "x" << s.n << " layouts " << int(la) << int(lb) << " "
                               << isa_name(level));
            Buffer out(t, {s.m, s.n}), lin(t, {s.m, s.n}), again(t, {s.m, s.n});
            Call{Op::mm, {a.view(), b.view()}, 0, {}, {}}.run(out);
            Call{Op::mm, {a.view(), b.view()}, 0, {}, {}}.run(again);
            Call{Op::linear, {a.view(), w.view(), bias.view()}, 0, {}, {}}.run(lin);
            REQUIRE((out.intact() && lin.intact()));
            REQUIRE(same_bits(out, again));
            for (int64_t i = 0; i < s.m; ++i)
              for (int64_t j = 0; j < s.n; ++j) {
                require_close(out, i * s.n + j, cell(a, b, 0, 0, s, i, j, false), s);
                Cell c = cell(a, w, 0, 0, s, i, j, true);
                c.value += bias.value(j);
                c.size += std::fabs(bias.value(j)) + 1;
                require_close(lin, i * s.n + j, c, {s.m, s.n, s.k + 1});
              }
          }
        }
}

TEST_CASE("bmm, also with an expanded batch") {
  std::mt19937 rng(2);
  for (const Layout layout : kLayouts) {
    const Size s{4, 6, 5};
    const Buffer a = random_buffer(rng, ScalarType::Float, {3, s.m, s.k}, layout),
                 b = random_buffer(rng, ScalarType::Float, {3, s.k, s.n});
    Buffer out(ScalarType::Float, {3, s.m, s.n});
    Call{Op::bmm, {a.view(), b.view()}, 0, {}, {}}.run(out);
    for (int64_t e = 0; e < 3; ++e)
      for (int64_t i = 0; i < s.m; ++i)
        for (int64_t j = 0; j < s.n; ++j)
          require_close(out, (e * s.m + i) * s.n + j, cell(a, b, e * s.m * s.k, e * s.k * s.n, s, i, j, false), s);
  }
}

TEST_CASE("addmm: scalars, broadcast bias, in place, NaN bias with beta 0") {
  std::mt19937 rng(3);
  const Size s{6, 9, 7};
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double, ScalarType::Long}) {
    const Buffer a = random_buffer(rng, t, {s.m, s.k}), b = random_buffer(rng, t, {s.k, s.n});
    for (const SizeVec& shape : {SizeVec{s.n}, SizeVec{1, s.n}, SizeVec{s.m, 1}, SizeVec{s.m, s.n}, SizeVec{}}) {
      Buffer bias = random_buffer(rng, t, shape);
      for (const double beta : {1.0, 2.0, 0.0})
        for (const double alpha : {1.0, 3.0}) {
          const std::vector<Scalar> scalars{t == ScalarType::Long ? Scalar(int64_t(beta)) : Scalar(beta),
                                            t == ScalarType::Long ? Scalar(int64_t(alpha)) : Scalar(alpha)};
          if (beta == 0 && t != ScalarType::Long)
            for (int64_t i = 0; i < bias.numel(); ++i) bias.set(i, std::nan(""));
          Buffer out(t, {s.m, s.n});
          Call{Op::addmm, {bias.view(), a.view(), b.view()}, 0, {}, scalars}.run(out);
          for (int64_t i = 0; i < s.m; ++i)
            for (int64_t j = 0; j < s.n; ++j) {
              Cell c = cell(a, b, 0, 0, s, i, j, false);
              const int64_t rows = shape.size() > 1 ? shape[0] : 1, cols = shape.empty() ? 1 : shape.back();
              const double extra = beta == 0 ? 0 : beta * bias.value((rows > 1 ? i * cols : 0) + (cols > 1 ? j : 0));
              c.value = c.value * alpha + extra;
              c.size = 2 * c.size * alpha + 2 * std::fabs(extra);
              require_close(out, i * s.n + j, c, s);
            }
        }
    }
    Buffer self = random_buffer(rng, t, {s.m, s.n}, Layout::Reversed);
    Buffer want(t, {s.m, s.n});
    Call{Op::addmm, {self.view(), a.view(), b.view()}, 0, {}, {}}.run(want);
    Call in_place{Op::addmm, {self.view(), a.view(), b.view()}, 0, {}, {}};
    in_place.flags = kInplace;
    in_place.run(self);
    CHECK(same_bits(self, want));
  }
}

TEST_CASE("linear takes any leading dimensions and no bias") {
  std::mt19937 rng(4);
  const Buffer w = random_buffer(rng, ScalarType::Float, {3, 5});
  for (const SizeVec& shape : {SizeVec{5}, SizeVec{2, 5}, SizeVec{2, 1, 4, 5}, SizeVec{0, 5}})
    for (const Layout layout : {Layout::Dense, Layout::Reversed, Layout::Stepped}) {
      const Buffer x = random_buffer(rng, ScalarType::Float, shape, layout);
      SizeVec out_shape(shape);
      out_shape[out_shape.size() - 1] = 3;
      Buffer out(ScalarType::Float, out_shape);
      Call{Op::linear, {x.view(), w.view()}, 0, {}, {}}.run(out);
      for (int64_t i = 0; i < x.numel() / 5; ++i)
        for (int64_t j = 0; j < 3; ++j) require_close(out, i * 3 + j, cell(x, w, 0, 0, {1, 3, 5}, i, j, true), {1, 3, 5});
    }
}

TEST_CASE("a product does not depend on alignment") {
  std::mt19937 rng(5);
  for (const Size& s : kSizes) {
    if (s.k == 0) continue;
    const Buffer a = random_buffer(rng, ScalarType::Float, {s.m, s.k}), b = random_buffer(rng, ScalarType::Float, {s.k, s.n});
    std::vector<float> room_a(static_cast<size_t>(s.m * s.k) + 16), room_b(static_cast<size_t>(s.k * s.n) + 16),
        room_c(static_cast<size_t>(s.m * s.n) + 16);
    Buffer want(ScalarType::Float, {s.m, s.n});
    Call{Op::mm, {a.view(), b.view()}, 0, {}, {}}.run(want);
    for (size_t shift = 0; shift < 16; shift += 5) {
      std::memcpy(room_a.data() + shift, a.bytes.data(), a.bytes.size() - 1);
      std::memcpy(room_b.data() + shift, b.bytes.data(), b.bytes.size() - 1);
      TensorView va = a.view(), vb = b.view(), vc = want.view();
      va.data = room_a.data() + shift, vb.data = room_b.data() + shift, vc.data = room_c.data() + shift;
      const Call call{Op::mm, {va, vb}, 0, {}, {}};
      run_kernel(call.args(vc));
      REQUIRE(std::memcmp(vc.data, want.bytes.data(), want.bytes.size() - 1) == 0);
    }
  }
}

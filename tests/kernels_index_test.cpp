// Copies, indexing, losses, and the value checks, against plain loops.
#include <catch2/catch.hpp>
#include "kernel_buffers.h"
#include "runtime/error.h"

using namespace sinter;
using namespace sinter::test;

namespace {

const ScalarType kTypes[] = {ScalarType::Bool, ScalarType::Long, ScalarType::Float, ScalarType::Double};

Buffer indices(std::mt19937& rng, IntArrayRef shape, int64_t below, Layout layout = Layout::Dense) {
  Buffer b(ScalarType::Long, shape, layout);
  for (int64_t i = 0; i < b.numel(); ++i) b.put<int64_t>(i, static_cast<int64_t>(rng() % static_cast<uint64_t>(below)));
  return b;
}

/// Logical position of element i of `shape` along `dim`, and i with that position replaced.
struct Position {
  int64_t along, outer, inner, n;
  Position(IntArrayRef shape, size_t dim, int64_t i) : n(shape[dim]) {
    int64_t step = 1;
    for (size_t d = dim + 1; d < shape.size(); ++d) step *= shape[d];
    inner = i % step;
    along = i / step % n;
    outer = i / step / n;
    stride = step;
  }
  int64_t stride;
  int64_t in(int64_t size, int64_t at) const { return (outer * size + at) * stride + inner; }
};

template <class E>
void fails(const Call& call, const std::string& text) {
  try {
    call.check();
    FAIL("no error; expected " << text);
  } catch (const E& e) { CHECK_THAT(std::string(e.what()), Catch::Contains(text)); }
}

}  // namespace

TEST_CASE("clone and cat") {
  std::mt19937 rng(1);
  for (const ScalarType t : kTypes)
    for (const Layout layout : kLayouts)
      for (const size_t dim : {0u, 1u, 2u}) {
        std::vector<Buffer> parts;
        std::vector<TensorView> views;
        SizeVec total{2, 3, 4};
        total[dim] = 0;
        for (const int64_t n : {3, 1, 0, 2}) {
          SizeVec shape{2, 3, 4};
          shape[dim] = n;
          parts.push_back(random_buffer(rng, t, shape, layout));
          total[dim] += n;
        }
        for (const Buffer& p : parts) views.push_back(p.view());
        Buffer out(t, total, layout == Layout::Dense ? Layout::Dense : Layout::Reversed), copy(t, total);
        Call{Op::cat, views, dim, {}, {}}.run(out);
        Call{Op::clone, {out.view()}, 1, {}, {}}.run(copy);
        REQUIRE(same_bits(out, copy));
        int64_t start = 0;
        for (const Buffer& p : parts) {
          for (int64_t i = 0; i < p.numel(); ++i) {
            const Position at(p.sizes, dim, i);
            REQUIRE(out.value(at.in(total[dim], start + at.along)) == p.value(i));
          }
          start += p.sizes[dim];
        }
      }
}

TEST_CASE("select_backward and slice_backward put the gradient back") {
  std::mt19937 rng(2);
  const SizeVec shape{4, 5, 6};
  for (const Layout layout : kLayouts)
    for (const size_t dim : {0u, 1u, 2u}) {
      SizeVec part, cut(shape);
      for (size_t d = 0; d < 3; ++d)
        if (d != dim) part.push_back(shape[d]);
      cut[dim] = 2;  // 1, 3
      const Buffer g = random_buffer(rng, ScalarType::Float, part, layout),
                   h = random_buffer(rng, ScalarType::Float, cut, layout);
      Buffer out(ScalarType::Float, shape), out2(ScalarType::Float, shape, Layout::Stepped);
      Call{Op::select_backward, {g.view()}, dim, {3, 4, 5, 6}, {}}.run(out);
      Call{Op::slice_backward, {h.view()}, dim, {1, 4, 2, 4, 5, 6}, {}}.run(out2);
      for (int64_t i = 0; i < out.numel(); ++i) {
        const Position at(shape, dim, i);
        REQUIRE(out.value(i) == (at.along == 3 ? g.value(at.in(1, 0)) : 0));
        const bool inside = at.along == 1 || at.along == 3;
        REQUIRE(out2.value(i) == (inside ? h.value(at.in(2, (at.along - 1) / 2)) : 0));
      }
    }
}

TEST_CASE("gather, index_select, scatter_add, index_add") {
  std::mt19937 rng(3);
  const SizeVec shape{4, 5, 6};
  for (const ScalarType t : kTypes)
    for (const Layout layout : kLayouts)
      for (const size_t dim : {0u, 1u, 2u}) {
        const Buffer self = random_buffer(rng, t, shape, layout);
        SizeVec part{3, 4, 5}, line(shape);
        part[dim] = 7;
        line[dim] = 7;
        const Buffer index = indices(rng, part, shape[dim], layout),
                     list = indices(rng, {7}, shape[dim], layout == Layout::Expanded ? Layout::Dense : layout);
        const Buffer src = random_buffer(rng, t, line, layout);
        Buffer gathered(t, part), selected(t, line), scattered(t, shape), added(t, shape);
        Call{Op::gather, {self.view(), index.view()}, dim, {}, {}}.run(gathered);
        Call{Op::index_select, {self.view(), list.view()}, dim, {}, {}}.run(selected);
        Call{Op::scatter_add, {self.view(), index.view(), src.view()}, dim, {}, {}}.run(scattered);
        Call{Op::index_add, {self.view(), list.view(), src.view()}, dim, {}, {}}.run(added);
        Buffer scatter_ref(t, shape), add_ref(t, shape);
        for (int64_t i = 0; i < self.numel(); ++i) scatter_ref.set(i, self.value(i)), add_ref.set(i, self.value(i));
        const auto linear = [](IntArrayRef sizes, const int64_t* at) { return (at[0] * sizes[1] + at[1]) * sizes[2] + at[2]; };
        for (int64_t i = 0; i < index.numel(); ++i) {
          int64_t at[3] = {i / (part[1] * part[2]), i / part[2] % part[1], i % part[2]};
          const double from = src.value(linear(line, at));
          const int64_t where = index.get<int64_t>(i);
          at[dim] = where;
          REQUIRE(gathered.value(i) == self.value(linear(shape, at)));
          scatter_ref.set(linear(shape, at), t == ScalarType::Float ? static_cast<float>(scatter_ref.value(linear(shape, at))) +
                                                                          static_cast<float>(from)
                                                                    : scatter_ref.value(linear(shape, at)) + from);
        }
        for (int64_t i = 0; i < src.numel(); ++i) {
          const Position at(line, dim, i);
          const int64_t to = at.in(shape[dim], list.get<int64_t>(at.along));
          REQUIRE(selected.value(i) == self.value(to));
          add_ref.set(to, t == ScalarType::Float ? static_cast<float>(add_ref.value(to)) + static_cast<float>(src.value(i))
                                                 : add_ref.value(to) + src.value(i));
        }
        REQUIRE(same_bits(scattered, scatter_ref));
        REQUIRE(same_bits(added, add_ref));
        if (layout != Layout::Expanded) {
          Buffer self_again = self;
          Call{Op::index_add, {self_again.view(), list.view(), src.view()}, dim, {}, {}}.run(self_again);
          REQUIRE(same_bits(self_again, added));
        }
      }
}

TEST_CASE("rank 0 gather and scatter_add") {
  const Buffer self = filled(ScalarType::Float, {}, {3}), index = filled(ScalarType::Long, {}, {0}),
               src = filled(ScalarType::Float, {}, {4});
  Buffer out(ScalarType::Float, {});
  Call{Op::gather, {self.view(), index.view()}, 0, {}, {}}.run(out);
  CHECK(out.value(0) == 3);
  Call{Op::scatter_add, {self.view(), index.view(), src.view()}, 0, {}, {}}.run(out);
  CHECK(out.value(0) == 7);
}

TEST_CASE("embedding and its gradient") {
  std::mt19937 rng(4);
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
    for (const Layout layout : kLayouts)
      for (const SizeVec& shape : {SizeVec{}, SizeVec{5}, SizeVec{3, 4}, SizeVec{0}}) {
        const Buffer weight = random_buffer(rng, t, {9, 6}, layout), index = indices(rng, shape, 9, layout);
        SizeVec out_shape(shape);
        out_shape.push_back(6);
        Buffer out(t, out_shape), grad_weight(t, {9, 6});
        Call{Op::embedding, {weight.view(), index.view()}, 0, {}, {}}.run(out);
        const Buffer grad = random_buffer(rng, t, out_shape, layout);
        Call{Op::embedding_dense_backward, {grad.view(), index.view()}, 4 + 1, {9}, {}}.run(grad_weight);
        Buffer want(t, {9, 6});
        for (int64_t i = 0; i < 54; ++i) want.set(i, 0);
        for (int64_t i = 0; i < out.numel(); ++i) {
          const int64_t row = index.get<int64_t>(i / 6), at = row * 6 + i % 6;
          REQUIRE(out.value(i) == weight.value(at));
          if (row != 4)
            want.set(at, t == ScalarType::Float ? static_cast<float>(want.value(at)) + static_cast<float>(grad.value(i))
                                                : want.value(at) + grad.value(i));
        }
        REQUIRE(same_bits(grad_weight, want));
      }
}

TEST_CASE("nll_loss and its gradient") {
  std::mt19937 rng(5);
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
    for (const Layout layout : {Layout::Dense, Layout::Reversed, Layout::Stepped})
      for (const bool weighted : {false, true})
        for (const int reduction : {0, 1, 2})
          for (const int64_t n : {0, 1, 7, 40, -1}) {  // -1: a single row without batch dimension
            const int64_t rows = n < 0 ? 1 : n, classes = 5, ignore = 2;
            const SizeVec x_shape = n < 0 ? SizeVec{classes} : SizeVec{n, classes}, n_shape = n < 0 ? SizeVec{} : SizeVec{n};
            const Buffer x = random_buffer(rng, t, x_shape, layout), target = indices(rng, n_shape, classes);
            Buffer w = random_buffer(rng, t, {classes});
            for (int64_t i = 0; i < classes; ++i) w.set(i, std::fabs(w.value(i)));
            const uint64_t attr = loss_attr(reduction, ignore);
            const TensorView weight = weighted ? w.view() : TensorView{};
            Buffer out(t, reduction ? SizeVec{} : n_shape), dx(t, x_shape);
            const Call forward{Op::nll_loss, {x.view(), target.view(), weight}, attr, {}, {}};
            forward.check();
            forward.run(out);
            const Buffer g = random_buffer(rng, t, reduction ? SizeVec{} : n_shape);
            Call{Op::nll_loss_backward, {g.view(), x.view(), target.view(), weight}, attr, {}, {}}.run(dx);
            double total = 0, weights = 0;
            const double tolerance = t == ScalarType::Float ? 1e-5 : 1e-13;
            for (int64_t i = 0; i < rows; ++i) {
              const int64_t c = target.get<int64_t>(i);
              const double used = c == ignore ? 0
                                  : weighted  ? w.value(c)
                                              : 1,
                           l = c == ignore ? 0 : -x.value(i * classes + c) * used;
              if (!reduction) REQUIRE(out.value(i) == Approx(l).margin(tolerance));
              total += l;
              weights += used;
            }
            if (reduction == 2) REQUIRE(out.value(0) == Approx(total).margin(tolerance));
            if (reduction == 1 && weights != 0) REQUIRE(out.value(0) == Approx(total / weights).margin(tolerance));
            if (reduction == 1 && weights == 0) REQUIRE(std::isnan(out.value(0)));
            for (int64_t i = 0; i < rows; ++i)
              for (int64_t c = 0; c < classes; ++c) {
                const bool hit = c == target.get<int64_t>(i) && c != ignore;
                const double grad = g.value(reduction ? 0 : i) / (reduction == 1 ? weights : 1) * (weighted ? w.value(c) : 1);
                if (!hit) REQUIRE(dx.value(i * classes + c) == 0);
                else REQUIRE(dx.value(i * classes + c) == Approx(-grad).margin(tolerance));
              }
          }
}

TEST_CASE("index checks name the value, the dimension and the size") {
  const Buffer self(ScalarType::Float, {5, 3}), bad = filled(ScalarType::Long, {3}, {0, 12, 1}),
                                                negative = filled(ScalarType::Long, {1}, {-1});
  const Buffer edge = filled(ScalarType::Long, {2}, {0, 4}), pair = filled(ScalarType::Long, {1, 2}, {2, 3}),
               src(ScalarType::Float, {3, 3});
  fails<IndexError>({Op::index_select, {self.view(), bad.view()}, 0, {}, {}},
                    "index 12 is out of bounds for dimension 0 with size 5");
  fails<IndexError>({Op::index_select, {self.view(), negative.view()}, 0, {}, {}},
                    "index -1 is out of bounds for dimension 0 with size 5");
  fails<IndexError>({Op::gather, {self.view(), pair.view()}, 1, {}, {}}, "index 3 is out of bounds for dimension 1 with size 3");
  fails<IndexError>({Op::embedding, {self.view(), bad.view()}, 0, {}, {}},
                    "index 12 is out of bounds for dimension 0 with size 5");
  fails<IndexError>({Op::index_add, {self.view(), bad.view(), src.view()}, 0, {}, {}}, "index 12 is out of bounds");
  fails<IndexError>({Op::scatter_add, {self.view(), pair.view(), src.view()}, 1, {}, {}},
                    "index 3 is out of bounds for dimension 1");
  fails<IndexError>({Op::embedding_dense_backward, {src.view(), bad.view()}, 0, {5}, {}},
                    "index 12 is out of bounds for dimension 0 with size 5");
  CHECK_NOTHROW(Call{Op::index_select, {self.view(), edge.view()}, 0, {}, {}}.check());
  CHECK_NOTHROW(Call{Op::gather, {self.view(), pair.view()}, 0, {}, {}}.check());
}

TEST_CASE("target checks skip the ignored index") {
  const Buffer x(ScalarType::Float, {3, 5}), g(ScalarType::Float, {});
  const Buffer bad = filled(ScalarType::Long, {3}, {0, 7, 1}), ignored = filled(ScalarType::Long, {3}, {0, -100, 4});
  fails<IndexError>({Op::nll_loss, {x.view(), bad.view()}, loss_attr(1, -100), {}, {}}, "Target 7 is out of bounds.");
  fails<IndexError>({Op::nll_loss, {x.view(), ignored.view()}, loss_attr(1, 3), {}, {}}, "Target -100 is out of bounds.");
  fails<IndexError>({Op::nll_loss_backward, {g.view(), x.view(), bad.view()}, loss_attr(1, -100), {}, {}},
                    "Target 7 is out of bounds.");
  CHECK_NOTHROW(Call{Op::nll_loss, {x.view(), ignored.view()}, loss_attr(1, -100), {}, {}}.check());
}

TEST_CASE("integer division by zero") {
  const Buffer a = filled(ScalarType::Long, {2}, {1, 2}), zero = filled(ScalarType::Long, {2}, {3, 0}),
               f = filled(ScalarType::Float, {2}, {0, 0});
  const Buffer none(ScalarType::Long, {0, 2}), flags = filled(ScalarType::Bool, {2}, {1, 0});
  for (const Op op : {Op::div_trunc, Op::floor_divide, Op::remainder}) {
    fails<ValueError>({op, {a.view(), zero.view()}, 0, {}, {}}, "ZeroDivisionError");
    fails<ValueError>({op, {a.view(), flags.view()}, 0, {}, {}}, "ZeroDivisionError");
    Call scalar{op, {a.view()}, 0, {}, {Scalar(0)}, kScalarRhs};
    fails<ValueError>(scalar, "ZeroDivisionError");
    fails<ValueError>({op, {zero.view()}, 0, {}, {Scalar(5)}, kScalarLhs}, "ZeroDivisionError");
    scalar.scalars = {Scalar(0.0)};
    CHECK_NOTHROW(scalar.check());
    scalar.scalars = {Scalar(2)};
    CHECK_NOTHROW(scalar.check());
    CHECK_NOTHROW(Call{op, {a.view(), f.view()}, 0, {}, {}}.check());
    CHECK_NOTHROW(Call{op, {f.view(), zero.view()}, 0, {}, {}}.check());
    CHECK_NOTHROW(Call{op, {none.view(), zero.view()}, 0, {}, {}}.check());
  }
}

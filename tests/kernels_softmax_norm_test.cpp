// Softmax and layer norm: against long double, against the same formula made of primitive operators (bit for bit), and
// with equal bits on every ISA level.
#include <catch2/catch.hpp>
#include "kernel_buffers.h"
#include "runtime/kernels/kernel.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// One pointwise or reducing operator on broadcastable buffers, for building formulas.
struct Primitive {
  ScalarType t;
  Buffer two(Op op, const Buffer& a, const Buffer& b) const {
    SizeVec shape(a.sizes);
    for (size_t i = 0; i < shape.size(); ++i) shape[i] = std::max(a.sizes[i], b.sizes[i]);
    Buffer out(t, shape);
    const Call call{op, {a.view(), b.view()}, 0, {}, {}};
    KernelArgs args = call.args(out.view());
    args.compute = t;
    run_kernel(args);
    return out;
  }
  Buffer one(Op op, const Buffer& a, double scalar = 0, bool has_scalar = false) const {
    Buffer out(t, a.sizes);
    Call call{op, {a.view()}, 0, {}, {}};
    if (has_scalar) {
      call.scalars = {Scalar(scalar)};
      call.flags = kScalarRhs;
    }
    KernelArgs args = call.args(out.view());
    args.compute = t;
    run_kernel(args);
    return out;
  }
  /// Reduces the dimensions of `dims`, keeping them with size 1.
  Buffer over(Op op, const Buffer& a, uint32_t dims) const {
    SizeVec shape(a.sizes);
    for (size_t i = 0; i < shape.size(); ++i)
      if ((dims >> i) & 1) shape[i] = 1;
    Buffer out(t, shape);
    Call{op, {a.view()}, reduce_attr(dims, true, 4), {}, {}}.run(out);
    return out;
  }
};

Buffer by_primitives(Op op, const Buffer& a, const Buffer* y, size_t dim) {
  const Primitive p{a.dtype};
  const uint32_t dims = 1u << dim;
  switch (op) {
    case Op::_softmax: {
      const Buffer e = p.one(Op::exp, p.two(Op::sub, a, p.over(Op::amax, a, dims)));
      return p.two(Op::mul, e, p.one(Op::reciprocal, p.over(Op::sum, e, dims)));
    }
    case Op::_log_softmax: {
      const Buffer d = p.two(Op::sub, a, p.over(Op::amax, a, dims));
      return p.two(Op::sub, d, p.one(Op::log, p.over(Op::sum, p.one(Op::exp, d), dims)));
    }
    case Op::_softmax_backward_data:
      return p.two(Op::mul, *y, p.two(Op::sub, a, p.over(Op::sum, p.two(Op::mul, a, *y), dims)));
    default:
      return p.two(Op::sub, a, p.two(Op::mul, p.one(Op::exp, *y), p.over(Op::sum, a, dims)));
  }
}

struct Shape {
  std::vector<int64_t> sizes;
  size_t dim;
};
const std::vector<Shape> kShapes = {{{1}, 0},       {{5}, 0},       {{3, 1}, 1},     {{3, 16}, 1},   {{4, 17}, 1},
                                    {{2, 100}, 1},  {{2, 2000}, 1}, {{33, 4}, 0},    {{2, 7, 5}, 1}, {{2, 1, 5}, 1},
                                    {{3, 5, 1}, 1}, {{70, 130}, 0}, {{1200, 20}, 0}, {{2, 3, 4}, 2}, {{2, 300, 70}, 1}};
const std::vector<Op> kOps = {Op::_softmax, Op::_log_softmax, Op::_softmax_backward_data, Op::_log_softmax_backward_data};

/// Long double softmax of the line through element (o, c).
std::vector<long double> line_reference(Op op, const Buffer& a, const Buffer& y, int64_t base, int64_t n, int64_t step) {
  std::vector<long double> r;
  long double m = -INFINITY, s = 0, total = 0, dot = 0;
  for (int64_t i = 0; i < n; ++i) m = std::max<long double>(m, a.value(base + i * step));
  for (int64_t i = 0; i < n; ++i) {
    s += std::exp(a.value(base + i * step) - m);
    total += a.value(base + i * step);
    dot += static_cast<long double>(a.value(base + i * step)) * y.value(base + i * step);
  }
  for (int64_t i = 0; i < n; ++i) {
    const long double v = a.value(base + i * step), w = y.value(base + i * step);
    r.push_back(op == Op::_softmax                 ? std::exp(v - m) / s
                : op == Op::_log_softmax           ? v - m - std::log(s)
                : op == Op::_softmax_backward_data ? w * (v - dot)
                                                   : v - std::exp(w) * total);
  }
  return r;
}

}  // namespace

TEST_CASE("softmax family: accuracy, primitives, levels") {
  std::mt19937 rng(1);
  const EachIsa levels;
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
    for (const Shape& shape : kShapes)
      for (const Layout layout : {Layout::Dense, Layout::Reversed, Layout::Stepped})
        for (const Op op : kOps) {
          const Buffer a = random_buffer(rng, t, shape.sizes, layout), y = random_buffer(rng, t, shape.sizes, layout);
          const bool two = op == Op::_softmax_backward_data || op == Op::_log_softmax_backward_data;
          const Call call{op, two ? std::vector{a.view(), y.view()} : std::vector{a.view()}, shape.dim, {}, {}};
          INFO(op_info(op).name << " " << to_string(shape.sizes) << " dim " << shape.dim << " layout " << int(layout));
          Buffer first;
          for (const Isa level : levels) {
            set_isa_cap(level);
            Buffer out(t, shape.sizes, layout);
            call.run(out);
            REQUIRE(out.intact());
            if (level == Isa::None) first = out;
            REQUIRE(same_bits(out, first));
            REQUIRE(same_bits(out, by_primitives(op, a, &y, shape.dim)));
          }
          const double eps = t == ScalarType::Float ? 0x1p-24 : 0x1p-53;
          int64_t inner = 1, n = shape.sizes[shape.dim];
          for (size_t i = shape.dim + 1; i < shape.sizes.size(); ++i) inner *= shape.sizes[i];
          for (int64_t o = 0; o < first.numel() / n / inner; ++o)
            for (int64_t c = 0; c < inner; ++c) {
              const auto want = line_reference(op, a, y, o * n * inner + c, n, inner);
              long double size = 1;
              for (int64_t i = 0; i < n; ++i) size += std::fabs(a.value(o * n * inner + c + i * inner));
              for (int64_t i = 0; i < n; ++i) {
                const auto at = static_cast<size_t>(i);
                const double got = first.value(o * n * inner + c + i * inner);
                const long double bound =
                    two ? 40 * eps * size * (1 + std::exp(std::fabs(y.value(o * n * inner + c + i * inner))))
                        : 24 * eps * (op == Op::_softmax ? std::fabs(want[at]) : std::fabs(want[at]) + 1);
                REQUIRE(std::fabs(got - want[at]) <= bound);
              }
            }
        }
}

TEST_CASE("softmax of extreme values") {
  for (const Isa level : EachIsa()) {
    set_isa_cap(level);
    const double inf = INFINITY;
    const Buffer x = filled(ScalarType::Float, {4, 3}, {-inf, 0, 0, 1e38, 0, -1e38, std::nan(""), 1, 2, -inf, -inf, -inf});
    Buffer out(ScalarType::Float, {4, 3});
    Call{Op::_softmax, {x.view()}, 1, {}, {}}.run(out);
    CHECK(out.value(0) == 0);
    CHECK(out.value(1) == 0.5);
    CHECK(out.value(3) == 1);
    CHECK(out.value(4) == 0);
    for (int64_t i = 6; i < 12; ++i) CHECK(std::isnan(out.value(i)));
  }
}

namespace {

struct NormCase {
  std::vector<int64_t> sizes;
  size_t dims;  // trailing dimensions normalised
};
const std::vector<NormCase> kNorms = {{{5}, 1},       {{1}, 1},       {{3, 1}, 1},    {{1, 9}, 1},   {{4, 16}, 1},
                                      {{3, 100}, 1},  {{2, 3, 5}, 2}, {{2, 3, 5}, 1}, {{100, 7}, 1}, {{5000, 3}, 1},
                                      {{6, 1500}, 1}, {{150, 1}, 1},  {{3, 20000}, 1}};

struct NormByPrimitives {
  Primitive p;
  uint32_t tail, lead;
  double n;
  Buffer hat, rstd;
  NormByPrimitives(const Buffer& x, size_t dims, double eps) : p{x.dtype} {
    const size_t rank = x.sizes.size();
    tail = ((1u << rank) - 1) & ~((1u << (rank - dims)) - 1);
    lead = (1u << (rank - dims)) - 1;
    const Buffer d = p.two(Op::sub, x, p.over(Op::mean, x, tail));
    rstd = p.one(Op::rsqrt, p.one(Op::add, p.over(Op::mean, p.two(Op::mul, d, d), tail), eps, true));
    hat = p.two(Op::mul, d, rstd);
  }
  Buffer backward(const Buffer& g, const Buffer* w) const {
    const Buffer gw = w ? p.two(Op::mul, g, *w) : g;
    const Buffer a = p.over(Op::mean, gw, tail), b = p.over(Op::mean, p.two(Op::mul, gw, hat), tail);
    return p.two(Op::mul, p.two(Op::sub, p.two(Op::sub, gw, a), p.two(Op::mul, hat, b)), rstd);
  }
  Buffer backward_weight(const Buffer& g) const {
    const Buffer product = p.two(Op::mul, g, hat);
    return lead ? p.over(Op::sum, product, lead) : product;
  }
};

/// Same elements, leading size-1 dimensions put in front.
Buffer with_rank(const Buffer& b, size_t rank) {
  SizeVec sizes;
  for (size_t i = b.sizes.size(); i < rank; ++i) sizes.push_back(1);
  for (const int64_t s : b.sizes) sizes.push_back(s);
  Buffer out(b.dtype, sizes);
  for (int64_t i = 0; i < b.numel(); ++i) out.set(i, b.value(i));
  return out;
}

}  // namespace

TEST_CASE("layer norm and its gradients: primitives, levels, long double") {
  std::mt19937 rng(2);
  const EachIsa levels;
  const double eps = 1e-5;
  for (const ScalarType t : {ScalarType::Float, ScalarType::Double})
    for (const NormCase& c : kNorms)
      for (const Layout layout : {Layout::Dense, Layout::Reversed}) {
        const Buffer x = random_buffer(rng, t, c.sizes, layout), g = random_buffer(rng, t, c.sizes, layout);
        const size_t rank = c.sizes.size();
        const SizeVec trailing(IntArrayRef(c.sizes.data() + rank - c.dims, c.dims));
        const Buffer w = random_buffer(rng, t, trailing, layout), b = random_buffer(rng, t, trailing);
        const Buffer wide_w = with_rank(w, rank), wide_b = with_rank(b, rank);
        const std::vector<Scalar> scalar{Scalar(eps)};
        INFO(to_string(c.sizes) << " trailing " << c.dims << " layout " << int(layout) << dtype_name(t));
        for (const Isa level : levels) {
          set_isa_cap(level);
          const NormByPrimitives ref(x, c.dims, eps);
          for (const int given : {0, 1, 2, 3}) {
            Buffer out(t, c.sizes);
            Call{Op::layer_norm,
                 {x.view(), given & 1 ? w.view() : TensorView{}, given & 2 ? b.view() : TensorView{}},
                 c.dims,
                 {},
                 scalar}
                .run(out);
            Buffer want = given & 1 ? ref.p.two(Op::mul, ref.hat, wide_w) : ref.hat;
            if (given & 2) want = ref.p.two(Op::add, want, wide_b);
            REQUIRE(out.intact());
            REQUIRE(same_bits(out, want));
          }
          Buffer dx(t, c.sizes), dw(t, trailing);
          Call{Op::layer_norm_backward_input, {g.view(), x.view()}, c.dims, {}, scalar}.run(dx);
          REQUIRE(same_bits(dx, ref.backward(g, nullptr)));
          Call{Op::layer_norm_backward_input, {g.view(), x.view(), w.view()}, c.dims, {}, scalar}.run(dx);
          REQUIRE(same_bits(dx, ref.backward(g, &wide_w)));
          Call{Op::layer_norm_backward_weight, {g.view(), x.view()}, c.dims, {}, scalar}.run(dw);
          REQUIRE(same_bits(dw, ref.backward_weight(g)));
        }
        // Against long double.
        Buffer out(t, c.sizes);
        Call{Op::layer_norm, {x.view()}, c.dims, {}, scalar}.run(out);
        const int64_t n = w.numel();
        for (int64_t r = 0; r < x.numel() / n; ++r) {
          long double mean = 0, var = 0;
          for (int64_t i = 0; i < n; ++i) mean += x.value(r * n + i) / static_cast<long double>(n);
          for (int64_t i = 0; i < n; ++i) var += (x.value(r * n + i) - mean) * (x.value(r * n + i) - mean) / n;
          const double tolerance = (t == ScalarType::Float ? 2e-6 : 4e-15) * (1 + 2 / static_cast<double>(std::sqrt(var + eps)));
          for (int64_t i = 0; i < n && n > 1; ++i)
            REQUIRE(std::fabs(out.value(r * n + i) - static_cast<double>((x.value(r * n + i) - mean) / std::sqrt(var + eps))) <=
                    tolerance);
        }
      }
}

TEST_CASE("empty softmax and layer norm") {
  const Buffer x(ScalarType::Float, {0, 4});
  Buffer out(ScalarType::Float, {0, 4}), dw(ScalarType::Float, {4});
  Call{Op::_softmax, {x.view()}, 1, {}, {}}.run(out);
  Call{Op::layer_norm, {x.view()}, 1, {}, {Scalar(1e-5)}}.run(out);
  CHECK(out.intact());
  Call{Op::layer_norm_backward_weight, {x.view(), x.view()}, 1, {}, {Scalar(1e-5)}}.run(dw);
  for (int64_t i = 0; i < 4; ++i) CHECK(dw.value(i) == 0);
}

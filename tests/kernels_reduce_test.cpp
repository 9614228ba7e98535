// Reductions against a plain implementation of the order in runtime/kernels/reduce_order.h, bit for bit, and against
// long double sums.
#include <catch2/catch.hpp>
#include "kernel_buffers.h"
#include "runtime/kernels/reduce_order.h"

using namespace sinter;
using namespace sinter::test;

namespace {

template <class T>
T combine(Op op, T a, T b) {
  if (op == Op::amax) return a != a ? a : (b > a || b != b) ? b : a;
  if (op == Op::amin) return a != a ? a : (b < a || b != b) ? b : a;
  return a + b;
}

template <class T>
T start_of(Op op) {
  if (op != Op::amax && op != Op::amin) return 0;
  const T edge = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  return op == Op::amin ? edge : std::numeric_limits<T>::has_infinity ? -edge : std::numeric_limits<T>::lowest();
}

/// One step over elements v[r * stride], the text of reduce_order.h written down.
template <class T>
T step(Op op, const T* v, int64_t n, int64_t stride, bool row) {
  const int64_t lanes = row ? 16 : 1, visits = (n + lanes - 1) / lanes, block = reduce_block_steps_of(visits);
  const bool two = op == Op::sum && std::is_floating_point_v<T> && visits > block;
  std::vector<T> acc0(16, start_of<T>(op)), acc1(16, start_of<T>(op));
  for (int64_t g = 0; g < visits; ++g) {
    for (int64_t l = 0; l < lanes && g * lanes + l < n; ++l) {
      T& a = acc0[static_cast<size_t>(l)];
      a = combine(op, a, v[(g * lanes + l) * stride]);
    }
    if (two && ((g + 1) % block == 0 || g + 1 == visits)) {
      for (size_t l = 0; l < 16; ++l) {
        acc1[l] += acc0[l];
        acc0[l] = 0;
      }
    }
  }
  std::vector<T>& acc = two ? acc1 : acc0;
  if (row)
    for (size_t s = 8; s > 0; s /= 2)
      for (size_t l = 0; l < s; ++l) acc[l] = combine(op, acc[l], acc[l + s]);
  return acc[0];
}

/// Dense values over `sizes`; reduces the innermost group until none is left.
template <class T>
std::vector<T> reference(Op op, std::vector<T> v, std::vector<int64_t> sizes, std::vector<bool> red) {
  for (;;) {
    std::vector<int64_t> n;
    std::vector<bool> r;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] == 1) continue;
      if (!n.empty() && r.back() == red[i]) n.back() *= sizes[i];
      else n.push_back(sizes[i]), r.push_back(red[i]);
    }
    size_t e = n.size();
    while (e > 0 && !r[e - 1]) --e;
    if (e == 0) return v;
    int64_t inner = 1, outer = 1;
    for (size_t i = e; i < n.size(); ++i) inner *= n[i];
    for (size_t i = 0; i + 1 < e; ++i) outer *= n[i];
    std::vector<T> out;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t c = 0; c < inner; ++c)
        out.push_back(step(op, v.data() + o * n[e - 1] * inner + c, n[e - 1], inner, inner == 1));
    n.erase(n.begin() + static_cast<std::ptrdiff_t>(e) - 1);
    r.erase(r.begin() + static_cast<std::ptrdiff_t>(e) - 1);
    v = out, sizes = n, red = r;
  }
}

struct Case {
  std::vector<int64_t> shape;
  uint32_t dims;
};

const std::vector<Case> kCases = {
    {{}, 0},        {{1}, 0},        {{5}, 0},         {{16}, 1},          {{17}, 1},         {{1023}, 0},
    {{1024}, 0},    {{1025}, 0},     {{1040}, 0},      {{2048}, 0},        {{70000}, 0},      {{65536}, 0},
    {{3, 4}, 0},    {{3, 4}, 1},     {{3, 4}, 2},      {{33, 47}, 1},      {{33, 47}, 2},     {{9, 1030}, 2},
    {{200, 5}, 1},  {{5000, 37}, 1}, {{130, 1}, 1},    {{1, 130}, 1},      {{1, 130}, 2},     {{2, 3, 4}, 5},
    {{2, 3, 4}, 2}, {{2, 3, 4}, 6},  {{7, 64, 33}, 5}, {{7, 64, 33}, 2},   {{2, 3, 4, 5}, 5}, {{2, 3, 4, 5}, 10},
    {{4, 1, 6}, 2}, {{4, 1, 6}, 5},  {{3, 5000}, 1},   {{2, 17, 1, 3}, 9}, {{64, 20000}, 1},  {{2, 2, 2, 2, 2, 2, 2}, 85}};

SizeVec kept(const Case& c) {
  SizeVec s;
  for (size_t i = 0; i < c.shape.size(); ++i)
    if (c.dims && !((c.dims >> i) & 1)) s.push_back(c.shape[i]);
  return s;
}

std::vector<bool> mask(const Case& c) {
  std::vector<bool> r;
  for (size_t i = 0; i < c.shape.size(); ++i) r.push_back(!c.dims || ((c.dims >> i) & 1));
  return r;
}

template <class T>
std::vector<T> expected(Op op, const Buffer& x, const Case& c) {
  const auto base = [&](std::vector<T> v, Op o) { return reference(o, std::move(v), c.shape, mask(c)); };
  if (op != Op::mean && op != Op::var) return base(x.values<T>(), op);
  std::vector<T> m = base(x.values<T>(), Op::sum);
  const T n = static_cast<T>(x.numel() / static_cast<int64_t>(m.size()));
  for (T& v : m) v /= n;
  if (op == Op::mean) return m;
  Buffer d = x;  // centred squares: the kept index of every element by division
  d = Buffer(x.dtype, x.sizes);
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = i, index = 0, scale = 1;
    for (size_t k = c.shape.size(); k-- > 0;) {
      if (!mask(c)[k]) {
        index += rest % c.shape[k] * scale;
        scale *= c.shape[k];
      }
      rest /= c.shape[k];
    }
    const T diff = x.get<T>(i) - m[static_cast<size_t>(index)];
    d.put<T>(i, diff * diff);
  }
  std::vector<T> s = base(d.values<T>(), Op::sum);
  for (T& v : s) v /= std::max<T>(n - 1, 0);
  return s;
}

template <class T>
void check_all(ScalarType t, const std::vector<Op>& ops) {
  std::mt19937 rng(7);
  const EachIsa levels;
  for (const Case& c : kCases)
    for (const Layout layout : kLayouts) {
      const Buffer x = random_buffer(rng, t, c.shape, layout);
      for (const Op op : ops) {
        const std::vector<T> want = expected<T>(op, x, c);
        for (const Isa level : levels) {
          set_isa_cap(level);
          Buffer out(t, kept(c));
          Call{op, {x.view()}, reduce_attr(c.dims, false, 4), {1}, {}}.run(out);
          const std::vector<T> got = out.values<T>();
          INFO(op_info(op).name << " " << to_string(c.shape) << " dims " << c.dims << " layout " << int(layout) << " isa "
                                << isa_name(level));
          REQUIRE(out.intact());
          REQUIRE(got.size() == want.size());
          bool equal = true;
          for (size_t i = 0; i < got.size(); ++i)
            equal &= std::memcmp(&got[i], &want[i], sizeof(T)) == 0 || (got[i] != got[i] && want[i] != want[i]);
          REQUIRE(equal);
        }
      }
    }
}

}  // namespace

TEST_CASE("float32 reductions keep the documented order on every level") {
  check_all<float>(ScalarType::Float, {Op::sum, Op::mean, Op::amax, Op::amin, Op::var});
}
TEST_CASE("float64 reductions keep the documented order on every level") {
  check_all<double>(ScalarType::Double, {Op::sum, Op::mean, Op::amax, Op::amin, Op::var});
}
TEST_CASE("int64 reductions") { check_all<int64_t>(ScalarType::Long, {Op::sum, Op::amax, Op::amin}); }

TEST_CASE("sums stay within the error bound against long double") {
  std::mt19937 rng(3);
  for (const int64_t n : {100, 4096, 1 << 20}) {
    const Buffer x = random_buffer(rng, ScalarType::Float, {n});
    long double sum = 0, size = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += x.get<float>(i);
      size += std::fabs(x.get<float>(i));
    }
    Buffer out(ScalarType::Float, {});
    Call{Op::sum, {x.view()}, reduce_attr(0, false, 4), {}, {}}.run(out);
    const double bound = (std::ceil(std::log2(n)) + 8) * 0x1p-24 * static_cast<double>(size);
    CHECK(std::fabs(out.value(0) - static_cast<double>(sum)) <= bound);
  }
}

TEST_CASE("NaN wins in maxima and minima wherever it stands") {
  const EachIsa levels;
  for (const Isa level : levels) {
    set_isa_cap(level);
    for (int64_t n : {1, 7, 16, 33, 100})
      for (int64_t at = 0; at < n; ++at)
        for (const Op op : {Op::amax, Op::amin})
          for (const bool column : {false, true}) {
            Buffer x(ScalarType::Float, column ? IntArrayRef{n, 3} : IntArrayRef{n});
            for (int64_t i = 0; i < x.numel(); ++i) x.set(i, static_cast<double>(i % 5) - 2);
            x.set(column ? at * 3 + 1 : at, std::nan(""));
            Buffer out(ScalarType::Float, column ? SizeVec{3} : SizeVec{});
            Call{op, {x.view()}, reduce_attr(1, false, 4), {}, {}}.run(out);
            REQUIRE(std::isnan(out.value(column ? 1 : 0)));
            if (column) REQUIRE(!std::isnan(out.value(0)));
            const Op arg = op == Op::amax ? Op::argmax : Op::argmin;
            Buffer index(ScalarType::Long, out.sizes);
            Call{arg, {x.view()}, reduce_attr(1, false, 4), {}, {}}.run(index);
            REQUIRE(index.value(column ? 1 : 0) == static_cast<double>(at));
          }
  }
}

TEST_CASE("argmax and argmin give the first of several NaN") {
  const EachIsa levels;
  for (const Isa level : levels) {
    set_isa_cap(level);
    for (const Op op : {Op::argmax, Op::argmin})
      for (const bool column : {false, true}) {
        Buffer x(ScalarType::Double, column ? IntArrayRef{40, 3} : IntArrayRef{40});
        for (int64_t i = 0; i < x.numel(); ++i) x.set(i, static_cast<double>(i % 7));
        for (const int64_t at : {17, 23, 39}) x.set(column ? at * 3 + 1 : at, std::nan(""));
        Buffer index(ScalarType::Long, column ? SizeVec{3} : SizeVec{});
        Call{op, {x.view()}, reduce_attr(1, false, 4), {}, {}}.run(index);
        REQUIRE(index.value(column ? 1 : 0) == 17);
      }
  }
}

TEST_CASE("the element itself where nothing is left to reduce") {
  const Buffer x = filled(ScalarType::Float, {1, 2, 1}, {-0.0, 3});
  Buffer out(ScalarType::Float, {2});
  Call{Op::sum, {x.view()}, reduce_attr(5, false, 4), {}, {}}.run(out);
  CHECK(std::signbit(out.value(0)));
  CHECK(out.value(1) == 3);
}

TEST_CASE("empty reductions") {
  const Buffer x(ScalarType::Float, {0, 3});
  const auto one = [&](Op op, ScalarType t) {
    Buffer out(t, {3});
    Call{op, {x.view()}, reduce_attr(1, false, 4), {1}, {}}.run(out);
    return out.value(1);
  };
  CHECK(one(Op::sum, ScalarType::Float) == 0);
  CHECK(std::isnan(one(Op::mean, ScalarType::Float)));
  CHECK(std::isnan(one(Op::var, ScalarType::Float)));
  CHECK(one(Op::any, ScalarType::Bool) == 0);
  CHECK(one(Op::all, ScalarType::Bool) == 1);
  Buffer none(ScalarType::Float, {0});
  Call{Op::sum, {x.view()}, reduce_attr(2, false, 4), {}, {}}.run(none);
  CHECK(none.intact());
}

TEST_CASE("var with zero freedom is NaN") {
  const Buffer x = filled(ScalarType::Double, {1}, {3});
  Buffer out(ScalarType::Double, {});
  Call{Op::var, {x.view()}, reduce_attr(0, false, 4), {1}, {}}.run(out);
  CHECK(std::isnan(out.value(0)));
  Call{Op::var, {x.view()}, reduce_attr(0, false, 4), {0}, {}}.run(out);
  CHECK(out.value(0) == 0);
}

TEST_CASE("any and all of every dtype, sums of bool, converted sums") {
  std::mt19937 rng(11);
  for (const ScalarType t : {ScalarType::Bool, ScalarType::Long, ScalarType::Float, ScalarType::Double})
    for (const Layout layout : kLayouts) {
      const Buffer x = random_buffer(rng, t, {6, 5, 4}, layout);
      for (const uint32_t dims : {0u, 1u, 2u, 4u, 5u, 6u}) {
        const Case c{{6, 5, 4}, dims};
        std::vector<uint8_t> flags;
        std::vector<int64_t> ones;
        std::vector<double> values;
        for (int64_t i = 0; i < x.numel(); ++i) {
          flags.push_back(x.value(i) != 0);
          ones.push_back(x.value(i) != 0);
          values.push_back(x.value(i));
        }
        const auto count = reference(Op::sum, ones, c.shape, mask(c)), least = reference(Op::amin, ones, c.shape, mask(c));
        Buffer any(ScalarType::Bool, kept(c)), all(ScalarType::Bool, kept(c)), sum(ScalarType::Double, kept(c));
        Call{Op::any, {x.view()}, reduce_attr(dims, false, 4), {}, {}}.run(any);
        Call{Op::all, {x.view()}, reduce_attr(dims, false, 4), {}, {}}.run(all);
        Call{Op::sum, {x.view()}, reduce_attr(dims, false, 3), {}, {}}.run(sum);
        const auto total = reference(Op::sum, values, c.shape, mask(c));
        for (size_t i = 0; i < count.size(); ++i) {
          REQUIRE(any.value(static_cast<int64_t>(i)) == (count[i] > 0));
          REQUIRE(all.value(static_cast<int64_t>(i)) == static_cast<double>(least[i]));
          REQUIRE(sum.value(static_cast<int64_t>(i)) == total[i]);
        }
        if (t == ScalarType::Bool) {
          Buffer n(ScalarType::Long, kept(c));
          Call{Op::sum, {x.view()}, reduce_attr(dims, false, 4), {}, {}}.run(n);
          REQUIRE(n.values<int64_t>() == count);
        }
      }
    }
}

TEST_CASE("argmax and argmin take the first of equals, flattened or by dimension") {
  std::mt19937 rng(5);
  for (const ScalarType t : {ScalarType::Bool, ScalarType::Long, ScalarType::Float, ScalarType::Double})
    for (const Layout layout : kLayouts)
      for (const uint32_t dims : {0u, 1u, 2u, 4u}) {
        Buffer x = random_buffer(rng, t, {3, 40, 5}, layout);
        for (int64_t i = 0; i < x.numel(); ++i) x.set(i, std::floor(x.value(i)));  // many equals
        const int64_t stride[3] = {200, 5, 1}, size[3] = {3, 40, 5};
        const size_t d = dims ? static_cast<size_t>(std::countr_zero(dims)) : 0;
        const int64_t n = dims ? size[d] : 600, step = dims ? stride[d] : 1;
        for (const bool max : {true, false}) {
          SizeVec shape;
          for (size_t i = 0; dims && i < 3; ++i)
            if (i != d) shape.push_back(size[i]);
          Buffer out(ScalarType::Long, shape);
          Call{max ? Op::argmax : Op::argmin, {x.view()}, reduce_attr(dims, false, 4), {}, {}}.run(out);
          for (int64_t o = 0; o < out.numel(); ++o) {
            const int64_t inner = dims ? stride[d] : 1, base = dims ? o / inner * inner * n + o % inner : 0;
            int64_t best = 0;
            for (int64_t i = 1; i < n; ++i) {
              const double v = x.value(base + i * step), b = x.value(base + best * step);
              if (max ? v > b : v < b) best = i;
            }
            REQUIRE(out.get<int64_t>(o) == best);
          }
        }
      }
}
